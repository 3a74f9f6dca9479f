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
  /** the flow has ended, and its CPU is idle */
  OVER: 5,
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
const WORDS_AT_FIRST = 4_096;
const WORDS_MAX = 1 << 20;
/** Instead of a place in a tree: nothing can stand there. */
export const NOWHERE = -1;

/** Two runs did different things after the same reads: the flow is no function of what it reads. */
export class NoFunctionError extends Error {}

function doesWrite(head: number): boolean {
  return (footprint(opType(head)) & Footprint.WRITES) !== 0;
}

export class FlowTree {
  /** Begins with where each CPU's tree does. 0: nothing. */
  // wall: typed-array: what has been learnt, and no memory of the machine's
  words: Int32Array = new Int32Array(WORDS_AT_FIRST);
  /** What its steps write, and what is left between. */
  readonly written = new WrittenWords();
  #used: number;

  constructor(cpus: number) {
    // No node is 0, and what is kept for one beside this array has no part of it.
    this.#used = Math.max(cpus, EDGE_WORDS);
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
    tree[slot] = node;
    if (known === 0 && (kind === Kind.LEAVE || (kind === Kind.STEP && doesWrite(head))))
      this.written.addBytes(address >>> 0, kind === Kind.LEAVE ? 4 : size);
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

  #take(words: number): number {
    if (this.#used + words > WORDS_MAX) {
      this.#used = WORDS_MAX;
      return NOWHERE;
    }
    if (this.#used + words > this.words.length) {
      // wall: typed-array: the same
      const grown = new Int32Array(this.words.length * 2);
      grown.set(this.words);
      this.words = grown;
    }
    const at = this.#used;
    this.#used += words;
    return at;
  }
}
