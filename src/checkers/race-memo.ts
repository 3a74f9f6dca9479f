/**
 * Races a campaign has seen, by the numbers in their records: so that a program that races in every run costs no text in
 * each of them. Two races with the same functions, kinds and address are taken for one; addresses of static variables and
 * of objects allocated in the same order are the same in all runs of a campaign, which start from one snapshot.
 */
import { OP_WORDS, OpWord, type OperationLog, opHead, opKind, opType } from '#trace/operations';

const KEY_WORDS = 5;
const ENTRIES_AT_FIRST = 64;

export class RaceMemo<T> {
  #keys = new Int32Array(ENTRIES_AT_FIRST * KEY_WORDS);
  #values: (T | undefined)[] = Array.from({ length: ENTRIES_AT_FIRST });
  #count = 0;
  readonly #key = new Int32Array(KEY_WORDS);

  /** What was remembered for the pair of records; undefined if it is new. */
  get(log: OperationLog, earlier: number, later: number): T | undefined {
    this.#makeKey(log, earlier, later);
    return this.#values[this.#find(this.#key, 0)];
  }

  set(log: OperationLog, earlier: number, later: number, value: T): void {
    if (this.#count * 2 >= this.#values.length) this.#grow();
    this.#makeKey(log, earlier, later);
    const at = this.#find(this.#key, 0);
    if (this.#values[at] === undefined) this.#count++;
    this.#values[at] = value;
    this.#keys.set(this.#key, at * KEY_WORDS);
  }

  #makeKey({ words }: OperationLog, earlier: number, later: number): void {
    const a = earlier * OP_WORDS;
    const b = later * OP_WORDS;
    this.#key[0] = opHead(opType(words[a]!), opKind(words[a]!), 0, 0);
    this.#key[1] = words[a + OpWord.SITE]!;
    this.#key[2] = opHead(opType(words[b]!), opKind(words[b]!), 0, 0);
    this.#key[3] = words[b + OpWord.SITE]!;
    this.#key[4] = Math.max(words[a + OpWord.ADDRESS]! >>> 0, words[b + OpWord.ADDRESS]! >>> 0);
  }

  /** Where the key at `from` of `keys` is, or would be. */
  #find(keys: Int32Array, from: number): number {
    const mask = this.#values.length - 1;
    let hash = 0;
    for (let word = 0; word < KEY_WORDS; word++) hash = Math.imul(hash ^ keys[from + word]!, 0x9e3779b1);
    let at = (hash ^ (hash >>> 15)) & mask;
    while (this.#values[at] !== undefined && !this.#isAt(at, keys, from)) at = (at + 1) & mask;
    return at;
  }

  #isAt(at: number, keys: Int32Array, from: number): boolean {
    for (let word = 0; word < KEY_WORDS; word++) {
      if (this.#keys[at * KEY_WORDS + word] !== keys[from + word]) return false;
    }
    return true;
  }

  #grow(): void {
    const keys = this.#keys;
    const values = this.#values;
    this.#keys = new Int32Array(keys.length * 2);
    this.#values = Array.from({ length: values.length * 2 });
    for (const [old, value] of values.entries()) {
      if (value === undefined) continue;
      const at = this.#find(keys, old * KEY_WORDS);
      this.#values[at] = value;
      this.#keys.set(keys.subarray(old * KEY_WORDS, (old + 1) * KEY_WORDS), at * KEY_WORDS);
    }
  }
}
