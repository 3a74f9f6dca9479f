/**
 * A race of kvm-54, looked for: kvm-intel loads on CPU 1 while CPU 0 takes CPU 2 offline (spec 7.8, row KI-6..KI-7).
 *
 * Random schedules from one snapshot, one seed each, until a CPU that was taken offline cannot be started again. The
 * strategies that search better come with the search engine; this only shows that chance and replay are enough.
 */
import type { TraceEvent } from '#trace/events';
import { Machine } from './machine.ts';

/** Seeds to try. One in seven or so hits; all of them missing says that the race is gone. */
const SEEDS_MAX = 120;
/** Rounds that CPU 3 goes off and on before CPU 2 goes: how long the load has by then decides where the two meet. */
const LEAD_ROUNDS = 9;

export interface Hunt {
  /** The seed that showed it, or undefined after `tried` without. */
  readonly seed: number | undefined;
  readonly tried: number;
  /** The trace of the run that showed it. */
  readonly events: readonly TraceEvent[];
  /** Answer of the cpu_up that failed. */
  readonly error: number;
}

export interface HuntOptions {
  readonly signal?: AbortSignal;
}

/** Looks for the race on a machine of its own. */
export async function huntStuckCpu({ signal }: HuntOptions = {}): Promise<Hunt> {
  const machine = await Machine.powerOn({ cpus: 4, vendor: 'intel', mode: 'deterministic', trace: 5 });
  try {
    await machine.call('sys_init_module', { text: 'kvm' });
    const snapshot = machine.snapshot();
    for (let seed = 1; seed <= SEEDS_MAX; seed++) {
      if (signal?.aborted === true) break;
      await machine.restore(snapshot);
      machine.reseed(seed);
      const outcomes = await machine.callAll([
        { symbol: 'sys_init_module', cpu: 1, text: 'kvm-intel' },
        // One CPU runs its tasks one after the other: CPU 3 goes off and on for a while, then CPU 2 goes for good.
        { symbol: 'hotplug_torture', cpu: 0, args: [3, LEAD_ROUNDS] },
        { symbol: 'cpu_down', cpu: 0, args: [2] },
        { symbol: 'cpu_up', cpu: 0, args: [2] },
      ]);
      const back = outcomes[3];
      if (back?.kind === 'returned' && back.value !== 0) {
        return { seed, tried: seed, events: machine.trace().events, error: back.value };
      }
    }
    return { seed: undefined, tried: SEEDS_MAX, events: [], error: 0 };
  } finally {
    await machine.powerOff();
  }
}
