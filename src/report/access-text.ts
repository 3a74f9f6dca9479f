/** What kind of access to memory an operation is, as a reader of kernel code would call it. */
import { AccessKind } from '#trace/events';
import { OpFlag, OpType } from '#trace/operations';
import type { Operation } from '#trace/steps';

const LOADS: Readonly<Record<number, string>> = {
  [AccessKind.ONCE]: 'READ_ONCE',
  [AccessKind.ACQUIRE]: 'load-acquire',
  [AccessKind.RMW]: 'atomic read',
  [AccessKind.LOCAL]: "load of this CPU's own",
};
const STORES: Readonly<Record<number, string>> = {
  [AccessKind.ONCE]: 'WRITE_ONCE',
  [AccessKind.RELEASE]: 'store-release',
  [AccessKind.RMW]: 'atomic write',
  [AccessKind.LOCAL]: "store of this CPU's own",
};

export function loadText(kind: number): string {
  return LOADS[kind] ?? 'plain load';
}

export function storeText(kind: number): string {
  return STORES[kind] ?? 'plain store';
}

/** Bytes a single access can have: more is a copy or a fill. */
const WORD_BYTES = 8;

function sized(text: string, size: number): string {
  return size > WORD_BYTES ? `${text}, ${size} bytes` : text;
}

/** Empty for what is no access. */
export function accessText({ type, kind, flags, size }: Operation): string {
  switch (type) {
    case OpType.LOAD:
      return sized(
        (flags & OpFlag.FORWARDED) === 0 ? loadText(kind) : `${loadText(kind)}, from its own store buffer`,
        size,
      );
    case OpType.STORE:
      return sized(storeText(kind), size);
    case OpType.RMW:
      return 'atomic read-modify-write';
    case OpType.ACQUIRE:
      return 'takes a lock: atomic, possible only while it is 0';
    case OpType.AWAIT:
      return 'a wait whose condition holds';
    case OpType.BUFFER:
      return `${storeText(kind)}, into the store buffer`;
    case OpType.FLUSH:
      return `${storeText(kind)}, from the store buffer to memory`;
    case OpType.FENCE:
      return 'full barrier';
    case OpType.IPI:
      return "sets a pending bit of the target's";
    case OpType.IRQ_ENTRY:
      return 'takes a pending interrupt';
    case OpType.IRQ_DROP:
      return 'drops pending interrupts';
    case OpType.OFFER:
      return 'a task asks for another CPU';
    case OpType.TAKE:
      return 'a CPU looks for a task that asks for one';
    case OpType.GIVEN:
    case OpType.IRQ_EXIT:
    case OpType.IRQ_FLAG:
    case OpType.START:
    case OpType.END:
    case OpType.TIMEOUT:
    case OpType.LOOKED:
    case OpType.EVENT:
      return '';
    default: {
      const unknown: never = type;
      return `operation ${String(unknown)}`;
    }
  }
}
