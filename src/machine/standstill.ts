/**
 * Parallel mode: whether anybody can still go on, told from memory alone. A CPU that waits has been seen to look at its condition
 * again, in vain, while all others slept: then nothing is left that could change what it waits for. No clock is asked, so a busy
 * host makes this late and never wrong.
 */
import type { BaseBus } from '#memory/base-bus';
import { CpuWord, Halted, PENDING_MASKABLE } from '#memory/layout';

/** Times that every CPU must have gone back to sleep since all were first seen asleep: it has looked in between. */
const LOOKS = 2;

/** Whether a CPU's thread sleeps with nothing to take, and simulated time would not wake it either. */
export function isAsleep(bus: BaseBus, cpu: number): boolean {
  const { base } = bus.registersOf(cpu);
  const word = (index: number): number => Atomics.load(bus.i32, base + index);
  if (word(CpuWord.HALTED) === Halted.AWAKE || word(CpuWord.DEADLINE_US) !== 0) return false;
  // An interrupt that an injected fault has made late is still to come.
  if (word(CpuWord.LATE) !== 0) return false;
  const pending = word(CpuWord.PENDING);
  return (word(CpuWord.IRQS_ENABLED) !== 0 ? pending : pending & ~PENDING_MASKABLE) === 0;
}

export class Standstill {
  readonly #bus: BaseBus;
  readonly #cpus: number;
  readonly #waits: Int32Array;
  readonly #halts: Int32Array;
  #isNoted = false;
  /** The CPUs are looked at one after the other: what was noted first may be a mixture of two moments, what is noted next is not. */
  #isSure = false;

  constructor(bus: BaseBus, cpus: number) {
    this.#bus = bus;
    this.#cpus = cpus;
    this.#waits = new Int32Array(cpus);
    this.#halts = new Int32Array(cpus);
  }

  /** To be asked every few milliseconds. True once nobody can go on any more. */
  isReached(): boolean {
    for (let cpu = 0; cpu < this.#cpus; cpu++) {
      if (isAsleep(this.#bus, cpu)) continue;
      this.#isNoted = false;
      return false;
    }
    if (!this.#isNoted || !this.#areInTheSameWaits()) this.#isSure = false;
    else if (!this.#haveLooked()) return false;
    else if (this.#isSure) return true;
    else this.#isSure = true;
    this.#note();
    return false;
  }

  /** At the last look all CPUs slept: what comes next should not be long in coming. */
  get isPossible(): boolean {
    return this.#isNoted;
  }

  #word(cpu: number, index: number): number {
    return Atomics.load(this.#bus.i32, this.#bus.registersOf(cpu).base + index);
  }

  #areInTheSameWaits(): boolean {
    return this.#waits.every((waits, cpu) => waits === this.#word(cpu, CpuWord.WAITS));
  }

  /** Who sleeps until it is kicked has nothing to look at. */
  #haveLooked(): boolean {
    return this.#halts.every(
      (halts, cpu) =>
        this.#word(cpu, CpuWord.HALTED) === Halted.ASLEEP ||
        ((this.#word(cpu, CpuWord.HALTS) - halts) | 0) >= LOOKS,
    );
  }

  #note(): void {
    for (let cpu = 0; cpu < this.#cpus; cpu++) {
      this.#waits[cpu] = this.#word(cpu, CpuWord.WAITS);
      this.#halts[cpu] = this.#word(cpu, CpuWord.HALTS);
    }
    this.#isNoted = true;
  }
}
