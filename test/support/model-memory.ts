/**
 * What a model machine remembers: words, the store buffers in front of them, and who has touched which word in the whole
 * campaign. Behind the program's words each CPU has its pending word: bit n says that interrupt n of the program is raised.
 */
import { assert } from '#base/assert';
import type { Actor } from '#base/strategy';
import { STORE_BUFFER_ENTRIES } from '#memory/search';

interface BufferedStore {
  readonly address: number;
  readonly value: number;
  readonly kind: number;
}

/** In `owners`: more than one actor uses the word. */
const SHARED = 255;

export class ModelState {
  /** Some word became shared in this run. */
  sharedGrew = false;
  readonly buffers: BufferedStore[][];
  private readonly words: Int32Array;
  /** By word: 0 nobody, actor + 1, or SHARED. Kept from run to run. */
  private readonly owners: Uint8Array;
  /** Words that may not be 0, and whether a word is among them. */
  private readonly written: number[] = [];
  private readonly isWritten: Uint8Array;
  private readonly bytes: number;

  /** @param bytes that programs may use: addresses from 0 to below it */
  constructor(bytes: number, cpus: number) {
    this.bytes = bytes;
    const count = (bytes >>> 2) + cpus;
    this.words = new Int32Array(count);
    this.owners = new Uint8Array(count);
    this.isWritten = new Uint8Array(count);
    this.buffers = Array.from({ length: cpus }, () => []);
  }

  /** Address of a CPU's pending word. */
  pendingOf(cpu: number): number {
    return this.bytes + cpu * 4;
  }

  /** Everything is 0 again; who has touched what stays known. */
  reset(): void {
    for (const word of this.written) {
      this.words[word] = 0;
      this.isWritten[word] = 0;
    }
    this.written.length = 0;
    for (const buffer of this.buffers) buffer.length = 0;
    this.sharedGrew = false;
  }

  read(address: number): number {
    return this.words[address >>> 2]!;
  }

  write(address: number, value: number): void {
    const word = address >>> 2;
    if (this.isWritten[word] === 0) {
      this.isWritten[word] = 1;
      this.written.push(word);
    }
    this.words[word] = value;
  }

  /** The newest store to this word in the CPU's own buffer. */
  buffered(cpu: number, address: number): BufferedStore | undefined {
    const buffer = this.buffers[cpu]!;
    for (let index = buffer.length - 1; index >= 0; index--)
      if (buffer[index]!.address === address) return buffer[index];
    return undefined;
  }

  isBufferFull(cpu: number): boolean {
    return this.buffers[cpu]!.length === STORE_BUFFER_ENTRIES;
  }

  /** Notes that the actor uses the word; true if others do as well. */
  claim(actor: Actor, address: number): boolean {
    assert(address >= 0 && (address & 3) === 0, 'ModelState.claim: 4 does not divide the address');
    const word = address >>> 2;
    assert(word < this.owners.length, 'ModelState.claim: the address is beyond memory');
    const owner = this.owners[word]!;
    if (owner === actor + 1) return false;
    if (owner === 0) {
      this.owners[word] = actor + 1;
      return false;
    }
    if (owner !== SHARED) {
      this.owners[word] = SHARED;
      this.sharedGrew = true;
    }
    return true;
  }

  isShared(address: number): boolean {
    return this.owners[address >>> 2] === SHARED;
  }

  /** Somebody outside the machine uses the word too. */
  share(address: number): void {
    this.owners[address >>> 2] = SHARED;
  }

  /** The program's words that are not 0, by address. */
  contents(onlyShared = false): Record<number, number> {
    const contents: Record<number, number> = {};
    for (const word of this.written)
      if (this.words[word] !== 0 && word < this.bytes >>> 2 && (!onlyShared || this.owners[word] === SHARED))
        contents[word * 4] = this.words[word]!;
    return contents;
  }
}
