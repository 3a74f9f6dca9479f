/** Every way to fail, at the machine's door: one clear report, no hang, and a pool that serves the next machine. */
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { type CallOutcome, type CpuPool, Machine, type MachineConfig, createPool } from 'smplab';
import { variableAddress } from '../support/kvm-machine.ts';

const WAYS = {
  WARNING: 1,
  BUG: 2,
  PANIC: 3,
  EXCEPTION: 4,
  WILD: 5,
  OVERFLOW: 6,
  LOOP: 7,
  SPINLOCKUP: 8,
  HARDLOCKUP: 9,
  THROW: 10,
  EXEC: 11,
} as const;
type Way = keyof typeof WAYS;

/** Short: what hangs here hangs for ever. */
const CALL_TIMEOUT_MS = 300;
/** "Never a hang": what one of these may take, on a busy host. */
const AT_MOST_MS = 10_000;
const NR_CPUS = 4;
const VICTIM = 2;

const MODES = ['parallel', 'deterministic'] as const;

let pool: CpuPool = createPool();
afterAll(() => pool.close());

let machines: Machine[] = [];

function boot(config: Partial<MachineConfig> = {}, beforeBoot: (machine: Machine) => void = () => {}) {
  const whole = {
    cpus: NR_CPUS,
    vendor: 'amd',
    callTimeoutMs: CALL_TIMEOUT_MS,
    trace: 5,
    seed: 7,
    ...config,
  } as const;
  return Machine.powerOn(whole, { pool, beforeBoot }).then((machine) => {
    machines.push(machine);
    return machine;
  });
}

/** Whatever happened to the last machine: it can be switched off, and the next one on the same pool works. */
afterEach(async () => {
  for (const machine of machines) await machine.powerOff();
  machines = [];
  const next = await boot();
  expect(await next.call('lkdtm_in_interrupt', { args: [0, VICTIM] })).toEqual({
    kind: 'returned',
    value: 0,
  });
  await next.powerOff();
  machines = [];
});

function fail(machine: Machine, way: Way, where: 'process' | 'interrupt'): Promise<CallOutcome> {
  return where === 'process'
    ? machine.call('lkdtm_direct', { args: [WAYS[way]] })
    : machine.call('lkdtm_in_interrupt', { args: [WAYS[way], VICTIM] });
}

function kinds(machine: Machine): string[] {
  return machine.findings().records.map(({ kind }) => kind);
}

const nop = (machine: Machine, cpu = 1): Promise<CallOutcome> =>
  machine.call('lkdtm_direct', { cpu, args: [0] });

/** A machine that has come to its end says so at once, and waits for nobody. */
async function expectEnded(machine: Machine, kind: CallOutcome['kind']): Promise<void> {
  const begin = performance.now();
  expect((await nop(machine)).kind).toBe(kind);
  expect(performance.now() - begin).toBeLessThan(CALL_TIMEOUT_MS);
}

const kill = (machine: Machine, cpu: number): void => {
  void pool.threads.find(({ threadId }) => threadId === machine.threadOf(cpu))?.terminate();
};

const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });

/** What each way comes to in process context; in interrupt context an oops is a panic. */
const OOPSES: readonly [Way, string, RegExp][] = [
  ['BUG', 'bug', /kernel BUG at lkdtm_do_action!/],
  ['EXCEPTION', 'oops', /NULL pointer dereference at 00000000/],
  ['WILD', 'oops', /paging request at bad0bad0/],
  ['OVERFLOW', 'oops', /kernel stack overflow/],
  ['EXEC', 'oops', /unable to handle kernel/],
  ['THROW', 'javascript-exception', /TypeError: lkdtm: undefined is not a function/],
];

