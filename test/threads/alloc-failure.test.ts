/**
 * An allocation fails, whichever it is: while booting, loading, using a VM, taking a CPU down and up, unloading. The machine answers
 * with an error code or reports an oops or a panic; it never hangs, always switches off, and its threads can be the next machine's.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type CallOutcome,
  type CpuPool,
  Machine,
  type MachineConfig,
  closeSharedPool,
  createPool,
  dmesg,
  kvmState,
} from 'smplab';
import { cpuDown, insmod, succeeds, valueOf, variableAddress, withMachine } from '../support/kvm-machine.ts';

const ALLOCATIONS = process.env['SMPLAB_LONG'] === undefined ? 200 : 600;
const CPUS = 2;
/** What a call may take before it counts as hung. Far more than any takes: a hang is what this looks for. */
const CALL_TIMEOUT_MS = 5_000;
const POWER_OFF_MS = 1_000;
/** Ten times what a run takes on two busy cores. */
const RUN_MILLISECONDS = 600;

const KVM_CREATE_VM = 0xae01;
const KVM_CREATE_VCPU = 0xae41;
const KVM_RUN = 0xae80;

/** Allocations asked for since power-on: the second word of fault_attr. */
function allocationsSeen(machine: Machine): number {
  return machine.bus.u32[(variableAddress('fault_attr') >>> 2) + 1]!;
}

/** How a run ended: each call's value or its bad end, in order. */
interface Run {
  readonly calls: readonly string[];
  readonly ends: readonly CallOutcome['kind'][];
  readonly findings: readonly string[];
  readonly allocations: number;
  readonly powerOffMs: number;
}

/** One machine's day. After an oops or a panic nothing more is asked of it: locks stay taken. */
class Day {
  readonly calls: string[] = [];
  readonly ends: CallOutcome['kind'][] = [];
  readonly #machine: Machine;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  get over(): boolean {
    return this.ends.some((end) => end !== 'returned');
  }

  note(what: string, outcome: CallOutcome): number {
    const value = valueOf(outcome);
    this.calls.push(`${what}: ${value}`);
    this.ends.push(outcome.kind);
    return typeof value === 'number' ? value : -1;
  }

  async call(what: string, symbol: string, args: readonly number[], text?: string): Promise<number> {
    if (this.over) return -1;
    const outcome = await this.#machine.call(symbol, {
      cpu: 0,
      args,
      ...(text === undefined ? {} : { text }),
    });
    return this.note(what, outcome);
  }

  /** A VM, and on AMD a vCPU that runs: on Intel a guest wants memory of its own first. */
  async useVm(vendor: string): Promise<void> {
    const dev = await this.call('open /dev/kvm', 'sys_open', [0, 0, 0], '/dev/kvm');
    if (dev < 0) return;
    const vm = await this.call('KVM_CREATE_VM', 'sys_ioctl', [dev, KVM_CREATE_VM, 0]);
    if (vm >= 0) {
      const vcpu =
        vendor === 'amd' ? await this.call('KVM_CREATE_VCPU', 'sys_ioctl', [vm, KVM_CREATE_VCPU, 0]) : -1;
      if (vcpu >= 0) {
        await this.call('KVM_RUN', 'sys_ioctl', [vcpu, KVM_RUN, 0]);
        await this.call('close vcpu', 'sys_close', [vcpu]);
      }
      await this.call('close vm', 'sys_close', [vm]);
    }
    await this.call('close /dev/kvm', 'sys_close', [dev]);
  }

  /** False if the modules did not load, or did not unload: then kvm is in a state that no second load is for. */
  async loadUseUnload(vendor: string): Promise<boolean> {
    if ((await this.call('insmod kvm', 'sys_init_module', [0, 0, 0], 'kvm')) !== 0) return false;
    const loaded = await this.call(`insmod kvm-${vendor}`, 'sys_init_module', [0, 0, 0], `kvm-${vendor}`);
    if (loaded === 0) {
      await this.useVm(vendor);
      const went = await this.call('cpu_down', 'cpu_down', [1]);
      if (went === 0) await this.call('cpu_up', 'cpu_up', [1]);
      if ((await this.call(`rmmod kvm-${vendor}`, 'sys_delete_module', [0, 0, 0], `kvm-${vendor}`)) !== 0)
        return false;
    }
    return (await this.call('rmmod kvm', 'sys_delete_module', [0, 0, 0], 'kvm')) === 0 && loaded === 0;
  }
}

async function run(config: MachineConfig, pool: CpuPool, nth: number): Promise<Run> {
  const machine = await Machine.powerOn(config, {
    pool,
    beforeBoot: (fresh) => {
      fresh.injectFaults([{ nth }]);
    },
  });
  const day = new Day(machine);
  day.note('boot', machine.bootOutcome);
  // Again, until the failure has had its turn, and once more: each time takes some seventy allocations.
  for (let isLast = false; !day.over && !isLast;) {
    isLast = allocationsSeen(machine) >= nth;
    if (!(await day.loadUseUnload(config.vendor))) break;
  }
  const findings = machine.findings().records.map(({ kind }) => kind);
  const allocations = allocationsSeen(machine);
  const begin = performance.now();
  await machine.powerOff();
  return { calls: day.calls, ends: day.ends, findings, allocations, powerOffMs: performance.now() - begin };
}

