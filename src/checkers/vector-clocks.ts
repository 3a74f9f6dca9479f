/**
 * Rows of vector clocks in one typed array: for folds that run thousands of times a second and may not allocate.
 *
 * A component counts records: `row[thread]` is the number (from 1) of the last record of that thread which is known to
 * have happened before. So an access needs no epoch of its own: its record number is one.
 * Source: FastTrack (Flanagan, Freund, PLDI 2009), without its adaptive epochs: rows here are four to eight words long.
 */
const ROWS_AT_FIRST = 64;
const THREADS_AT_FIRST = 8;

export class VectorClocks {
  /** Components a row has room for. */
  stride = THREADS_AT_FIRST;
  /** Threads of this run so far: rows hold that many components, the rest is 0. */
  threads = 0;
  #words = new Int32Array(ROWS_AT_FIRST * THREADS_AT_FIRST);
  #used = 1;

  /** Forgets every row. */
  reset(): void {
    this.threads = 0;
    this.#used = 1;
  }

  /** Doubles the room for threads. Rows are lost: the run has to be read again. */
  widen(): void {
    this.stride *= 2;
    this.#words = new Int32Array(ROWS_AT_FIRST * this.stride);
    this.reset();
  }

  /** A row of zeros, never number 0: that may stand for "none". */
  row(): number {
    const row = this.#used++;
    const end = (row + 1) * this.stride;
    if (end > this.#words.length) {
      const grown = new Int32Array(this.#words.length * 2);
      grown.set(this.#words);
      this.#words = grown;
    }
    this.#words.fill(0, row * this.stride, end);
    return row;
  }

  /** `count` rows that follow each other; answers the first. */
  rows(count: number): number {
    const first = this.row();
    for (let more = 1; more < count; more++) this.row();
    return first;
  }

  get(row: number, thread: number): number {
    return this.#words[row * this.stride + thread]!;
  }

  set(row: number, thread: number, time: number): void {
    this.#words[row * this.stride + thread] = time;
  }

  /** `to` knows what `from` knows, too. */
  join(to: number, from: number): void {
    const words = this.#words;
    const { stride } = this;
    for (let thread = 0, a = to * stride, b = from * stride; thread < this.threads; thread++, a++, b++) {
      if (words[b]! > words[a]!) words[a] = words[b]!;
    }
  }

  copy(to: number, from: number): void {
    const words = this.#words;
    const { stride } = this;
    for (let thread = 0, a = to * stride, b = from * stride; thread < this.threads; thread++, a++, b++) {
      words[a] = words[b]!;
    }
  }

  clear(row: number): void {
    this.#words.fill(0, row * this.stride, (row + 1) * this.stride);
  }
}
