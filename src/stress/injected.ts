/** The faults that a stress run injects: how often each has struck, over all its machines, and what the next machine is to have. */
import type { Fault } from '#machine/config';
import { faultHits } from '#machine/faults';
import type { Machine } from '#machine/machine';

const NEVER = 0x7fffffff;

export class InjectedFaults {
  readonly all: readonly Fault[];
  /** Hits of each fault: in machines that are off, and in all. */
  #pastHits: readonly number[];
  #hits: readonly number[];
  #isArmed = false;

  constructor(faults: readonly Fault[]) {
    this.all = faults;
    this.#pastHits = faults.map(() => 0);
    this.#hits = this.#pastHits;
  }

  /** How often each has struck, when that was last kept. */
  get hits(): readonly number[] {
    return this.#hits;
  }

  /** The machine that runs has its faults from now on. */
  arm(): void {
    this.#isArmed = true;
  }

  /** This machine's faults are over. */
  disarm(machine: Machine): void {
    this.keep(machine);
    this.#isArmed = false;
    machine.injectFaults([]);
  }

  /** Another machine has none yet. */
  restart(): void {
    this.#isArmed = false;
  }

  /** Counts the hits so far. Called before faults are disarmed. */
  keep(machine: Machine): void {
    if (this.all.length === 0 || !this.#isArmed) return;
    const hits = machine.look(() => faultHits(this.all));
    this.#hits = this.#pastHits.map((past, index) => past + hits[index]!);
  }

  machineOff(machine: Machine): void {
    this.keep(machine);
    this.#pastHits = this.#hits;
  }

  /** Whether a fault of that name has struck. */
  hasStruck(site: string, machine: Machine): boolean {
    return this.struck(machine).includes(site);
  }

  /** Names of the faults that have struck. */
  struck(machine: Machine): string[] {
    this.keep(machine);
    return this.all.flatMap(({ site }, index) =>
      site === undefined || this.#hits[index] === 0 ? [] : [site],
    );
  }

  /**
   * The faults as the next machine is to have them. A thread that has been killed has been killed: the machine after it is another
   * one, and the fault is not its own.
   */
  get next(): readonly Fault[] {
    return this.all.map((fault, index) => {
      if (fault.site !== 'thread-kill') return fault;
      const times = fault.times ?? (fault.probability === undefined ? 1 : Infinity);
      const left = times - this.#pastHits[index]!;
      return left <= 0 ? { ...fault, nth: NEVER } : Number.isFinite(left) ? { ...fault, times: left } : fault;
    });
  }
}
