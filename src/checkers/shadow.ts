/**
 * What the race check remembers of each word of memory: the last access of every thread and class that touched it, and
 * the clocks its last marked store published. A hash table whose entries die by a change of generation, because clearing
 * it would cost more than a short run does.
 */
const CELLS_AT_FIRST = 256;
const ACCESSES_AT_FIRST = 512;

/** Classes of accesses: what decides whether two of them can race. */
export const AccessClass = { WRITE: 1, PLAIN: 2 } as const;

/** Layout of an access: thread | class << 16 | bytes of the word << 18. */
export function packAccess(thread: number, accessClass: number, bytes: number): number {
  return thread | (accessClass << 16) | (bytes << 18);
}

/** `cell` numbers are good until the next call of `cellOf` that makes a new one. */
export class Shadow {
  /** By access: packed thread, class and bytes; its record; the next access of the same word, 0 none. */
  packed = new Int32Array(ACCESSES_AT_FIRST);
  record = new Int32Array(ACCESSES_AT_FIRST);
  next = new Int32Array(ACCESSES_AT_FIRST);
  #accesses = 1;

  /** By cell: first access, row of published clocks (0 none), CPU of who published. */
  first = new Int32Array(CELLS_AT_FIRST);
  sync = new Int32Array(CELLS_AT_FIRST);
  syncCpu = new Int32Array(CELLS_AT_FIRST);
  #keys = new Int32Array(CELLS_AT_FIRST);
  #born = new Int32Array(CELLS_AT_FIRST);
  #cells = 0;
  #generation = 1;

  reset(): void {
    this.#accesses = 1;
    this.#cells = 0;
    this.#generation = (this.#generation + 1) | 0;
    if (this.#generation !== 0) return;
    // Once in four billion runs old generations would look like new ones.
    this.#born.fill(0);
    this.#generation = 1;
  }

  /** The cell of a key (a word index, or any negative number a caller likes), made if there is none. */
  cellOf(key: number): number {
    const found = this.#find(key);
    if (this.#born[found] === this.#generation) return found;
    if (this.#cells * 2 >= this.#keys.length) {
      this.#grow();
      return this.cellOf(key);
    }
    this.#cells++;
    this.#born[found] = this.#generation;
    this.#keys[found] = key;
    this.first[found] = 0;
    this.sync[found] = 0;
    return found;
  }

  /** The cell of a key if it has one, else -1. */
  knownCellOf(key: number): number {
    const found = this.#find(key);
    return this.#born[found] === this.#generation ? found : -1;
  }

  addAccess(cell: number, packed: number, record: number): void {
    const access = this.#accesses++;
    if (access >= this.packed.length) {
      this.packed = doubled(this.packed);
      this.record = doubled(this.record);
      this.next = doubled(this.next);
    }
    this.packed[access] = packed;
    this.record[access] = record;
    this.next[access] = this.first[cell]!;
    this.first[cell] = access;
  }

  /** Where the key is, or would be. */
  #find(key: number): number {
    const mask = this.#keys.length - 1;
    const product = Math.imul(key, 0x9e3779b1);
    // The low bits of a product know only the low bits of the key: fold the high half in.
    let at = (product ^ (product >>> 15)) & mask;
    while (this.#born[at] === this.#generation && this.#keys[at] !== key) at = (at + 1) & mask;
    return at;
  }

  #grow(): void {
    const { first, sync, syncCpu } = this;
    const keys = this.#keys;
    const born = this.#born;
    const size = keys.length * 2;
    this.first = new Int32Array(size);
    this.sync = new Int32Array(size);
    this.syncCpu = new Int32Array(size);
    this.#keys = new Int32Array(size);
    this.#born = new Int32Array(size);
    for (let old = 0; old < keys.length; old++) {
      if (born[old] !== this.#generation) continue;
      const cell = this.#find(keys[old]!);
      this.#born[cell] = this.#generation;
      this.#keys[cell] = keys[old]!;
      this.first[cell] = first[old]!;
      this.sync[cell] = sync[old]!;
      this.syncCpu[cell] = syncCpu[old]!;
    }
  }
}

function doubled(words: Int32Array): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(words.length * 2);
  grown.set(words);
  return grown;
}
