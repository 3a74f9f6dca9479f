/**
 * Watchdogs bark, and only then. What a CPU does is real: it is broken by lkdtm, and looked at while it is. How much time has passed
 * is what whoever asks says, so that ten seconds of a lockup take no ten seconds here.
 */
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { type Bark, Machine, Watchdog, createPool } from 'smplab';
import { insmod, succeeds } from '../support/kvm-machine.ts';

const CPUS = 3;
const VICTIM = 1;
const PID = 321;
const SOFTLOCKUP = 12;
const HARDLOCKUP = 13;
const SPINLOCK = 14;
const HUNG_TASK = 15;
const SECOND = 1_000;
/** Far longer than any of them waits. */
const MINUTE = 60;
/** A busy host may keep a call waiting; what hangs here is not waited for. */
const CALL_TIMEOUT_MS = 60_000;

const pool = createPool();
afterAll(() => pool.close());

let machine: Machine;
afterEach(() => machine.powerOff());

/** A machine of which CPU 2 always has something to do: otherwise one that hangs is found because nobody can go on. */
async function boot(): Promise<void> {
  machine = await Machine.powerOn({ cpus: CPUS, vendor: 'amd', callTimeoutMs: CALL_TIMEOUT_MS }, { pool });
  void machine.call('scf_busy', { cpu: 2 }).catch(() => {});
  await until(2, 'scf_busy');
}

/** Breaks CPU 1, or what it is told to. */
function provoke(symbol: string, ...args: readonly number[]): void {
  void machine.call(symbol, { cpu: VICTIM, args, pid: PID, comm: 'insmod' }).catch(() => {});
}

function stackOf(cpu: number): readonly string[] {
  return machine.stacks().find((one) => one.cpu === cpu)?.stack ?? [];
}

/** Waits until a CPU is where it is to be looked at. */
async function until(cpu: number, symbol: string): Promise<void> {
  while (!stackOf(cpu).includes(symbol)) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** What is barked, and in which of the seconds. @param between what happens from one look to the next */
async function watch(between: () => Promise<void> | void = () => {}): Promise<(Bark & { second: number })[]> {
  const watchdog = new Watchdog(machine);
  const barks: (Bark & { second: number })[] = [];
  watchdog.look(0);
  for (let second = 1; second <= MINUTE; second++) {
    await between();
    barks.push(...watchdog.look(SECOND).map((bark) => ({ ...bark, second })));
  }
  return barks;
}

describe('the soft lockup watchdog', () => {
  it('barks when a CPU goes round with preemption off for ten seconds, once', async () => {
    await boot();
    provoke('lkdtm_direct', SOFTLOCKUP);
    await until(VICTIM, 'lkdtm_do_action');
    const barks = await watch();
    expect(barks).toMatchObject([
      {
        kind: 'soft-lockup',
        title: `BUG: soft lockup - CPU#${VICTIM} stuck for 10s! [insmod:${PID}]`,
        cpu: VICTIM,
        second: 10,
      },
    ]);
    expect(barks[0]!.stack.slice(0, 2)).toEqual(['lkdtm_do_action', 'lkdtm_direct']);
  });

  it('barks at who waits for a spinlock that is never given back', async () => {
    await boot();
    await succeeds(
      'the lock',
      machine.call('lkdtm_direct', { args: [SPINLOCK] }).then(() => 0),
    );
    provoke('lkdtm_direct', SPINLOCK);
    await until(VICTIM, 'lkdtm_do_action');
    expect(await watch()).toMatchObject([{ kind: 'soft-lockup', cpu: VICTIM }]);
  });

  it('keeps quiet about a CPU that works as long, and can be preempted', async () => {
    await boot();
    expect(await watch()).toEqual([]);
  });
});

describe('the hard lockup watchdog', () => {
  it('barks when a CPU goes round with interrupts off for five seconds, before the other does', async () => {
    await boot();
    provoke('lkdtm_direct', HARDLOCKUP);
    await until(VICTIM, 'lkdtm_do_action');
    const barks = await watch();
    expect(barks).toMatchObject([
      { kind: 'hard-lockup', title: `NMI Watchdog detected LOCKUP on CPU ${VICTIM}`, cpu: VICTIM, second: 5 },
      { kind: 'soft-lockup', cpu: VICTIM, second: 10 },
    ]);
    expect(barks[0]!.stack).toContain('lkdtm_do_action');
  });

  it('keeps quiet about a CPU that is locked up with interrupts on', async () => {
    await boot();
    provoke('lkdtm_direct', SOFTLOCKUP);
    await until(VICTIM, 'lkdtm_do_action');
    expect((await watch()).map(({ kind }) => kind)).toEqual(['soft-lockup']);
  });
});

describe('the watchdog of cross calls', () => {
  it('barks when a CPU does not answer for five seconds, and names both, the function and its argument', async () => {
    await boot();
    provoke('lkdtm_direct', HARDLOCKUP);
    await until(VICTIM, 'lkdtm_do_action');
    void machine.call('lkdtm_in_interrupt', { cpu: 0, args: [0, VICTIM] }).catch(() => {});
    await until(0, 'native_smp_call_function_mask');
    const barks = await watch();
    expect(barks.filter(({ kind }) => kind === 'csd-lock')).toMatchObject([
      {
        title:
          'smp: csd: Detected non-responsive CSD lock (#1) on CPU#0, waiting 5000000000 ns for CPU#01 lkdtm_do_action(0x0).',
        cpu: VICTIM,
        second: 5,
      },
    ]);
    // Who waits for it waits with preemption off.
    expect(barks).toContainEqual(expect.objectContaining({ kind: 'soft-lockup', cpu: 0 }));
  });

  it('keeps quiet while calls are answered, however many there are', async () => {
    await boot();
    let rounds = 0;
    const barks = await watch(async () => {
      rounds += 1;
      const outcome = await machine.call('scf_torture_all', { args: [20] });
      expect(outcome.kind).toBe('returned');
    });
    expect({ barks, rounds }).toEqual({ barks: [], rounds: MINUTE });
  });
});

describe('the watchdog of hung tasks', () => {
  it('barks when a task sleeps for thirty seconds and nobody wakes it, once', async () => {
    await boot();
    provoke('lkdtm_direct', HUNG_TASK);
    await until(VICTIM, 'wait_event');
    const barks = await watch();
    expect(barks).toMatchObject([
      {
        kind: 'hung-task',
        title: `INFO: task insmod:${PID} blocked for more than 30 seconds.`,
        cpu: VICTIM,
        second: 30,
      },
    ]);
    expect(barks[0]!.stack.slice(0, 2)).toEqual(['wait_event', 'lkdtm_do_action']);
  });

  it('keeps quiet about tasks that sleep and are woken, again and again', async () => {
    await boot();
    await succeeds('kvm', insmod(machine, 'kvm'));
    const barks = await watch(async () => {
      // Both sleep while the machine is stopped, and one for the mutex of the other.
      const calls = [0, VICTIM].map((cpu) => machine.call('hotplug_torture', { cpu, args: [VICTIM, 1] }));
      await Promise.all(calls);
    });
    expect(barks).toEqual([]);
  });
});
