/** Fingerprints (fingerprint.ts) that have been seen, and whether more than once: millions of them, in flat arrays. */

const SLOTS_AT_FIRST = 1024;
const ONCE = 1;
const OFTEN = 2;

export class FingerprintSet {
  size = 0;
  #high = new Int32Array(SLOTS_AT_FIRST);
  #low = new Int32Array(SLOTS_AT_FIRST);
  #seen = new Uint8Array(SLOTS_AT_FIRST);
  readonly #sizeMax: number;

  /** @param sizeMax new ones beyond that are not kept */
  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax;
  }

  has(fingerprint: number): boolean {
    return this.#seen[this.#find(highOf(fingerprint), fingerprint | 0)] !== 0;
  }

  /** How often it has been seen before: 0, 1, or 2 for more. @param often it counts as seen more than once */
  add(fingerprint: number, often = false): number {
    const high = highOf(fingerprint);
    const low = fingerprint | 0;
    const at = this.#find(high, low);
    const before = this.#seen[at]!;
    if (before === 0) this.#insert(at, high, low, often ? OFTEN : ONCE);
    else this.#seen[at] = OFTEN;
    return before;
  }

  /** Those seen once, or more often. */
  list(often: boolean): number[] {
    const found: number[] = [];
    for (const [at, seen] of this.#seen.entries())
      if (seen === (often ? OFTEN : ONCE))
        found.push(this.#high[at]! * 0x1_0000_0000 + (this.#low[at]! >>> 0));
    return found;
  }

  #insert(at: number, high: number, low: number, seen: number): void {
    if (this.size >= this.#sizeMax) return;
    this.#high[at] = high;
    this.#low[at] = low;
    this.#seen[at] = seen;
    if (++this.size * 2 > this.#seen.length) this.#grow();
  }

  #find(high: number, low: number): number {
    const mask = this.#seen.length - 1;
    let at = (low ^ high) & mask;
    while (this.#seen[at] !== 0 && (this.#low[at] !== low || this.#high[at] !== high)) at = (at + 1) & mask;
    return at;
  }

  #grow(): void {
    const [high, low, seen] = [this.#high, this.#low, this.#seen];
    this.#high = new Int32Array(high.length * 2);
    this.#low = new Int32Array(high.length * 2);
    this.#seen = new Uint8Array(high.length * 2);
    for (let old = 0; old < seen.length; old++) {
      if (seen[old] === 0) continue;
      const at = this.#find(high[old]!, low[old]!);
      this.#high[at] = high[old]!;
      this.#low[at] = low[old]!;
      this.#seen[at] = seen[old]!;
    }
  }
}

function highOf(fingerprint: number): number {
  return Math.floor(fingerprint / 0x1_0000_0000);
}
