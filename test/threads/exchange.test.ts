/**
 * A task outlives the CPU it is on, because its thread changes places with another CPU's (src/cpu-worker/exchange.ts): who
 * asks for what, when, and how many at once must not matter. Long: SMPLAB_LONG=1.
 */
import { afterAll, describe, expect, it } from 'vitest';
import {
  type CallOptions,
  type Machine,
  type MachineConfig,
  Milestone,
  EventType,
  Instruction,
  type TraceEvent,
  closeSharedPool,
} from 'smplab';
import { valueOf, withMachine } from '../support/kvm-machine.ts';

const isLong = process.env['SMPLAB_LONG'] !== undefined;
const EBUSY = -16;
const EINVAL = -22;
const MODES = ['parallel', 'deterministic'] as const;
const TRACE_ALL = 7;
const TRACE_HARDWARE = 4;
const CALL_TIMEOUT_MS = 10_000;

type Call = CallOptions & { readonly symbol: string };

const cpuDown = (victim: number, cpu: number): Call => ({ symbol: 'cpu_down', cpu, args: [victim] });
const cpuUp = (newcomer: number, cpu: number): Call => ({ symbol: 'cpu_up', cpu, args: [newcomer] });
const offAndOn = (victim: number, cpu: number): Call => ({
  symbol: 'hotplug_torture',
  cpu,
  args: [victim, 1],
});
const crossCalls = (cpu: number, rounds: number): Call => ({
  symbol: 'scf_torture_all',
  cpu,
  args: [rounds],
});

afterAll(() => closeSharedPool());

/** What the calls came to. Whatever it was, the kernel has nothing to complain about. */
async function run(machine: Machine, calls: readonly Call[]): Promise<(number | string)[]> {
  const outcomes = await machine.callAll(calls);
  expect(machine.findings().records).toEqual([]);
  return outcomes.map(valueOf);
}

function boot<T>(config: Partial<MachineConfig>, use: (machine: Machine) => Promise<T>): Promise<T> {
  return withMachine({ cpus: 2, vendor: 'amd', callTimeoutMs: CALL_TIMEOUT_MS, ...config }, use);
}