describe.each(MODES)('lkdtm in process context (%s)', (mode) => {
  it('WARNING: a finding, and everything goes on', async () => {
    const machine = await boot({ mode });
    expect(await fail(machine, 'WARNING', 'process')).toEqual({ kind: 'returned', value: 0 });
    expect(kinds(machine)).toEqual(['warning']);
    expect(await nop(machine)).toEqual({ kind: 'returned', value: 0 });
  });

  it.each(OOPSES)('%s: one %s, the task is killed, the others go on', async (way, kind, title) => {
    const machine = await boot({ mode });
    expect(await fail(machine, way, 'process')).toEqual({ kind: 'killed' });
    const { records } = machine.findings();
    expect(records).toMatchObject([{ kind, cpu: 0 }]);
    expect(records[0]!.title).toMatch(title);
    expect(records[0]!.stack).toContain('lkdtm_do_action');
    for (const cpu of [0, 1, 2, 3]) expect(await nop(machine, cpu)).toEqual({ kind: 'returned', value: 0 });
  });

  it('THROW: the finding carries the exception with its own stack', async () => {
    const machine = await boot({ mode });
    await fail(machine, 'THROW', 'process');
    expect(machine.findings().records[0]!.detail).toMatch(
      /^TypeError: lkdtm.*\n\s+at .*(parallel|searched)\.cjs:\d+/,
    );
  });

  it('PANIC: the machine ends, and says so from then on', async () => {
    const machine = await boot({ mode });
    expect(await fail(machine, 'PANIC', 'process')).toEqual({ kind: 'panic' });
    expect(machine.findings().records).toMatchObject([{ title: 'Kernel panic - not syncing: dumptest' }]);
    await expectEnded(machine, 'panic');
  });
});

describe.each(MODES)('lkdtm in the interrupt of another CPU (%s)', (mode) => {
  it('WARNING: a finding of that CPU, and everything goes on', async () => {
    const machine = await boot({ mode });
    expect(await fail(machine, 'WARNING', 'interrupt')).toEqual({ kind: 'returned', value: 0 });
    expect(machine.findings().records).toMatchObject([{ kind: 'warning', cpu: VICTIM }]);
    expect(await nop(machine)).toEqual({ kind: 'returned', value: 0 });
  });

  it.each(OOPSES)('%s: a %s, and then a panic', async (way, kind, title) => {
    const machine = await boot({ mode });
    expect(await fail(machine, way, 'interrupt')).toEqual({ kind: 'panic' });
    const { records } = machine.findings();
    expect(records).toMatchObject([
      { kind, cpu: VICTIM },
      { kind: 'panic', title: 'Kernel panic - not syncing: Aiee, killing interrupt handler!' },
    ]);
    expect(records[0]!.title).toMatch(title);
    await expectEnded(machine, 'panic');
  });

  it('PANIC: the machine ends', async () => {
    const machine = await boot({ mode });
    expect(await fail(machine, 'PANIC', 'interrupt')).toEqual({ kind: 'panic' });
    expect(kinds(machine)).toEqual(['panic']);
  });
});

describe.each(MODES)('a CPU that does not come back (%s)', (mode) => {
  it.each<[Way]>([['SPINLOCKUP'], ['HARDLOCKUP'], ['LOOP']])('%s: hung, with its stack', async (way) => {
    const machine = await boot({ mode });
    const begin = performance.now();
    const outcome = await fail(machine, way, 'process');
    expect(outcome).toEqual({
      kind: 'hung',
      cpus: [{ cpu: 0, stack: ['lkdtm_do_action', 'lkdtm_direct', 'schedule', 'cpu_idle', 'start_kernel'] }],
      standstill: way !== 'LOOP',
    });
    // A machine knows that nobody can go on when it is so; only a loop needs the host's clock.
    if (way !== 'LOOP') expect(performance.now() - begin).toBeLessThan(CALL_TIMEOUT_MS);
    await expectEnded(machine, 'hung');
    const size = pool.size;
    await machine.powerOff();
    // A thread that waits can be told to stop. One that loops has to be ended.
    expect(pool.size).toBe(way === 'LOOP' ? size - 1 : size);
  });

  it.each<[Way]>([['SPINLOCKUP'], ['HARDLOCKUP'], ['LOOP']])(
    '%s in an interrupt: both the CPU and who waits for it are named',
    async (way) => {
      const machine = await boot({ mode });
      const outcome = await fail(machine, way, 'interrupt');
      expect(outcome).toMatchObject({ kind: 'hung', cpus: [{ cpu: 0 }, { cpu: VICTIM }] });
      const stacks = outcome.kind === 'hung' ? outcome.cpus.map(({ stack }) => stack) : [];
      expect(stacks[0]).toContain('native_smp_call_function_mask');
      expect(stacks[1]).toContain('smp_call_function_interrupt');
      await expectEnded(machine, 'hung');
    },
  );

  it('a hung machine goes on from a snapshot, if its threads can be stopped', async () => {
    const machine = await boot({ mode });
    const snapshot = machine.snapshot();
    expect((await fail(machine, 'HARDLOCKUP', 'interrupt')).kind).toBe('hung');
    await machine.restore(snapshot);
    expect(await nop(machine, VICTIM)).toEqual({ kind: 'returned', value: 0 });
    expect((await fail(machine, 'PANIC', 'interrupt')).kind).toBe('panic');
    await machine.restore(snapshot);
    expect(await nop(machine, VICTIM)).toEqual({ kind: 'returned', value: 0 });
  });

  it('a machine with a thread that loops cannot be restored, and says why', async () => {
    const machine = await boot({ mode });
    const snapshot = machine.snapshot();
    expect((await fail(machine, 'LOOP', 'process')).kind).toBe('hung');
    await expect(machine.restore(snapshot)).rejects.toMatchObject({ code: 'SMPLAB_MACHINE_OFF' });
    await expect(nop(machine)).rejects.toMatchObject({ code: 'SMPLAB_MACHINE_OFF' });
  });
});

