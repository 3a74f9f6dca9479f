/**
 * Who has touched which word, over a whole campaign. Steps on memory that only one actor ever touched cannot be told
 * apart in their order from any other's, so they are no choice points. When a second actor comes, the word is shared for
 * the rest of the campaign, and the run says so: what was decided without it has to be decided again.
 */
import type { Actor } from '#base/strategy';
import { type Geometry, SearchWord } from './layout.ts';
import { SEARCH_BASE } from './search-words.ts';
import { SHARED, searchRegion } from './search.ts';

const SHARED_GREW = SEARCH_BASE + SearchWord.SHARED_GREW;

export class Ownership {
  readonly #owners: Uint16Array;
  readonly #i32: Int32Array;
  /** Words that became known as shared in this run, each with who had it before. */
  readonly #grown: number[] = [];

  constructor(i32: Int32Array, layout: Geometry) {
    const region = searchRegion(layout.nrPossible, layout.heapEnd, layout.logCapacity);
    const words = layout.logCapacity > 0 ? layout.heapEnd >>> 2 : 0;
    this.#i32 = i32;
    this.#owners = new Uint16Array(i32.buffer, layout.search + region.owners, words);
  }

  /** Notes that `actor` touches [address, address + size); true if any of it is shared. Wild addresses are nobody's. */
  claim(actor: Actor, address: number, size: number): boolean {
    const owners = this.#owners;
    const me = actor + 1;
    const last = (address + size - 1) >>> 2;
    let shared = false;
    for (let word = address >>> 2; word <= last && word < owners.length; word++) {
      const owner = owners[word]!;
      if (owner === me) continue;
      if (owner === 0) {
        owners[word] = me;
        continue;
      }
      shared = true;
      if (owner === SHARED) continue;
      this.#grown.push(word, owner);
      owners[word] = SHARED;
      this.#i32[SHARED_GREW] = 1;
    }
    return shared;
  }

  /** From here on a step on these bytes is a choice point, whoever uses them. */
  share(address: number, size: number): void {
    const owners = this.#owners;
    const last = (address + size - 1) >>> 2;
    for (let word = address >>> 2; word <= last && word < owners.length; word++) {
      if (owners[word] === SHARED) continue;
      this.#grown.push(word, owners[word]!);
      owners[word] = SHARED;
      this.#i32[SHARED_GREW] = 1;
    }
  }

  /** The same of one word, by its number. */
  claimWord(actor: Actor, word: number): boolean {
    const owner = this.#owners[word];
    if (owner === actor + 1 || owner === undefined) return false;
    return owner === SHARED || this.claim(actor, word * 4, 4);
  }

  /** A run begins. */
  begin(): void {
    if (this.#grown.length > 0) this.#grown.length = 0;
  }

  /** Forgets what this run has made known: it is made again, and has to find what it found. */
  takeBack(): void {
    const grown = this.#grown;
    while (grown.length > 0) {
      const owner = grown.pop()!;
      this.#owners[grown.pop()!] = owner;
    }
  }

  /** Whether any of [address, address + size) is shared. */
  isShared(address: number, size: number): boolean {
    const last = (address + size - 1) >>> 2;
    for (let word = address >>> 2; word <= last; word++) if (this.#owners[word] === SHARED) return true;
    return false;
  }
}
