/** In-run policies: who goes next. They run on the CPU that holds the baton, and remember only in machine memory. */
import { assert } from '#base/assert';
import type { Policy } from '#base/strategy';
import { follow } from './follow.ts';
import { ordered } from './ordered.ts';
import { pct } from './pct.ts';
import { pos } from './pos.ts';
import { delayBounded, inOrder, random, roundRobin, stay } from './simple.ts';
import { surw, urw } from './urw.ts';

/** By number, as MachineWord.POLICY and Plan.policy hold it: append, never renumber (tokens name them). */
const POLICIES: readonly Policy[] = [
  roundRobin,
  random,
  pct,
  pos,
  urw,
  surw,
  stay,
  follow,
  delayBounded,
  inOrder,
  ordered,
];

/** Number of a policy, or -1. */
export function policyNumber(name: string): number {
  return POLICIES.findIndex((policy) => policy.name === name);
}

export function policyByNumber(number: number): Policy {
  const policy = POLICIES[number];
  assert(policy !== undefined, `policyByNumber: no policy ${number}`);
  return policy;
}

export const policyNames: readonly string[] = POLICIES.map((policy) => policy.name);
