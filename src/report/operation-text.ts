/** What one step does, in the few words a column has room for. */
import { cpuOf } from '#base/strategy';
import { OpFlag, OpType } from '#trace/operations';
import type { LogNames, Operation, Step } from '#trace/steps';
import { hex } from './names.ts';

/** Numbers from here on are bit patterns or addresses to a reader, and not counts. */
const HEX_FROM = 0x10000;
const ERRNO_MAX = 4095;

/** `-16`, `42`, `0xc0100040` */
export function valueText(value: number): string {
  const signed = value | 0;
  if (signed < 0 && signed >= -ERRNO_MAX) return String(signed);
  return value >>> 0 < HEX_FROM ? String(value >>> 0) : hex(value >>> 0);
}

/** Words that were ever taken as a lock: a zero written there gives the lock back. */
export function lockWords(steps: readonly Step[]): ReadonlySet<number> {
  const acquires = steps.flatMap(({ operations }) =>
    operations.filter(({ type }) => type === OpType.ACQUIRE),
  );
  return new Set(acquires.map(({ address }) => address));
}

const GIVES_BACK: ReadonlySet<number> = new Set<number>([
  OpType.STORE,
  OpType.RMW,
  OpType.BUFFER,
  OpType.FLUSH,
]);

/** Whether the operation gives a lock back. */
export function isRelease({ type, address, written }: Operation, locks: ReadonlySet<number>): boolean {
  return GIVES_BACK.has(type) && written === 0 && locks.has(address);
}

/** Takes or gives back by a function that is named so: the call alone says it all. */
export function isLockCall(operation: Operation, locks: ReadonlySet<number>, names: LogNames): boolean {
  const { type, site } = operation;
  if (site === 0) return false;
  if (type === OpType.ACQUIRE) return /lock/.test(names.symbol(site));
  return type !== OpType.FLUSH && isRelease(operation, locks) && /unlock/.test(names.symbol(site));
}

const ENDS_AND_BEGINS: ReadonlySet<number> = new Set<number>([
  OpType.START,
  OpType.END,
  OpType.IRQ_EXIT,
  OpType.LOOKED,
]);

export function stepText(step: Step, locks: ReadonlySet<number>, names: LogNames): string {
  const { operations } = step;
  const first = operations[0]!;
  if (first.type === OpType.AWAIT) {
    const read = operations.filter(({ type }) => type === OpType.AWAIT);
    return `waited until ${read.map((op) => `${names.variable(op.address)}: ${valueText(op.read)}`).join(', ')}`;
  }
  if (first.type === OpType.OFFER) return '[its task asks for another CPU]';
  if (first.type === OpType.TAKE) return takeText(operations);
  const telling = operations.filter(({ type }) => !ENDS_AND_BEGINS.has(type));
  const texts = telling.map((operation) => operationText(operation, locks, names));
  if (texts.length <= 2) return texts.join('; ');
  return `${texts[0]} (and ${texts.length - 1} more)`;
}

function takeText(operations: readonly Operation[]): string {
  const given = operations.find(({ type }) => type === OpType.GIVEN);
  return given === undefined ? '' : `[the task of CPU ${given.read} goes on here]`;
}

function operationText(operation: Operation, locks: ReadonlySet<number>, names: LogNames): string {
  const { type, flags, address, read, written, site } = operation;
  const variable = (): string => names.variable(address);
  if ((flags & OpFlag.FAULTED) !== 0) return `${variable()}: the access faults`;
  if (isLockCall(operation, locks, names)) return `${names.symbol(site)}(&${variable()})`;
  const released = isRelease(operation, locks);
  switch (type) {
    case OpType.LOAD: {
      const forwarded = (flags & OpFlag.FORWARDED) !== 0 ? ' (from its own store buffer)' : '';
      return `reads ${variable()}: ${valueText(read)}${forwarded}`;
    }
    case OpType.STORE:
      if (released) return `releases ${variable()}`;
      return `${variable()} = ${valueText(written)} (was ${valueText(read)})`;
    case OpType.RMW:
      if (released) return `releases ${variable()}`;
      return read === written
        ? `${variable()}: stays ${valueText(read)} (atomic)`
        : `${variable()}: ${valueText(read)} -> ${valueText(written)} (atomic)`;
    case OpType.ACQUIRE:
      return `takes ${variable()}`;
    case OpType.BUFFER:
      return released
        ? `releases ${variable()} (in its store buffer)`
        : `${variable()} = ${valueText(written)} (in its store buffer)`;
    case OpType.FLUSH:
      return `[store of ${variable()} reaches memory]`;
    case OpType.FENCE:
      return 'smp_mb()';
    case OpType.IPI:
      return `[interrupts CPU ${read}]`;
    case OpType.IRQ_FLAG:
      return written === 0 ? 'local_irq_disable()' : 'preempt_disable()';
    case OpType.IRQ_ENTRY:
      return '<interrupt>';
    case OpType.IRQ_DROP:
      return '[drops its interrupts]';
    case OpType.TIMEOUT:
      return '[its wait times out]';
    case OpType.OFFER:
    case OpType.TAKE:
    case OpType.GIVEN:
    case OpType.AWAIT:
    case OpType.LOOKED:
    case OpType.START:
    case OpType.END:
    case OpType.IRQ_EXIT:
    case OpType.EVENT:
      return '';
    default: {
      const unknown: never = type;
      return `operation ${String(unknown)}`;
    }
  }
}

/** What a CPU that cannot go on would do: `waits for B, held by CPU 1`. */
export function waitingText(
  step: Step,
  steps: readonly Step[],
  locks: ReadonlySet<number>,
  names: LogNames,
): string {
  const operation = step.operations[0]!;
  const { type, address } = operation;
  if (type === OpType.ACQUIRE) {
    const holder = holderOf(address, steps, locks);
    return `waits for ${names.variable(address)}${holder === undefined ? '' : `, held by CPU ${holder}`}`;
  }
  if (type === OpType.AWAIT) return `waits for ${names.variable(address)}`;
  return `waits: ${stepText(step, locks, names)}`;
}

function holderOf(lock: number, steps: readonly Step[], locks: ReadonlySet<number>): number | undefined {
  let holder: number | undefined;
  for (const { actor, operations } of steps) {
    for (const operation of operations) {
      if (operation.address !== lock) continue;
      if (operation.type === OpType.ACQUIRE) holder = cpuOf(actor);
      else if (isRelease(operation, locks) && operation.type !== OpType.BUFFER) holder = undefined;
    }
  }
  return holder;
}
