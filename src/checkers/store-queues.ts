/** tso: the stores that wait in each CPU's buffer, first in, first out. Number 0 is no store. */
import { NR_CPUS } from '#base/limits';
import { OP_WORDS, OpWord } from '#trace/operations';

const STORES_AT_FIRST = 256;

export class StoreQueues {
  /** By store: its record, the rows it will publish (0 none), the next one of the same CPU. */
  record = new Int32Array(STORES_AT_FIRST);
  row = new Int32Array(STORES_AT_FIRST);
  #next = new Int32Array(STORES_AT_FIRST);
  #count = 1;
  /** By CPU. */
  readonly #oldest = new Int32Array(NR_CPUS);
  readonly #newest = new Int32Array(NR_CPUS);

  reset(): void {
    // Runs under sc never used it.
    if (this.#count > 1) this.#oldest.fill(0);
    this.#count = 1;
  }

  push(cpu: number, record: number, row: number): void {
    const store = this.#count++;
    if (store >= this.record.length) {
      this.record = doubled(this.record);
      this.row = doubled(this.row);
      this.#next = doubled(this.#next);
    }
    this.record[store] = record;
    this.row[store] = row;
    this.#next[store] = 0;
    if (this.#oldest[cpu] === 0) this.#oldest[cpu] = store;
    else this.#next[this.#newest[cpu]!] = store;
    this.#newest[cpu] = store;
  }

  /** The oldest store of a CPU, which waits no more; 0 if there is none. */
  pop(cpu: number): number {
    const store = this.#oldest[cpu]!;
    if (store !== 0) this.#oldest[cpu] = this.#next[store]!;
    return store;
  }

  /** Rows of the newest store of a CPU to an address; 0 if there is none, or it publishes nothing. */
  rowOfNewest(cpu: number, address: number, words: Int32Array): number {
    let row = 0;
    for (let store = this.#oldest[cpu]!; store !== 0; store = this.#next[store]!) {
      if (words[this.record[store]! * OP_WORDS + OpWord.ADDRESS] === address) row = this.row[store]!;
    }
    return row;
  }
}

function doubled(words: Int32Array): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(words.length * 2);
  grown.set(words);
  return grown;
}