describe.each(MODES)('a CPU whose thread dies (%s)', (mode) => {
  /** One machine check: who, with the stack it had, and from then on the same answer. */
  async function expectMachineCheck(
    machine: Machine,
    outcome: CallOutcome,
    cpu: number,
    stack: string,
  ): Promise<void> {
    expect(outcome).toMatchObject({ kind: 'machine-check', cpu, reason: 'worker exited with code: 1' });
    if (outcome.kind !== 'machine-check') return;
    expect(outcome.stack).toContain(stack);
    expect(outcome.trace.length).toBeGreaterThan(0);
    expect(outcome.trace.every((event) => event.cpu === cpu)).toBe(true);
    expect(machine.findings().records.at(-1)).toMatchObject({
      kind: 'machine-check',
      cpu,
      stack: outcome.stack,
    });
    await expectEnded(machine, 'machine-check');
    const size = pool.size;
    await machine.powerOff();
    // The others were released, not ended.
    expect(pool.size).toBe(size);
  }

  it.each([0, VICTIM])('while idle: a machine check at the next call (cpu=%d)', async (cpu) => {
    const machine = await boot({ mode });
    // The boot ends when the CPU is online; it has a few steps to go to its idle loop.
    const idles = (): boolean =>
      machine.stacks().some((running) => running.cpu === cpu && running.stack.includes('cpu_idle'));
    await vi.waitUntil(idles, { timeout: AT_MOST_MS });
    kill(machine, cpu);
    await pause(50);
    await expectMachineCheck(machine, await nop(machine), cpu, 'cpu_idle');
  });

  it('in an interrupt handler: a machine check, and who waits for it is released', async () => {
    const machine = await boot({ mode });
    const call = fail(machine, 'LOOP', 'interrupt');
    await pause(50);
    kill(machine, VICTIM);
    await expectMachineCheck(machine, await call, VICTIM, 'smp_call_function_interrupt');
  });

  it('with a cross call of its own in flight: a machine check', async () => {
    const machine = await boot({ mode });
    const call = fail(machine, 'LOOP', 'interrupt');
    await pause(50);
    kill(machine, 0);
    const outcome = await call;
    expect(outcome).toMatchObject({ kind: 'machine-check', cpu: 0 });
    await expectEnded(machine, 'machine-check');
  });

  it.each([
    [0, 'start_kernel'],
    [VICTIM, 'start_secondary'],
  ])('in the middle of the boot: the boot ends in a machine check (cpu=%d)', async (cpu, stack) => {
    let atBoot = true;
    const machine = await boot({ mode, cpus: 32 }, (booting) => {
      const look = (): void => {
        if (booting.stacks().some((running) => running.cpu === cpu)) kill(booting, cpu);
        else if (atBoot) setImmediate(look);
      };
      setImmediate(look);
    });
    atBoot = false;
    await expectMachineCheck(machine, machine.bootOutcome, cpu, stack);
  });

  it('after it changed places with another: the machine check is of the CPU that it was', async () => {
    const machine = await boot({ mode });
    // The caller's own CPU goes: its thread goes on as another CPU.
    const before = machine.threadOf(VICTIM);
    expect(await machine.call('cpu_down', { cpu: VICTIM, args: [VICTIM] })).toMatchObject({
      kind: 'returned',
    });
    const cpu = [0, 1, 2, 3].findIndex((candidate) => machine.threadOf(candidate) === before);
    expect(cpu).not.toBe(VICTIM);
    kill(machine, cpu);
    await pause(50);
    expect(await nop(machine)).toMatchObject({ kind: 'machine-check', cpu });
  });
});

