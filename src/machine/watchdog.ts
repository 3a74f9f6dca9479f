/**
 * Watchdogs, as the kernel has them, for machines in parallel mode: soft and hard lockup, a cross call that nobody answers, a task
 * that does not wake up. The simulated kernel has no timer, so the host is theirs: it looks into memory a few times a second.
 *
 * Whoever calls says how much time has passed in which every thread could have run: a busy host makes that little, and so no
 * watchdog barks because of it. What a CPU is seen to do is compared over a whole period; one look proves nothing.
 *
 * @linux kernel/softlockup.c, arch/x86/kernel/nmi_64.c, as of 2.6.24; kernel/hung_task.c, as of 2.6.30; kernel/smp.c (CSD lock
 *   debugging), as of 5.10: their conditions and their words
 */
import { CpuWord, Pending, TASK_BYTES } from '#memory/layout';
import { stackOf } from '#memory/stack';
import { NULL } from '#memory/struct';
import { symbolName } from '#memory/symbols';
import { call_data, call_data_struct, call_lock } from '#smp/call_function';
import { cpu_online } from '#smp/cpumask';
import { TASK_SLEEPING, task_struct } from '#smp/sched';
import type { Machine } from './machine.ts';

export interface Bark {
  readonly kind: 'soft-lockup' | 'hard-lockup' | 'csd-lock' | 'hung-task';
  /** In the kernel's words. */
  readonly title: string;
  readonly cpu: number;
  /** Innermost call first. */
  readonly stack: readonly string[];
}

export interface WatchdogSeconds {
  readonly softLockup: number;
  readonly hardLockup: number;
  readonly csdLock: number;
  readonly hungTask: number;
}

/** Those of the kernel, but for hung tasks: its two minutes are for disks. */
export const WATCHDOG_SECONDS: WatchdogSeconds = { softLockup: 10, hardLockup: 5, csdLock: 5, hungTask: 30 };

/** Of the interrupts that CPUs send each other: CpuWord.INTERRUPTS counts each. */
const VECTORS = [0, 1];

/** Something that has been the same at every look since a moment of the watchdogs' time. */
interface Watched {
  readonly state: string;
  readonly since: number;
  readonly told: boolean;
}

export class Watchdog {
  readonly #machine: Machine;
  readonly #limits: WatchdogSeconds;
  readonly #watched = new Map<string, Watched>();
  /** Seconds of time in which every thread could have run. */
  #now = 0;

  constructor(machine: Machine, limits: WatchdogSeconds = WATCHDOG_SECONDS) {
    this.#machine = machine;
    this.#limits = limits;
  }

  /** A look. @param fairMs milliseconds since the last one in which no thread was kept from running */
  look(fairMs: number): Bark[] {
    this.#now += fairMs / 1_000;
    return this.#machine.look(() => [...this.#lockups(), ...this.#crossCall(), ...this.#tasks()]);
  }

