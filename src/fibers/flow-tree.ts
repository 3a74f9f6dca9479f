/**
 * Trees of what flows have been seen to do (known-flows.ts), one for each CPU, in one array of words. A node is named by its
 * index, and so is a place where one may stand: the word that says which.
 */

import { Footprint, footprint, opType } from '#trace/operations';
import { WrittenWords } from './written-words.ts';

/** What stands in a tree. */
export const Kind = {
  /** a step, as the log has it; NEXT is what comes then, or of a step that reads, its first edge */
  STEP: 1,
  /** a further record of the step before */
  MORE: 2,
  /** a look at memory of the CPU's own; NEXT is its first edge */
  LOOK: 3,
  /** WRITTEN is left in memory of the CPU's own */
  LEAVE: 4,
  /** WRITTEN is added to a counter of the laboratory's own; the last of what comes between two places to stand */
  TALLY: 5,
  /** the flow has ended, and its CPU is idle */
  OVER: 6,
  /** a wait; NEXT is the first of what its condition looks at: LOOK and WATCH, to HOLDS or FAILS */
  WAIT: 7,
  /** a look of a condition at a word that the wait depends on: HEAD = AccessKind; NEXT is its first edge */
  WATCH: 8,
  /** the condition holds; NEXT is what comes when the wait is over */
  HOLDS: 9,
  /** it does not */
  FAILS: 10,
  /** where trees of handlers begin: NEXT is the first edge, by vector, and then by what it comes in front of */
  HANDLER: 11,
  /** the handler is over */
  RETURN: 12,
} as const;
export type Kind = (typeof Kind)[keyof typeof Kind];
/** Words of a node. HEAD is the record's, but for what the schedule adds. */
export const NodeWord = {
  KIND: 0,
  HEAD: 1,
  ADDRESS: 2,
  SIZE: 3,
  READ: 4,
  WRITTEN: 5,
  SITE: 6,
  NEXT: 7,
} as const;
const NODE_WORDS = 8;
/** Words of an edge: for which value read, what is written then, what comes then, and the next edge. */
export const EdgeWord = { VALUE: 0, WRITTEN: 1, NEXT: 2, OTHER: 3 } as const;
const EDGE_WORDS = 4;
const WORDS_AT_FIRST = 2_048;
const WORDS_MAX = 1 << 22;
/** Of the start and of the end of some bytes. */
const HASHED_BYTES = 32;
/** Instead of a place in a tree: nothing can stand there. */
export const NOWHERE = -1;

/** Two runs did different things after the same reads: the flow is no function of what it reads. */
export class NoFunctionError extends Error {}

function doesWrite(head: number): boolean {
  return (footprint(opType(head)) & Footprint.WRITES) !== 0;
}

export class FlowTree {
  /** Begins with where each CPU's tree does, and then those of its handlers. 0: nothing. */
  // wall: typed-array: what has been learnt, and no memory of the machine's
  words: Int32Array = new Int32Array(WORDS_AT_FIRST);
  /** What its steps write, and what is left between. */
  readonly written = new WrittenWords();
  /**
   * Beside nodes, by a quarter of their index: of a STEP or WAIT, a number for the calls on the stack, as far as a handler goes by
   * them; of a STEP that stores more than a word, the number of what it stores.
   */
  // wall: typed-array: the same
  calls: Int32Array = new Int32Array(WORDS_AT_FIRST / 4);
  // wall: typed-array: the same
  stores: Int32Array = new Int32Array(WORDS_AT_FIRST / 4);
  /** What is wider than a word, by number from 1. */
  // wall: typed-array: what has been learnt
  readonly #bytes: Uint8Array[] = [new Uint8Array(0)];
  /** Numbers by a hash of what they stand for. */
  readonly #numbers = new Map<number, number[]>();
  #lastKept: Uint8Array | undefined;
  #lastNumber = 0;
  #used: number;

  constructor(cpus: number) {
    // No node is 0, and what is kept for one beside this array has no part of it.
    this.#used = Math.max(2 * cpus, EDGE_WORDS);
    // What has been set once V8 takes for a constant: code compiled so is thrown away where a tree first grows, and the loop of
    // known-steps.ts has then been seen to stay slow for good.
    this.words = twiceAsLong(this.words);
    this.calls = twiceAsLong(this.calls);
    this.stores = twiceAsLong(this.stores);
  }

  /** Above every node and every edge. */
  get end(): number {
    return this.#used;
  }

  /** No more can be learnt. */
  get isFull(): boolean {
    return this.#used >= WORDS_MAX;
  }