describe('the pool', () => {
  it('replaces a thread that dies before it is up', async () => {
    const own = createPool();
    // A thread that was up before its end reached it had a CPU: that is another case, and is tried again.
    const bootWithout = async (attempts: number): Promise<Machine> => {
      const booting = Machine.powerOn({ cpus: NR_CPUS, vendor: 'amd' }, { pool: own });
      // The threads exist as soon as the machine does; none of them has run yet.
      void own.threads.at(-1)!.terminate();
      const machine = await booting.catch((error: unknown) => {
        if (!/worker exited/.test(String(error))) throw error;
      });
      if (machine !== undefined && machine.bootOutcome.kind !== 'machine-check') return machine;
      await machine?.powerOff();
      if (attempts <= 1) throw new Error('every thread was up before its end reached it');
      return bootWithout(attempts - 1);
    };
    try {
      const machine = await bootWithout(10);
      expect(machine.bootOutcome).toEqual({ kind: 'returned', value: 0 });
      await machine.powerOff();
      expect(own.size).toBe(NR_CPUS);
    } finally {
      await own.close();
    }
  });

  describe('of which a thread is late', () => {
    const late = fileURLToPath(new URL('../fixtures/late-thread.cjs', import.meta.url));

    /** Boots, and tells what CPU 0 was doing while CPU 2 had no thread yet. */
    async function bootLate(
      cpus: number,
      own: CpuPool,
    ): Promise<{ machine: Machine; meanwhile: Set<string> }> {
      const meanwhile = new Set<string>();
      let atBoot = true;
      const beforeBoot = (booting: Machine): void => {
        const look = (): void => {
          const [running] = booting.stacks().filter(({ cpu }) => cpu === 0);
          if (atBoot && booting.threadOf(2) === 0) {
            for (const name of running?.stack ?? []) meanwhile.add(name);
            setImmediate(look);
          }
        };
        setImmediate(look);
      };
      const config = { cpus, vendor: 'amd', callTimeoutMs: 50 } as const;
      try {
        return { machine: await Machine.powerOn(config, { pool: own, beforeBoot }), meanwhile };
      } finally {
        atBoot = false;
      }
    }

    it('boots up to where it needs that one, and its time limit begins when all are there', async () => {
      const own = createPool({ entry: late });
      try {
        const { machine, meanwhile } = await bootLate(3, own);
        expect(machine.bootOutcome).toEqual({ kind: 'returned', value: 0 });
        expect(machine.onlineCpus()).toEqual([0, 1, 2]);
        expect([...meanwhile]).toContain('do_boot_cpu');
        await machine.powerOff();
      } finally {
        await own.close();
      }
    });

    it('says so if that one fails: the boot that has begun is none', async () => {
      const own = createPool({ entry: late });
      try {
        await expect(bootLate(4, own)).rejects.toMatchObject({
          code: 'SMPLAB_HOST_FAILED',
          message: 'CPU 2: its code is gone',
        });
      } finally {
        await own.close();
      }
    });
  });

  it('whose threads cannot load their code says so at once', async () => {
    const own = createPool({ entry: '/no/such/file.cjs' });
    const begin = performance.now();
    await expect(Machine.powerOn({ cpus: NR_CPUS, vendor: 'amd' }, { pool: own })).rejects.toMatchObject({
      code: 'SMPLAB_HOST_FAILED',
      message: expect.stringMatching(/no\/such\/file/) as string,
    });
    expect(performance.now() - begin).toBeLessThan(AT_MOST_MS / 2);
    await own.close();
  });

  it('that is closed under a machine ends it with a machine check', async () => {
    const machine = await boot();
    const call = machine.call('lkdtm_direct', { args: [WAYS.SPINLOCKUP] });
    await pool.close();
    expect((await call).kind).toBe('machine-check');
    await machine.powerOff();
    pool = createPool();
  });
});

describe.each(MODES)('a boot whose first task an oops kills (%s)', (mode) => {
  it('is a panic: the machine is not up', async () => {
    const machine = await boot({ mode }, (unborn) => {
      // The chain that is told of every CPU that comes up begins with a notifier in page zero.
      unborn.bus.i32[variableAddress('cpu_chain') >>> 2] = 8;
    });
    expect(machine.bootOutcome).toEqual({ kind: 'panic' });
    const titles = machine.findings().records.map(({ title }) => title);
    expect(titles[0]).toMatch(/NULL pointer dereference/);
    expect(titles[1]).toBe('Kernel panic - not syncing: Attempted to kill init!');
    expect(await machine.call('lkdtm_direct', { args: [WAYS.WARNING] })).toEqual({ kind: 'panic' });
  });
});

