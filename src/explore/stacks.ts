/** Call stacks of every step of a run that was recorded with function entries and exits. */
import { cpuOf } from '#base/strategy';
import { EventType } from '#trace/events';
import type { OperationLog } from '#trace/operations';
import { decodeSteps } from '#trace/steps';

/** The stack of a CPU at a step, innermost first; empty where it has none, or none was recorded. */
export type StackAt = (step: number, cpu: number) => readonly string[];

/** Reads a log's function facts. What an interrupt calls stands on top of what it interrupted, as on the real stack. */
export function stacksOf(log: OperationLog, symbol: (address: number) => string): StackAt {
  const running = new Map<number, number[]>();
  const atStep: { readonly cpu: number; readonly stack: readonly number[] }[] = [];
  for (const { actor, facts } of decodeSteps(log)) {
    const cpu = cpuOf(actor);
    let calls = running.get(cpu) ?? [];
    atStep.push({ cpu, stack: calls });
    for (const { actor: who, type, a } of facts) {
      if (type !== EventType.FUNCTION_ENTRY && type !== EventType.FUNCTION_EXIT) continue;
      calls = running.get(cpuOf(who)) ?? [];
      if (type === EventType.FUNCTION_ENTRY) running.set(cpuOf(who), [...calls, a]);
      else running.set(cpuOf(who), calls.slice(0, Math.max(calls.lastIndexOf(a), 0)));
    }
  }
  return (step, cpu) => {
    for (let at = Math.min(step, atStep.length - 1); at >= 0; at--) {
      if (atStep[at]!.cpu === cpu) return atStep[at]!.stack.toReversed().map(symbol);
    }
    return [];
  };
}
