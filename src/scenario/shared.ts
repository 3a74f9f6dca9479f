/** Variables of a scenario: they live in the simulated machine's memory, like everything CPUs share. */
import { bus } from '#memory/bus';
import { type PerCpu, scenarioImage } from '#memory/image';
import { type AnyField, type Scalar, type Variable, type ViewOf, array, u32 } from '#memory/struct';

/** A shared 32-bit variable. `x.value` is a plain access; READ_ONCE(x, 'value') and the like are marked ones. */
export function shared(name: string, initial = 0): Variable<number> {
  return scenarioImage.DEFINE(name, u32, initial);
}

/** Shared numbers under one name: `get(i)`, `set(i, value)`, `addressOf(i)`. */
export function sharedArray(name: string, length: number): ViewOf<ReturnType<typeof array<Scalar<number>>>> {
  return scenarioImage.DEFINE(name, array(u32, length));
}

/** A shared variable of any type: a structure, a lock, a list head. Starts as zero, which is an unlocked lock. */
export function DEFINE<T extends AnyField>(name: string, type: T): ViewOf<T> {
  return scenarioImage.DEFINE(name, type);
}

/** A per-CPU variable of the scenario's. */
export function DEFINE_PER_CPU<T extends AnyField>(name: string, type: T): PerCpu<T> {
  return scenarioImage.DEFINE_PER_CPU(name, type);
}

/**
 * Waits, without sleeping, until `condition` over shared memory holds. It is looked at as one step, and the CPU goes on
 * only when it holds: never write a loop for this.
 */
export function waitUntil(condition: () => boolean): void {
  bus.waitUntil(0, condition);
}