describe('what the caller gets wrong', () => {
  it.each<[string, string, Parameters<Machine['call']>[1], string, RegExp]>([
    ['an unknown function', 'no_such_function', {}, 'SMPLAB_UNKNOWN_SYMBOL', /called no_such_function/],
    ['a CPU that is offline', 'lkdtm_direct', { cpu: 4 }, 'SMPLAB_BAD_USAGE', /CPU 4 is not online/],
    ['a CPU that is not there', 'lkdtm_direct', { cpu: 5 }, 'SMPLAB_BAD_USAGE', /CPU 5 is not online/],
    ['a negative CPU', 'lkdtm_direct', { cpu: -1 }, 'SMPLAB_BAD_USAGE', /CPU -1 is not online/],
    ['no number', 'lkdtm_direct', { cpu: Number.NaN }, 'SMPLAB_BAD_USAGE', /CPU NaN is not online/],
  ])('%s: one line, and the machine is as it was', async (_what, symbol, options, code, line) => {
    const machine = await boot({ possible: 5 });
    // The good call beside the bad one is not made either.
    const both = [
      { symbol: 'lkdtm_direct', args: [WAYS.WARNING] },
      { symbol, ...options },
    ];
    await expect(machine.callAll(both)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(line) as string,
    });
    expect(await nop(machine)).toEqual({ kind: 'returned', value: 0 });
    expect(kinds(machine)).toEqual([]);
  });

  it('more calls at once than there is room for', async () => {
    const machine = await boot();
    const calls = Array.from({ length: 1_000 }, () => ({ symbol: 'lkdtm_direct', args: [0] }));
    await expect(machine.callAll(calls)).rejects.toMatchObject({ code: 'SMPLAB_BAD_USAGE' });
    expect(await nop(machine)).toEqual({ kind: 'returned', value: 0 });
  });

  it('a call on a machine that is off, and one that is switched off during a call', async () => {
    const machine = await boot({ callTimeoutMs: AT_MOST_MS });
    const ended = expect(fail(machine, 'SPINLOCKUP', 'process')).rejects.toMatchObject({
      code: 'SMPLAB_MACHINE_OFF',
    });
    await machine.powerOff();
    await ended;
    await expect(nop(machine)).rejects.toMatchObject({ code: 'SMPLAB_MACHINE_OFF' });
    await machine.powerOff();
  });

  it('a second call while one runs in deterministic mode, where only callAll can order them', async () => {
    const machine = await boot({ mode: 'deterministic' });
    const first = nop(machine);
    await expect(nop(machine)).rejects.toMatchObject({ code: 'SMPLAB_BAD_USAGE' });
    expect(await first).toEqual({ kind: 'returned', value: 0 });
  });

  it('a snapshot or a restore while a call runs', async () => {
    const machine = await boot({ callTimeoutMs: AT_MOST_MS });
    const snapshot = machine.snapshot();
    const ended = expect(fail(machine, 'SPINLOCKUP', 'process')).rejects.toThrow(/switched off/);
    expect(() => machine.snapshot()).toThrow(/not at rest/);
    await expect(machine.restore(snapshot)).rejects.toMatchObject({ code: 'SMPLAB_BAD_USAGE' });
    await machine.powerOff();
    await ended;
  });

  it.each<[string, object, RegExp]>([
    ['no CPU', { cpus: 0 }, /cpus is 0: expected a whole number from 1 to 256/],
    ['257 CPUs', { cpus: 257 }, /cpus is 257/],
    ['an unknown vendor', { vendor: 'via' }, /vendor is via: expected amd or intel/],
    ['an unknown mode', { mode: 'fast' }, /mode is fast: expected parallel or deterministic/],
    ['an unknown allocator', { allocator: 'slob' }, /allocator is slob: expected slab or slub/],
    ['no time limit', { callTimeoutMs: Number.NaN }, /callTimeoutMs is NaN/],
    ['a trace that fits no memory', { cpus: 256, trace: 7, traceEventsMax: 0x1000000 }, /need \d+ MiB/],
  ])('a configuration with %s', async (_what, config, line) => {
    await expect(boot(config as Partial<MachineConfig>)).rejects.toMatchObject({
      code: 'SMPLAB_BAD_CONFIG',
      message: expect.stringMatching(line) as string,
    });
  });
});
