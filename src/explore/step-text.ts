/** A step in a few words, for messages. The drawn form is in report/interleaving. */
import { type Actor, Flow, cpuOf, flowOf } from '#base/strategy';
import { OpType } from '#trace/operations';
import { type LogNames, type Step, mainOperation } from '#trace/steps';

const FLOW_TEXT: Readonly<Record<number, string>> = {
  [Flow.MAIN]: '',
  [Flow.INTERRUPT]: "'s interrupt",
  [Flow.BUFFER]: "'s store buffer",
  [Flow.NESTED]: "'s nested interrupt",
};

/** `CPU 1`, `CPU 1's interrupt`, `CPU 1's store buffer` */
export function actorText(actor: Actor): string {
  return `CPU ${cpuOf(actor)}${FLOW_TEXT[flowOf(actor)] ?? ''}`;
}

const TYPE_TEXT: ReadonlyMap<number, string> = new Map<number, string>(
  Object.entries(OpType).map(([name, type]) => [type, name.toLowerCase().replaceAll('_', ' ')]),
);

/** `load`, `irq entry`, ... */
export function typeText(type: number): string {
  return TYPE_TEXT.get(type) ?? `operation ${type}`;
}

export const numbersOnly: LogNames = {
  variable: (address) => `0x${address.toString(16)}`,
  symbol: (address) => `0x${address.toString(16)}`,
};

const TOUCHES_NOTHING: ReadonlySet<number> = new Set<number>([
  OpType.FENCE,
  OpType.IRQ_EXIT,
  OpType.IRQ_FLAG,
  OpType.START,
  OpType.END,
  OpType.TIMEOUT,
]);

/** What the operation touches, or nothing: `counter`. */
export function operandText(step: Step, names: LogNames): string {
  const { type, address } = mainOperation(step);
  return TOUCHES_NOTHING.has(type) ? '' : names.variable(address);
}

/** `CPU 1: store counter (reads 0, writes 1) in increment` */
export function stepText(step: Step, names: LogNames = numbersOnly): string {
  const { type, read, written, site } = mainOperation(step);
  const operand = operandText(step, names);
  const values = operand === '' ? '' : ` ${operand} (reads ${read | 0}, writes ${written | 0})`;
  const where = site === 0 ? '' : ` in ${names.symbol(site)}`;
  return `${actorText(step.actor)}: ${typeText(type)}${values}${where}`;
}
