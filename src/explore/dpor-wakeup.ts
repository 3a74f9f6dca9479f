/**
 * Wakeup trees: what is left to explore from a state, as sequences of events whose first elements alone could be
 * redundant starts (Abdulla, Aronis, Jonsson, Sagonas, "Source sets: a foundation for optimal dynamic partial order
 * reduction", JACM 2017). A run that follows a whole sequence never ends because everybody sleeps.
 */
import { NOBODY } from '#base/strategy';
import { EventFlag, type EventTable } from './dpor-events.ts';
import { type Shape, shapeDepends, shapeOf, shapesDepend, unknownOf } from './dpor-shapes.ts';

/** One event of the tree; the events that may follow it, in the order they will be explored. */
export interface WakeNode {
  shape: Shape;
  /** It may turn out that it cannot be made there: a wait whose condition nobody has seen on such values. Always a leaf. */
  isGuess: boolean;
  readonly children: WakeNode[];
}

/** What is to be explored: events of a log, and behind them the one that is to come earlier than it did. */
export interface WakeSequence {
  /** Events of the log, ascending; the first `count` count. Used up by `insert`. */
  readonly list: Int32Array;
  count: number;
  readonly target: Shape;
  readonly isGuess: boolean;
  /** Only what is in the sequence can stand in for it. */
  readonly isStrict: boolean;
  /** Events from here on may be others in the next run that has the race. */
  readonly solidEnd: number;
}

/**
 * Whether a shape may come first in some run that has the sequence (a weak initial).
 *
 * - NO;
 * - STRICT: it is in the part of the sequence that will not change, and nothing there has to come before;
 * - LOOSE: so it is, but in the part that may change: the answer is for this run;
 * - WEAK: it depends on nothing of the sequence. For this run as well;
 * - ADDED (of a node): the sequence has become the node's.
 */
export const Initial = { NO: 0, WEAK: 1, LOOSE: 2, STRICT: 3, ADDED: 4 } as const;
export type Initial = (typeof Initial)[keyof typeof Initial];

/** Where `initialIn` found the shape: an index of the list; its count for the target; -1 if it is not there. */
let foundAt = -1;

export function initialIn(shape: Shape, sequence: WakeSequence, events: EventTable): Initial {
  const { list, count, target } = sequence;
  foundAt = -1;
  for (let at = 0; at < count; at++) {
    const event = list[at]!;
    if (events.actor[event] === shape.actor) {
      foundAt = at;
      return event < sequence.solidEnd ? Initial.STRICT : Initial.LOOSE;
    }
    if (shapeDepends(shape, events, event)) return Initial.NO;
  }
  if (target.actor === shape.actor) {
    foundAt = count;
    return Initial.STRICT;
  }
  return shapesDepend(shape, target) ? Initial.NO : Initial.WEAK;
}

/** What became of a sequence. */
export const Insertion = { ADDED: 0, COVERED: 1, COVERED_FOR_NOW: 2 } as const;
export type Insertion = (typeof Insertion)[keyof typeof Insertion];

/** Puts a sequence into the tree, unless one in it is as good. */
export function insert(children: WakeNode[], sequence: WakeSequence, events: EventTable): Insertion {
  let level = children;
  let isLoose = false;
  for (;;) {
    const match = findMatch(level, sequence, events);
    if (match === undefined) {
      append(level, sequence, events);
      return Insertion.ADDED;
    }
    if (match.initial === Initial.ADDED) return Insertion.ADDED;
    if (match.initial !== Initial.STRICT) isLoose = true;
    const isTarget = foundAt === sequence.count;
    if (isTarget) rely(match.node);
    if (isTarget || match.node.children.length === 0)
      return isLoose ? Insertion.COVERED_FOR_NOW : Insertion.COVERED;
    if (foundAt >= 0) remove(sequence, foundAt);
    level = match.node.children;
  }
}

