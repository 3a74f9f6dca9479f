/**
 * A CPU's registers, as words of its block in memory. Only that CPU writes them while it runs; the host and reports read
 * them at rest. They are not shared operations: no scheduling point, no event.
 */
import { assert } from '#base/assert';
import { CpuWord, type Geometry, type PowerState, cpuBlock } from './layout.ts';

export class CpuRegisters {
  readonly cpu: number;
  /** Word index of the block. */
  readonly base: number;
  readonly #words: Int32Array;

  constructor(words: Int32Array, layout: Geometry, cpu: number) {
    assert(cpu >= 0 && cpu < layout.nrPossible, `CpuRegisters: no CPU ${cpu}`);
    this.cpu = cpu;
    this.base = cpuBlock(layout, cpu) >>> 2;
    this.#words = words;
  }

  /** @param word one of CpuWord */
  get(word: number): number {
    return this.#words[this.base + word]!;
  }

  set(word: number, value: number): void {
    this.#words[this.base + word] = value;
  }

  /** A 64-bit value in two words, low first. */
  get64(word: number): bigint {
    const at = this.base + word;
    return (BigInt(this.#words[at + 1]! >>> 0) << 32n) | BigInt(this.#words[at]! >>> 0);
  }

  set64(word: number, value: bigint): void {
    const at = this.base + word;
    this.#words[at] = Number(BigInt.asIntN(32, value));
    this.#words[at + 1] = Number(BigInt.asIntN(32, value >> 32n));
  }

  get irqsEnabled(): boolean {
    return this.#words[this.base + CpuWord.IRQS_ENABLED] !== 0;
  }

  get power(): PowerState {
    return this.#words[this.base + CpuWord.POWER] as PowerState;
  }

  get preemptCount(): number {
    return this.#words[this.base + CpuWord.PREEMPT_COUNT]!;
  }

  get hardirqCount(): number {
    return this.#words[this.base + CpuWord.HARDIRQ_COUNT]!;
  }
}