/** Numbers that look random and are the same every time. */
function numbers(seed: number): (below: number) => number {
  let state = Math.imul(seed, 0x9e3779b1) || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

describe.each(MODES)('in %s mode', (mode) => {
  const rounds = mode === 'parallel' ? 40 : 10;

  it('a task that takes the CPU it runs on offline goes on elsewhere', () =>
    boot({ mode, cpus: 3 }, async (machine) => {
      for (let round = 0; round < rounds; round++) {
        expect(await run(machine, [cpuDown(2, 2)])).toEqual([0]);
        expect(await run(machine, [cpuUp(2, 1)])).toEqual([0]);
      }
    }));

  it('of two tasks on two CPUs that both take CPU 1 offline, one does and the other hears that it is the last', () =>
    boot({ mode }, async (machine) => {
      for (let round = 0; round < rounds; round++) {
        const values = await run(machine, [cpuDown(1, 0), cpuDown(1, 1)]);
        expect(values.toSorted((a, b) => Number(a) - Number(b))).toEqual([EBUSY, 0]);
        expect(await run(machine, [cpuUp(1, 0)])).toEqual([0]);
      }
    }));

  it('tasks that sleep on a CPU when it goes offline wake up on another', () =>
    boot({ mode, cpus: 4 }, async (machine) => {
      for (let round = 0; round < rounds; round++) {
        // They wait for the hotplug mutex while who holds it takes their CPUs away, one after the other.
        const values = await run(machine, [cpuDown(1, 0), cpuDown(2, 1), cpuDown(3, 2), cpuDown(3, 3)]);
        expect(values.slice(0, 2)).toEqual([0, 0]);
        // The last two want the same: one of them finds it gone, or, if it comes last of all, itself the last CPU.
        const [loser, winner] = values.slice(2).toSorted((a, b) => Number(a) - Number(b));
        expect([EINVAL, EBUSY]).toContain(loser);
        expect(winner).toBe(0);
        expect(await run(machine, [cpuUp(1, 0), cpuUp(2, 0), cpuUp(3, 0)])).toEqual([0, 0, 0]);
      }
    }));

  it('a CPU starts again while a task whose CPU it was still waits for one', () =>
    boot({ mode }, async (machine) => {
      for (let round = 0; round < rounds; round++) {
        // CPU 0 is not free in between: the task of CPU 1 has nowhere to go but back.
        const values = await run(machine, [offAndOn(1, 0), crossCalls(1, 50)]);
        expect(values).toEqual([0, 0]);
      }
    }));

  it('a task that has lost its CPU has its turn before all that waits for the only one there is', () =>
    boot({ mode, trace: TRACE_HARDWARE }, async (machine) => {
      const homeless = 500;
      const queued = Array.from({ length: 20 }, () => crossCalls(0, 20));
      const values = await run(machine, [
        { ...cpuDown(1, 1), pid: homeless },
        ...queued,
        { ...crossCalls(0, 1), pid: homeless + 1 },
      ]);
      expect(values).toEqual([0, ...queued.map(() => 0), 0]);
      const ended = machine.trace().events.filter(({ type, d }) => type === EventType.TASK && d === 1);
      const pids = ended.map(({ b }) => b).filter((pid) => pid === homeless || pid === homeless + 1);
      expect(pids).toEqual([homeless, homeless + 1]);
    }));

  it('CPU 0 refuses to go, and the task that asked it to is back where it may run', () =>
    boot({ mode, cpus: 3 }, async (machine) => {
      for (let round = 0; round < rounds; round++) {
        expect(await run(machine, [cpuDown(0, 0), crossCalls(1, 5), cpuDown(0, 2)])).toEqual([
          EBUSY,
          0,
          EBUSY,
        ]);
      }
    }));
});

describe('under load', () => {
  interface Load {
    readonly mode: (typeof MODES)[number];
    readonly rounds: number;
    readonly crossCallRounds: number;
  }
  const loads: readonly Load[] = [
    { mode: 'parallel', rounds: isLong ? 5_000 : 600, crossCallRounds: 80 },
    { mode: 'deterministic', rounds: isLong ? 2_000 : 200, crossCallRounds: 6 },
  ];

  it.each(loads)(
    'CPUs go and come in $rounds rounds of any calls at once in $mode mode, and each call answers as if alone',
    async ({ mode, rounds, crossCallRounds }) => {
      const random = numbers(mode.length);
      for (let machines = 0; machines * 10 < rounds; machines++) {
        const cpus = [2, 3, 4, 6][random(4)]!;
        const arch = random(4) === 0 ? 'i386' : 'x86_64';
        const vendor = random(2) === 0 ? 'amd' : 'intel';
        const spins = [0, 20, 2_000][random(3)]!;
        await boot({ mode, cpus, arch, vendor, spins, seed: machines }, async (machine) => {
          let online = Array.from({ length: cpus }, (_, cpu) => cpu);
          for (let round = 0; round < 10; round++) {
            const calls = Array.from({ length: 1 + random(2 * cpus) }, () =>
              anyCall(random, cpus, online, crossCallRounds),
            );
            const values = await run(machine, calls);
            const story = JSON.stringify([cpus, online, calls, values]);
            expect(
              values.every((value, index) => isPossible(calls[index]!, value)),
              story,
            ).toBe(true);
            online = afterwards(cpus, online, calls, values, story);
          }
        });
      }
    },
    isLong ? 600_000 : 30_000,
  );

  function anyCall(
    random: (below: number) => number,
    cpus: number,
    online: readonly number[],
    crossCallRounds: number,
  ): Call {
    const cpu = online[random(online.length)]!;
    switch (random(5)) {
      case 0:
      case 1:
        return cpuDown(random(cpus), cpu);
      case 2:
      case 3:
        return cpuUp(random(cpus), cpu);
      default:
        return random(2) === 0
          ? crossCalls(cpu, 1 + random(crossCallRounds))
          : { symbol: 'scf_torture_single', cpu, args: [random(cpus), 1 + random(crossCallRounds)] };
    }
  }

  function isPossible({ symbol, args }: Call, value: number | string): boolean {
    if (symbol === 'cpu_down') return value === EBUSY || value === EINVAL || (value === 0 && args![0] !== 0);
    if (symbol === 'cpu_up') return value === 0 || value === EINVAL;
    return value === 0;
  }

  /** The online CPUs: whoever answered 0 did what it says, in some order. */
  function afterwards(
    cpus: number,
    online: readonly number[],
    calls: readonly Call[],
    values: readonly (number | string)[],
    story: string,
  ): number[] {
    const done = (symbol: string, cpu: number): number =>
      calls.filter((call, index) => call.symbol === symbol && call.args![0] === cpu && values[index] === 0)
        .length;
    return Array.from({ length: cpus }, (_, cpu) => cpu).filter((cpu) => {
      const count = (online.includes(cpu) ? 1 : 0) - done('cpu_down', cpu) + done('cpu_up', cpu);
      expect([0, 1], story).toContain(count);
      return count === 1;
    });
  }

  it('a call for a CPU that goes offline at that moment runs on CPU 0', () =>
    boot({ cpus: 3 }, async (machine) => {
      for (let round = 0; round < 200; round++) {
        const down = machine.call('cpu_down', { args: [1] });
        const others = Promise.allSettled(
          Array.from({ length: 5 }, () => machine.call('scf_torture_single', { cpu: 1, args: [0, 1] })),
        );
        expect(valueOf(await down)).toBe(0);
        for (const other of await others) {
          if (other.status === 'fulfilled') expect(valueOf(other.value)).toBe(0);
          else expect(other.reason).toMatchObject({ code: 'SMPLAB_BAD_USAGE' });
        }
        expect(await run(machine, [cpuUp(1, 0)])).toEqual([0]);
      }
    }));

  it.each(MODES)('a machine in %s mode is switched off at once while tasks change CPUs', async (mode) => {
    for (let round = 0; round < 30; round++) {
      await boot({ mode, cpus: 4, seed: round, callTimeoutMs: 500 }, async (machine) => {
        const calls = [1, 2, 3, 0].flatMap((cpu) => [cpuDown(1 + (cpu % 3), cpu), cpuUp(1 + (cpu % 3), cpu)]);
        const ending = Promise.allSettled([machine.callAll(calls)]);
        for (let tick = 0; tick < round % 5; tick++) await new Promise((next) => setImmediate(next));
        const before = performance.now();
        await machine.powerOff();
        // Threads that do not come to rest are ended after two seconds.
        expect(performance.now() - before).toBeLessThan(1_500);
        await ending;
      });
    }
  });
});

describe('the trace of a move', () => {
  const config = { mode: 'deterministic', cpus: 3, trace: TRACE_ALL, traceEventsMax: 100_000 } as const;
  const calls = [cpuDown(1, 0), cpuDown(1, 1), cpuDown(2, 2), crossCalls(1, 2), cpuUp(1, 0)];
  const seeds = Array.from({ length: isLong ? 100 : 12 }, (_, seed) => seed);

  function eventsOf(seed: number): Promise<readonly TraceEvent[]> {
    return boot({ ...config, seed }, async (machine) => {
      machine.clearTrace();
      await run(machine, calls);
      const { events, lost } = machine.trace();
      expect(lost).toBe(0);
      return events;
    });
  }

  it('is the same, event by event, for the same seed', async () => {
    for (const seed of seeds) expect(await eventsOf(seed)).toEqual(await eventsOf(seed));
  });

  it('shows a task on one CPU at a time, and nothing that happens on a dead CPU', async () => {
    for (const seed of seeds) {
      const dead = new Set<number>();
      const cpuOf = new Map<number, number>();
      let moves = 0;
      for (const event of await eventsOf(seed)) {
        const { cpu, type, a, b, c, pid } = event;
        if (type === EventType.INSTRUCTION && a === Instruction.INIT) dead.delete(cpu);
        const begins = type === EventType.LOAD || type === EventType.RMW || type === EventType.FUNCTION_ENTRY;
        if (dead.has(cpu) && (begins || pid !== 0)) throw new Error(`seed ${seed}: ${JSON.stringify(event)}`);
        if (type === EventType.HOTPLUG && a === Milestone.DEAD) dead.add(b);
        if (type !== EventType.TASK) continue;
        // a is the task; c = 1: it goes on here, 0: it leaves.
        if (c === 1) {
          if (cpuOf.has(a))
            throw new Error(`seed ${seed}: task ${b} is on CPU ${cpuOf.get(a)} and on ${cpu}`);
          moves++;
          cpuOf.set(a, cpu);
        } else {
          expect(cpuOf.get(a)).toBe(cpu);
          cpuOf.delete(a);
        }
      }
      expect(moves).toBeGreaterThan(calls.length);
      expect(cpuOf.size).toBe(0);
    }
  });
});