afterAll(closeSharedPool);

describe.each([
  { vendor: 'amd', mode: 'parallel' },
  { vendor: 'intel', mode: 'parallel' },
  { vendor: 'amd', mode: 'deterministic' },
] as const)('$vendor, $mode, $CPUS CPUs', ({ vendor, mode }) => {
  const config: MachineConfig = { cpus: CPUS, vendor, mode, seed: 7, callTimeoutMs: CALL_TIMEOUT_MS };
  const runs: Run[] = [];
  let pool: CpuPool;
  /** Threads the pool had when one machine was up. */
  let threads = 0;

  beforeAll(async () => {
    pool = createPool();
    const machine = await Machine.powerOn(config, { pool });
    threads = pool.size;
    await machine.powerOff();
    for (let nth = 1; nth <= ALLOCATIONS; nth++) runs.push(await run(config, pool, nth));
  }, ALLOCATIONS * RUN_MILLISECONDS);
  afterAll(() => pool.close());

  /** Runs of which something is not as it should be, as a list to read: which allocation, and what happened. */
  const wrong = (isWrong: (one: Run) => boolean): string[] =>
    runs.flatMap((one, at) =>
      isWrong(one) ? [`allocation ${at + 1}: ${one.calls.join(', ')} [${one.findings.join(', ')}]`] : [],
    );

  it(`each of the first ${ALLOCATIONS} allocations was made to fail`, () => {
    expect(runs).toHaveLength(ALLOCATIONS);
    expect(runs.flatMap(({ allocations }, at) => (allocations > at ? [] : [at + 1]))).toEqual([]);
    // A failure that nobody notices is allowed (debugfs), but not the rule.
    expect(
      runs.filter(({ calls }) => calls.some((call) => /: (?:-\d|killed|panic)/.test(call))).length,
    ).toBeGreaterThan(ALLOCATIONS / 4);
  });

  it('nothing hangs: every call returns, or ends in an oops or a panic', () => {
    expect(wrong(({ ends }) => ends.some((end) => !['returned', 'killed', 'panic'].includes(end)))).toEqual(
      [],
    );
  });

  it('an oops or a panic is reported, and nothing else is', () => {
    const expected: Readonly<Record<string, readonly string[]>> = {
      killed: ['oops', 'bug'],
      panic: ['panic', 'oops', 'bug'],
    };
    expect(
      wrong(
        ({ ends, findings }) =>
          findings.includes('javascript-exception') ||
          (ends.every((end) => end === 'returned') && findings.length > 0),
      ),
    ).toEqual([]);
    expect(
      wrong(({ ends, findings }) =>
        ends.some((end) => end in expected && !findings.some((kind) => expected[end]!.includes(kind))),
      ),
    ).toEqual([]);
  });

  it(`switches off within ${POWER_OFF_MS} ms`, () => {
    expect(wrong(({ powerOffMs }) => powerOffMs > POWER_OFF_MS)).toEqual([]);
  });

  it('the threads are the next machine’s: none was lost, and a machine loads on them', async () => {
    expect(pool.size).toBe(threads);
    const next = await Machine.powerOn(config, { pool });
    const day = new Day(next);
    expect(await day.loadUseUnload(vendor)).toBe(true);
    expect(next.findings().records).toEqual([]);
    await next.powerOff();
    expect(pool.size).toBe(threads);
  });
});

describe.each(['parallel', 'deterministic'] as const)(
  'cpu_down without memory for a stop-machine thread, %s, 4 CPUs',
  (mode) => {
    // The stop thread itself, and a helper for each other CPU (spec 7.7).
    it.each([0, 1, 2, 3])('thread %i: answers -ENOMEM, and the CPU stays as it was', async (skip) => {
      await withMachine(
        { cpus: 4, vendor: 'amd', mode, seed: 8, callTimeoutMs: CALL_TIMEOUT_MS },
        async (smp) => {
          await succeeds('insmod kvm', insmod(smp, 'kvm'));
          await succeeds('insmod kvm-amd', insmod(smp, 'kvm-amd'));
          const before = kvmState(smp);
          smp.injectFaults([{ site: 'kthread_create', skip }]);
          expect(await cpuDown(smp, 2)).toBe(-12);
          expect(kvmState(smp)).toEqual(before);
          expect(smp.look(dmesg).map(({ text }) => text)).not.toContain(
            'kvm: disabling virtualization on CPU2',
          );
          smp.injectFaults([]);
          expect(await cpuDown(smp, 2)).toBe(0);
          expect(smp.findings().records).toEqual([]);
        },
      );
    });
  },
);
