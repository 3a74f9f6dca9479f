/**
 * Quiet points: nothing new is asked for, what runs comes to its end, and the machine is counted. Also what a machine needs
 * before the first and after the last operation.
 */
import type PQueue from 'p-queue';
import { SmplabError } from '#base/errors';
import { CpuWord } from '#memory/layout';
import { torture_stop } from '#kernel/torture/smptorture';
import { collect } from '#machine/collect';
import { type KernelInventory, kernelInventory } from '#machine/inventory';
import type { Machine } from '#machine/machine';
import type { Run } from './account.ts';
import { booksOf } from './books.ts';
import { readLedger, readTallies } from './counters.ts';
import { holdings, isKvmLoaded, leakComplaints, stateComplaints, virtualisation } from './state.ts';

/** How often the host looks whether the machine has come to rest, or somebody in it waits for time to pass. */
const LOOK_MS = 5;
/** A wait for simulated time is one that has lasted so many looks. */
const WAITING_LOOKS = 4;

/** True for the error that a call gets whose machine is gone. */
export function isDone(error: unknown): boolean {
  return error instanceof SmplabError && error.code === 'SMPLAB_MACHINE_OFF';
}

export class Quiet {
  readonly #machine: Machine;
  readonly #run: Run;
  readonly #inFlight: () => number;
  readonly #queues: readonly PQueue[];
  readonly #timer: NodeJS.Timeout;
  #before: KernelInventory | undefined;
  #bare: KernelInventory | undefined;
  #waiting = 0;
  #loadedHere = false;

  /** @param inFlight calls that have not ended */
  constructor(machine: Machine, run: Run, inFlight: () => number, queues: readonly PQueue[]) {
    this.#machine = machine;
    this.#run = run;
    this.#inFlight = inFlight;
    this.#queues = queues;
    this.#timer = setInterval(() => {
      this.#lookForWaiters();
    }, LOOK_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /**
   * Simulated time passes only when everybody waits (docs/limits.md), and here somebody always has something to do. So when a CPU
   * waits for time to pass, the others are let come to their ends.
   */
  #lookForWaiters(): void {
    const { bus, config } = this.#machine;
    let waits = false;
    for (let cpu = 0; cpu < config.possible && !waits; cpu++)
      waits = bus.registersOf(cpu).get(CpuWord.DEADLINE_US) !== 0;
    this.#waiting = waits ? this.#waiting + 1 : 0;
  }

  /** Somebody waits for simulated time, or the machine has taken so much that it has to be looked at. */
  get isWanted(): boolean {
    return this.#waiting >= WAITING_LOOKS || this.#run.isShaken;
  }

  async #does(
    symbol: string,
    options: { args?: readonly number[]; text?: string } = {},
  ): Promise<number | undefined> {
    const outcome = await this.#machine.call(symbol, options);
    this.#run.outcome(outcome, symbol, this.#machine);
    return outcome.kind === 'returned' ? outcome.value : undefined;
  }

  /** From a machine that has booted to one that can be tormented. False if it has ended on the way. */
  async prepare(seed: number, loaded: boolean): Promise<boolean> {
    const machine = this.#machine;
    if (machine.bootOutcome.kind !== 'returned') {
      this.#run.outcome(machine.bootOutcome, 'start_kernel', machine);
      return false;
    }
    machine.makeTraceRound();
    if ((await this.#does('sys_init_module', { text: 'smptorture' })) !== 0) return false;
    await this.#does('torture_seed', { args: [seed] });
    if (this.#run.needsHoldings && !(await this.#findHoldings())) return false;
    this.#bare = machine.look(kernelInventory);
    if (loaded) {
      const error = await this.#does('kvm_torture_load');
      if (error !== 0) {
        this.#run.findings.tell({ kind: 'load', title: `KVM could not be loaded: ${error}` }, machine);
        return false;
      }
      this.#loadedHere = true;
    }
    this.#before = machine.look(kernelInventory);
    return true;
  }

  /** What a task with a VM has, and KVM that is loaded: what is left of those that an oops ends. False if that fails. */
  async #findHoldings(): Promise<boolean> {
    const machine = this.#machine;
    const bare = machine.look(kernelInventory);
    if ((await this.#does('kvm_torture_load')) !== 0) return false;
    const loaded = machine.look(kernelInventory);
    if ((await this.#does('vm_torture_hold')) !== 0) return false;
    const held = machine.look(kernelInventory);
    await this.#does('vm_torture_drop');
    this.#run.setHoldings(holdings(loaded, held), holdings(bare, loaded));
    return (await this.#does('kvm_torture_unload')) === 0;
  }

  #order(stop: boolean): void {
    this.#machine.look(() => {
      torture_stop.value = stop ? 1 : 0;
    });
  }

  /** Callers end after the operation they are at. */
  letGo(): void {
    this.#order(true);
  }

  /** Stands still, counts, and goes on. */
  async point(loaded: boolean): Promise<void> {
    for (const queue of this.#queues) queue.pause();
    this.#order(true);
    while (this.#inFlight() > 0 && !this.#run.hasEnded) await pause(LOOK_MS);
    if (!this.#run.hasEnded) await this.#count(loaded);
    // The host is at rest as well: what the last seconds left does not add up over hours.
    collect();
    if (!this.#run.isOver) this.#order(false);
    for (const queue of this.#queues) queue.start();
  }

  /** The last time: counts, and unloads what was loaded. */
  async close(loaded: boolean): Promise<void> {
    if (this.#run.hasEnded) return;
    const machine = this.#machine;
    await this.#count(loaded);
    if (this.#run.hasEnded || this.#run.isInterrupted) return;
    this.#run.faults.disarm(machine);
    if (this.#loadedHere || machine.look(() => isKvmLoaded(machine))) {
      const error = await this.#does('kvm_torture_unload');
      // It did not come back: why has been told.
      if (error === undefined) return;
      if (error !== 0) {
        const known = this.#run.mayKeepKvm ? 'a task that an oops ended has left its files open' : undefined;
        this.#run.findings.tell(
          {
            kind: 'unload',
            title: `KVM could not be unloaded: ${error}`,
            ...(known === undefined ? {} : { known }),
          },
          machine,
        );
        return;
      }
    }
    if (this.#run.hasEnded) return;
    this.#run.complain(
      [...stateComplaints(machine), ...leakComplaints(this.#bare!, machine.look(kernelInventory))],
      machine,
    );
    this.#run.takeReports(machine);
  }

  /** Everything, at rest. */
  async #count(loaded: boolean): Promise<void> {
    const machine = this.#machine;
    // On a busy host the last CPU's way to its idle loop may take a while.
    while (!machine.settle() && !this.#run.hasEnded && !this.#run.isInterrupted) await pause(LOOK_MS);
    if (this.#run.hasEnded) return;
    this.#run.takeReports(machine);
    const tallies = readTallies(machine);
    const ledger = readLedger(machine);
    const killed = this.#run.lostVms;
    this.#run.books(booksOf(tallies, ledger, { killed, virtOn: virtualisation(machine) }), ledger, machine);
    const isAsBefore = isKvmLoaded(machine) === loaded;
    this.#run.complain(
      [
        ...stateComplaints(machine),
        ...(isAsBefore ? leakComplaints(this.#before!, machine.look(kernelInventory)) : []),
      ],
      machine,
    );
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}
