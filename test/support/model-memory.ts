/**
 * What a model machine remembers: words, the store buffers in front of them, and who has touched which word in the whole
 * campaign. Behind the program's words each CPU has its pending word: bit n says that interrupt n of the program is raised.
 */
import { assert } from '#base/assert';
import type { Actor } from '#base/strategy';
import { STORE_BUFFER_ENTRIES } from '#memory/search';

interface BufferedStore {
  readonly address: number;
  readonly size: number;
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
  /** The same memory. */
  private readonly halves: Uint16Array;
  private readonly single: Uint8Array;
  /** By word: 0 nobody, actor + 1, or SHARED. Kept from run to run. */
  private readonly owners: Uint8Array;
  /** Words that may not be 0, and whether a word is among them. */
  private readonly written: number[] = [];
  private readonly isWritten: Uint8Array;
  private readonly bytes: number;
  private readonly cpus: number;

  /** @param bytes that programs may use: addresses from 0 to below it */
  constructor(bytes: number, cpus: number) {
    this.bytes = bytes;
    this.cpus = cpus;
    const count = (bytes >>> 2) + cpus * 2 + 1;
    this.words = new Int32Array(count);
    this.halves = new Uint16Array(this.words.buffer);
    this.single = new Uint8Array(this.words.buffer);
    this.owners = new Uint8Array(count);
    this.isWritten = new Uint8Array(count);
    this.buffers = Array.from({ length: cpus }, () => []);
  }

  /** Address of a CPU's pending word. */
  pendingOf(cpu: number): number {
    return this.bytes + cpu * 4;
  }

  /** Address of how many flows ask for another CPU, and of what the one that began on a CPU wants. */
  get orphans(): number {
    return this.bytes + this.cpus * 4;
  }

  wantsOf(context: number): number {
    return this.orphans + 4 + context * 4;
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

  read(address: number, size = 4): number {
    if (size === 1) return this.single[address]!;
    return size === 2 ? this.halves[address >>> 1]! : this.words[address >>> 2]!;
  }

  write(address: number, value: number, size = 4): void {
    this.note(address >>> 2);
    if (size === 1) this.single[address] = value;
    else if (size === 2) this.halves[address >>> 1] = value;
    else this.words[address >>> 2] = value;
  }

  private note(word: number): void {
    if (this.isWritten[word] !== 0) return;
    this.isWritten[word] = 1;
    this.written.push(word);
  }

  fill(address: number, byte: number, length: number): void {
    for (let at = address; at < address + length; at++) this.write(at, byte, 1);
  }

  copy(destination: number, source: number, length: number): void {
    const bytes = this.single.slice(source, source + length);
    for (const [index, byte] of bytes.entries()) this.write(destination + index, byte, 1);
  }

  /** What a load sees of its CPU's own buffer: the value, 'partly' if it has to wait for the rest, or nothing. */
  buffered(cpu: number, address: number, size = 4): number | 'partly' | undefined {
    const buffer = this.buffers[cpu]!;
    for (let index = buffer.length - 1; index >= 0; index--) {
      const { address: start, size: bytes, value } = buffer[index]!;
      if (address >= start + bytes || start >= address + size) continue;
      if (address < start || address + size > start + bytes) return 'partly';
      const low = value >>> ((address - start) * 8);
      return size === 4 ? low | 0 : low & (size === 2 ? 0xffff : 0xff);
    }
    return undefined;
  }

  /** What a wait's condition reads: of a word that is buffered in part, what is in memory. */
  seen(cpu: number, address: number): number {
    const own = this.buffered(cpu, address);
    return typeof own === 'number' ? own : this.read(address);
  }

  isBufferFull(cpu: number): boolean {
    return this.buffers[cpu]!.length === STORE_BUFFER_ENTRIES;
  }

  /** Notes that the actor uses these bytes; true if others use some of their words as well. */
  claim(actor: Actor, address: number, size = 4): boolean {
    assert(
      address >= 0 && (size > 4 || address % size === 0),
      'ModelState.claim: the address is not aligned',
    );
    let isShared = false;
    for (let word = address >>> 2; word <= (address + size - 1) >>> 2; word++)
      isShared = this.claimWord(actor, word) || isShared;
    return isShared;
  }

  private claimWord(actor: Actor, word: number): boolean {
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