  /**
   * Seconds for which `name` has been in this state, if they are just now more than `limit`; told once.
   * @param state undefined: it is not in the state that is watched
   */
  #stuck(name: string, state: string | undefined, limit: number): number | undefined {
    const before = this.#watched.get(name);
    if (state === undefined) {
      this.#watched.delete(name);
      return undefined;
    }
    if (before === undefined || before.state !== state) {
      this.#watched.set(name, { state, since: this.#now, told: false });
      return undefined;
    }
    const seconds = this.#now - before.since;
    if (before.told || seconds < limit) return undefined;
    this.#watched.set(name, { ...before, told: true });
    return Math.round(seconds);
  }

  /** A CPU that never lets its watchdog thread run, and one that never takes an interrupt. */
  *#lockups(): Generator<Bark> {
    const { bus, config } = this.#machine;
    for (let cpu = 0; cpu < config.possible; cpu++) {
      const registers = bus.registersOf(cpu);
      const task = registers.get(CpuWord.CURRENT_TASK);
      const isBusy = cpu_online(cpu) && (task !== NULL || registers.get(CpuWord.HARDIRQ_COUNT) !== 0);
      const isOff = !registers.irqsEnabled;
      const isAtomic = isOff || registers.preemptCount !== 0 || registers.get(CpuWord.HARDIRQ_COUNT) !== 0;
      // Whoever waits again and again gets somewhere in between; so does whoever is interrupted again and again, if that is all
      // that keeps others from running there.
      const waits = `${task} ${registers.get(CpuWord.WAITS)}`;
      const interrupts = `${waits} ${VECTORS.map((vector) => registers.get(CpuWord.INTERRUPTS + vector)).join()}`;
      const { comm, pid } = task === NULL ? { comm: 'swapper', pid: 0 } : task_struct.at(task);
      const hard = this.#stuck(
        `hard ${cpu}`,
        isBusy && isOff ? interrupts : undefined,
        this.#limits.hardLockup,
      );
      if (hard !== undefined)
        yield {
          kind: 'hard-lockup',
          title: `NMI Watchdog detected LOCKUP on CPU ${cpu}`,
          cpu,
          stack: stackOf(cpu),
        };
      const soft = this.#stuck(
        `soft ${cpu}`,
        isBusy && isAtomic ? (registers.preemptCount === 0 ? interrupts : waits) : undefined,
        this.#limits.softLockup,
      );
      if (soft !== undefined) {
        const title = `BUG: soft lockup - CPU#${cpu} stuck for ${soft}s! [${comm}:${pid}]`;
        yield { kind: 'soft-lockup', title, cpu, stack: stackOf(cpu) };
      }
    }
  }

  /** The one cross call that can be in flight. */
  *#crossCall(): Generator<Bark> {
    const { bus, config } = this.#machine;
    const owner = call_lock.owner_cpu - 1;
    const data = call_data.value;
    const isHeld = call_lock.slock !== 0 && owner >= 0 && owner < config.possible && data !== NULL;
    const state = isHeld ? `${owner} ${data} ${bus.registersOf(owner).get(CpuWord.WAITS)}` : undefined;
    const seconds = this.#stuck('csd', state, this.#limits.csdLock);
    if (seconds === undefined || !stackOf(owner).includes('native_smp_call_function_mask')) return;
    const { func, info } = call_data_struct.at(data);
    for (let cpu = 0; cpu < config.possible; cpu++) {
      if (cpu === owner || !cpu_online(cpu)) continue;
      const stack = stackOf(cpu);
      const isPending = (bus.registersOf(cpu).get(CpuWord.PENDING) & Pending.CALL_FUNCTION) !== 0;
      if (!isPending && !stack.includes('smp_call_function_interrupt')) continue;
      const what = `${symbolName(func) ?? `0x${func.toString(16)}`}(0x${info.toString(16)})`;
      const title = `smp: csd: Detected non-responsive CSD lock (#1) on CPU#${owner}, waiting ${seconds * 1e9} ns for CPU#${String(cpu).padStart(2, '0')} ${what}.`;
      yield { kind: 'csd-lock', title, cpu, stack };
    }
  }

  /** Tasks that sleep and are not woken. */
  *#tasks(): Generator<Bark> {
    const { layout } = this.#machine;
    const { hungTask } = this.#limits;
    for (let index = 0; index < layout.nrTasks; index++) {
      const task = task_struct.at(layout.tasks + index * TASK_BYTES);
      const { pid, cpu } = task;
      const isAsleep = task.state === TASK_SLEEPING;
      const seconds = this.#stuck(`task ${index}`, isAsleep ? `${pid} ${task.nvcsw}` : undefined, hungTask);
      if (seconds === undefined) continue;
      const title = `INFO: task ${task.comm}:${pid} blocked for more than ${hungTask} seconds.`;
      yield { kind: 'hung-task', title, cpu, stack: stackOf(cpu) };
    }
  }
}
