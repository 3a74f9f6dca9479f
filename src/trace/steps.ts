/**
 * The operation log as objects, for whoever looks at one run in peace: views, explanations, replays. What looks at
 * thousands of runs a second reads the words of the log (operations.ts) and makes no objects.
 */
import type { Actor } from '#base/strategy';
import type { EventType } from './events.ts';
import {
  Footprint,
  OP_WORDS,
  OpFlag,
  OpType,
  OpWord,
  type OperationLog,
  footprint,
  opActor,
  opFlags,
  opHead,
  opKind,
  opType,
  overlaps,
} from './operations.ts';

/** One record of a step. Addresses and sizes are in bytes, values are the low 32 bits, unsigned. */
export interface Operation {
  readonly type: OpType;
  /** AccessKind */
  readonly kind: number;
  /** OpFlag bits */
  readonly flags: number;
  readonly address: number;
  readonly size: number;
  readonly read: number;
  readonly written: number;
  /** Address of the innermost kernel function, 0 outside all. */
  readonly site: number;
}

/** What an EVENT record says, in the words of trace/events. */
export interface Fact {
  /** Who made the step, or goes on after it. */
  readonly actor: Actor;
  readonly type: EventType;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
}

export interface Step {
  /** 0 for the first of the run. */
  readonly index: number;
  readonly actor: Actor;
  readonly visible: boolean;
  readonly enabledLow: number;
  readonly enabledHigh: number;
  /** Never empty; the END of a flow is among them. */
  readonly operations: readonly Operation[];
  /** What the log says about this step, in order. */
  readonly facts: readonly Fact[];
}

interface OpenStep extends Step {
  readonly operations: Operation[];
  readonly facts: Fact[];
}

/** All steps of a log. They share nothing with it: the executor may reuse its words. */
export function decodeSteps({ words, records }: OperationLog): Step[] {
  const steps: OpenStep[] = [];
  for (let record = 0; record < records; record++) {
    const at = record * OP_WORDS;
    const head = words[at]!;
    const word = (which: number): number => words[at + which]! >>> 0;
    if (opType(head) >= OpType.EVENT) {
      steps.at(-1)?.facts.push({
        actor: opActor(head),
        type: (opType(head) - OpType.EVENT) as EventType,
        a: word(OpWord.ADDRESS),
        b: word(OpWord.SIZE),
        c: word(OpWord.READ),
        d: word(OpWord.WRITTEN),
      });
      continue;
    }
    const operation: Operation = {
      type: opType(head) as OpType,
      kind: opKind(head),
      flags: opFlags(head),
      address: word(OpWord.ADDRESS),
      size: word(OpWord.SIZE),
      read: word(OpWord.READ),
      written: word(OpWord.WRITTEN),
      site: word(OpWord.SITE),
    };
    if ((operation.flags & OpFlag.CONTINUES) !== 0 && steps.length > 0) {
      steps.at(-1)!.operations.push(operation);
      continue;
    }
    steps.push({
      index: steps.length,
      actor: opActor(head),
      visible: (operation.flags & OpFlag.VISIBLE) !== 0,
      enabledLow: word(OpWord.ENABLED_LOW),
      enabledHigh: word(OpWord.ENABLED_HIGH),
      operations: [operation],
      facts: [],
    });
  }
  return steps;
}

/** The words of a log that says this: what decodeSteps takes apart. For tests, and for logs made by hand. */
export function encodeSteps(steps: readonly Step[]): OperationLog {
  const words: number[] = [];
  for (const step of steps) {
    for (const [position, operation] of step.operations.entries()) {
      const { type, kind, flags, address, size, read, written, site } = operation;
      const first = position === 0;
      const masks = first ? [step.enabledLow, step.enabledHigh] : [0, 0];
      words.push(opHead(type, kind, flags, step.actor), address, size, read, written, site, ...masks);
    }
    for (const { actor, type, a, b, c, d } of step.facts) {
      words.push(opHead(OpType.EVENT + type, 0, OpFlag.CONTINUES, actor), a, b, c, d, 0, 0, 0);
    }
  }
  return { words: Int32Array.from(words), records: words.length / OP_WORDS };
}

/** Steps as plain numbers, for a file: what stepsOf takes apart again. Their own numbers come first. */
export interface WrittenSteps {
  readonly index: readonly number[];
  readonly words: readonly number[];
}

export function writtenSteps(steps: readonly Step[]): WrittenSteps {
  return { index: steps.map(({ index }) => index), words: [...encodeSteps(steps).words] };
}

export function stepsOf({ index, words }: WrittenSteps): Step[] {
  const steps = decodeSteps({ words: Int32Array.from(words), records: Math.floor(words.length / OP_WORDS) });
  return steps.map((step, at) => ({ ...step, index: index[at] ?? at }));
}

/** Whether that actor could have made this step's choice point its own. Actors from 64 on are in no mask: false. */
export function couldGo(step: Step, actor: Actor): boolean {
  if (actor >= 64) return false;
  const mask = actor < 32 ? step.enabledLow : step.enabledHigh;
  return ((mask >>> (actor & 31)) & 1) === 1;
}

/** Whether some operation of one step touches what some operation of the other touches, and one of the two writes. */
export function stepsConflict(first: Step, second: Step): boolean {
  return first.operations.some((a) =>
    second.operations.some((b) => overlaps(a.type, a.address, a.size, b.type, b.address, b.size)),
  );
}

/** What the step is about: its first operation on memory, or its first operation if none is. */
export function mainOperation(step: Step): Operation {
  return (
    step.operations.find(({ type }) => footprint(type) !== Footprint.NONE || type === OpType.BUFFER) ??
    step.operations[0]!
  );
}

/** Names for the numbers in a log. */
export interface LogNames {
  /** Of the variable or field at an address; the address in hexadecimal where there is none. */
  variable(address: number): string;
  /** Of the kernel function at an address. */
  symbol(address: number): string;
}