/** Somebody leaves what he wants to the runs through a node. If those are guesses, and all of them fail, one more has to be made. */
function rely({ isGuess, children }: WakeNode): void {
  if (!isGuess && children.length > 0 && !children.some(isSure)) children.push(anyRun());
}

/** Whether at least one run along the branch will not be a miss. */
export function isSure({ isGuess, children }: WakeNode): boolean {
  return !isGuess && (children.length === 0 || children.some(isSure));
}

/** Whoever goes first there. */
function anyRun(): WakeNode {
  return { shape: unknownOf(NOBODY), isGuess: false, children: [] };
}

export function isAnyRun({ shape }: WakeNode): boolean {
  return shape.actor === NOBODY;
}

function findMatch(
  level: readonly WakeNode[],
  sequence: WakeSequence,
  events: EventTable,
): { node: WakeNode; initial: Initial } | undefined {
  for (const node of level) {
    if (node.isGuess) {
      const initial = matchGuess(node, sequence, events);
      if (initial === Initial.NO) continue;
      return { node, initial };
    }
    const initial = initialIn(node.shape, sequence, events);
    if (initial === Initial.NO && isAnyRun(node)) {
      foundAt = -1;
      return { node, initial: Initial.STRICT };
    }
    const isWeak = initial === Initial.WEAK;
    if (initial !== Initial.NO && !(isWeak && sequence.isStrict)) return { node, initial };
  }
  return undefined;
}

/**
 * A guess that fails leads nowhere, so it stands in for nothing but itself. And where a sequence shows that it can be made,
 * it is none any more: tried on its own, it would cover the sequence's beginning and lose its end.
 */
function matchGuess(node: WakeNode, sequence: WakeSequence, events: EventTable): Initial {
  const { list, count, target } = sequence;
  const { actor } = node.shape;
  for (let at = 0; at < count; at++) {
    const event = list[at]!;
    if (events.actor[event] !== actor) continue;
    const shape = shapeOf(events, event);
    const initial = initialIn(shape, sequence, events);
    if (initial === Initial.NO) return Initial.NO;
    remove(sequence, at);
    node.shape = shape;
    node.isGuess = false;
    append(node.children, sequence, events);
    return Initial.ADDED;
  }
  if (target.actor !== actor || count > 0) return Initial.NO;
  foundAt = 0;
  if (!sequence.isGuess) {
    node.shape = { ...target, steps: 1 };
    node.isGuess = false;
  }
  return Initial.STRICT;
}

function remove(sequence: WakeSequence, at: number): void {
  sequence.list.copyWithin(at, at + 1, sequence.count);
  sequence.count--;
}

function append(level: WakeNode[], sequence: WakeSequence, events: EventTable): void {
  const { list, count, target, isGuess } = sequence;
  let at = level;
  const push = (shape: Shape, guess: boolean): void => {
    const node: WakeNode = { shape, isGuess: guess, children: [] };
    at.push(node);
    at = node.children;
  };
  for (let index = 0; index < count; index++) {
    const event = list[index]!;
    const shape = shapeOf(events, event);
    // Steps that began an event because their actor had to wait go on without a stop where it does not.
    let { steps } = shape;
    for (
      let next = list[index + 1];
      index + 1 < count && isTail(events, event, next!);
      next = list[index + 1]
    ) {
      steps += events.steps[next!]!;
      index++;
    }
    push(steps === shape.steps ? shape : { ...shape, steps }, false);
  }
  push({ ...target, steps: 1 }, isGuess);
}

function isTail(events: EventTable, event: number, next: number): boolean {
  return events.actor[next] === events.actor[event] && (events.flags[next]! & EventFlag.ALONE) !== 0;
}

/** A tree of its own: runs use theirs up. */
export function cloneTree(children: readonly WakeNode[]): WakeNode[] {
  return children.map((node) => ({ ...node, children: cloneTree(node.children) }));
}