  /** The edge for a value read, 0 = that has not been seen. */
  edge(first: number, value: number): number {
    const tree = this.words;
    let edge = first;
    while (edge !== 0 && tree[edge] !== value) edge = tree[edge + EdgeWord.OTHER]!;
    return edge;
  }

  /** The node at `slot`: made, or the same as was made before. */
  put(
    slot: number,
    kind: Kind,
    head: number,
    address: number,
    size: number,
    read: number,
    written: number,
    site: number,
    calls = 0,
    stores = 0,
  ): number {
    if (slot === NOWHERE) return NOWHERE;
    const known = this.words[slot]!;
    const node = known === 0 ? this.#take(NODE_WORDS) : known;
    if (node === NOWHERE) return NOWHERE;
    const tree = this.words;
    const words = [kind, head, address, size, read, written, site];
    for (const [word, value] of words.entries()) {
      if (known === 0) tree[node + word] = value;
      else if (tree[node + word] !== (value | 0)) throw new NoFunctionError();
    }
    const beside = node >>> 2;
    if (known === 0) {
      this.calls[beside] = calls;
      this.stores[beside] = stores;
    } else if (this.calls[beside] !== calls || this.stores[beside] !== stores) throw new NoFunctionError();
    tree[slot] = node;
    if (
      known === 0 &&
      (kind === Kind.LEAVE || kind === Kind.TALLY || (kind === Kind.STEP && doesWrite(head)))
    )
      this.written.addBytes(address >>> 0, kind === Kind.STEP ? size : 4);
    return node;
  }

  /** Where what comes after a node is to stand, for a value it read. */
  readAs(node: number, value: number, written: number): number {
    let slot = node + NodeWord.NEXT;
    for (let edge = this.words[slot]!; edge !== 0; edge = this.words[slot]!) {
      if (this.words[edge] === (value | 0)) {
        if (this.words[edge + EdgeWord.WRITTEN] !== written) throw new NoFunctionError();
        return edge + EdgeWord.NEXT;
      }
      slot = edge + EdgeWord.OTHER;
    }
    const edge = this.#take(EDGE_WORDS);
    if (edge === NOWHERE) return NOWHERE;
    this.words[edge] = value;
    this.words[edge + EdgeWord.WRITTEN] = written;
    this.words[slot] = edge;
    return edge + EdgeWord.NEXT;
  }

  bytesOf(number: number): Uint8Array {
    return this.#bytes[number]!;
  }

  /** The number of these bytes, 0 = they have none. */
  numberOf(u8: Uint8Array, at: number, length: number): number {
    return this.#numbered(this.#numbers.get(hashOf(u8, at, length)), u8, at, length);
  }

  /** The number that these bytes have from here on. */
  keep(bytes: Uint8Array): number {
    if (this.#lastKept === bytes) return this.#lastNumber;
    this.#lastKept = bytes;
    return (this.#lastNumber = this.#keepAnew(bytes));
  }

  #keepAnew(bytes: Uint8Array): number {
    const hash = hashOf(bytes, 0, bytes.length);
    let list = this.#numbers.get(hash);
    const known = this.#numbered(list, bytes, 0, bytes.length);
    if (known !== 0) return known;
    if (list === undefined) this.#numbers.set(hash, (list = []));
    list.push(this.#bytes.length);
    return this.#bytes.push(bytes) - 1;
  }

  #numbered(list: readonly number[] = [], u8: Uint8Array, at: number, length: number): number {
    for (const number of list) {
      const bytes = this.#bytes[number]!;
      if (bytes.length === length && Buffer.compare(bytes, u8.subarray(at, at + length)) === 0) return number;
    }
    return 0;
  }

  #take(words: number): number {
    if (this.#used + words > WORDS_MAX) {
      this.#used = WORDS_MAX;
      return NOWHERE;
    }
    if (this.#used + words > this.words.length) {
      this.words = twiceAsLong(this.words);
      this.calls = twiceAsLong(this.calls);
      this.stores = twiceAsLong(this.stores);
    }
    const at = this.#used;
    this.#used += words;
    return at;
  }
}

/** Of the first bytes and the last: of many at once most are the same. */
function hashOf(u8: Uint8Array, at: number, length: number): number {
  const ends = Math.min(length, HASHED_BYTES);
  let hash = length;
  for (let index = 0; index < ends; index++) {
    hash = Math.imul(hash ^ u8[at + index]!, 0x01000193);
    hash = Math.imul(hash ^ u8[at + length - 1 - index]!, 0x01000193);
  }
  return hash;
}

function twiceAsLong(words: Int32Array): Int32Array {
  // wall: typed-array: what has been learnt
  const grown = new Int32Array(words.length * 2);
  grown.set(words);
  return grown;
}
