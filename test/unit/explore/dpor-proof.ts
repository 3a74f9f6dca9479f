/** The measure of every proof: what brute force finds, and nothing twice. */
import { expect } from 'vitest';
import { ModelMachine, type ModelOptions } from '../../support/model-machine.ts';
import { byDpor, byForce } from './dpor-programs.ts';

/** All of it, as brute force has it, and nothing twice. */
export function provedAsByForce(options: ModelOptions): ReturnType<typeof byDpor> {
  const force = byForce(new ModelMachine(options));
  const found = byDpor(new ModelMachine(options));
  expect(force.isComplete).toBe(true);
  expect(found.search.cutShort).toBe(0);
  expect(found.search.isComplete).toBe(true);
  expect([...found.traces].toSorted()).toEqual([...force.traces].toSorted());
  expect([...found.states].toSorted()).toEqual([...force.states].toSorted());
  expect(found.twice).toBe(0);
  return found;
}
