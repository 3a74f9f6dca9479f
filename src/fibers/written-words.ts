/** Words of memory that runs from trees write: those, and what a machine always takes back, are what goes back before the next. */
const WORDS_AT_FIRST = 128;

export class WrittenWords {
  /** The first `count` of them, by number. */
  // wall: typed-array: numbers of words, and no memory of the machine's
  words: Int32Array = new Int32Array(WORDS_AT_FIRST);
  count = 0;
  readonly #known = new Set<number>();

  constructor() {
    // No constant: see flow-tree.ts.
    this.#grow();
  }

  add(word: number): void {
    if (this.#known.has(word)) return;
    this.#known.add(word);
    if (this.count === this.words.length) this.#grow();
    this.words[this.count++] = word;
  }

  #grow(): void {
    // wall: typed-array: the same
    const grown = new Int32Array(this.words.length * 2);
    grown.set(this.words);
    this.words = grown;
  }

  /** Those of some bytes. */
  addBytes(address: number, size: number): void {
    for (let word = address >>> 2; word * 4 < address + size; word++) this.add(word);
  }
}
