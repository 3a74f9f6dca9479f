/**
 * Machines at rest, kept for the next scenario that wants the same one: whoever searches many small scenarios, one after the
 * other, boots each kind of machine once. What a machine does does not depend on whether it was booted or comes from here.
 */
import { scenarioImage, writeScenarioValues } from '#memory/image';
import { FiberPool } from '#fibers/pool';
import type { LoadedScenario, ScenarioSource } from '#scenario/program';
import type { MachineConfig } from './config.ts';
import { type KeptMachine, Machine } from './machine.ts';

/** Machines that are kept; the longest unused one goes first. Each is some megabytes. */
const KEPT_MAX = 8;

/**
 * Whether nothing of a scenario is in its machine when the CPUs are at rest but the start values of its variables, so that
 * another one can take its place. What must always hold is a part of each CPU; per-CPU variables are copied in the boot.
 */
function isBare({ scenario, setup }: LoadedScenario): boolean {
  const { modules = [], patches, always } = scenario;
  const hasPerCpu = scenarioImage.perCpuEnd > scenarioImage.perCpuStart;
  return setup === 0 && modules.length === 0 && patches === undefined && always === undefined && !hasPerCpu;
}

/** A machine that is in use, and what it goes back as. */
export interface Taken {
  readonly machine: Machine;
  readonly fibers: FiberPool;
  readonly kept: KeptMachine;
}

export class MachineShelf {
  readonly #kept = new Map<string, KeptMachine>();

  /** Where a scenario's machine belongs; undefined for one that is never kept. */
  place(config: MachineConfig, loaded: LoadedScenario): string | undefined {
    return isBare(loaded) ? JSON.stringify(config) : undefined;
  }

  /** The machine of a place, with this scenario in it; undefined if there is none, or it is in use. */
  take(place: string, source: ScenarioSource, loaded: LoadedScenario): Taken | undefined {
    const kept = this.#kept.get(place);
    if (kept === undefined) return undefined;
    this.#kept.delete(place);
    const fibers = new FiberPool();
    const machine = Machine.revive(kept, { pool: fibers, scenario: source, loaded });
    machine.bus.u8.fill(0, scenarioImage.dataStart, scenarioImage.dataLimit);
    machine.look(writeScenarioValues);
    return { machine, fibers, kept };
  }

  /** Keeps a machine that is off now. */
  put(place: string, kept: KeptMachine): void {
    this.#kept.set(place, kept);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > KEPT_MAX) this.#kept.delete(oldest!);
  }
}
