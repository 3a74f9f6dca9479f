/**
 * What a page is given: the one thing that report, which makes pages, and the scripts in them both know. Numbers and
 * strings in arrays, since a trace has tens of thousands of events and goes into the page as JSON.
 */

/** What kind of thing an event is: its colour, its mark and whether it touches memory. The order is that of the numbers. */
export const EVENT_CLASSES = [
  'call',
  'return',
  'load',
  'store',
  'rmw',
  'lock',
  'unlock',
  'wait',
  'fence',
  'flag',
  'ipi',
  'irq',
  'irq-end',
  'msr',
  'instruction',
  'hotplug',
  'printk',
  'flow',
  'allocation',
  'finding',
  'never',
] as const;
export type EventClass = (typeof EVENT_CLASSES)[number];

/** Where what is in an event. Strings are numbers in `Picture.strings`, of which 0 is the empty one. */
export const At = {
  CPU: 0,
  /** 0 main, 1 interrupt, 2 store buffer, 3 nested interrupt */
  FLOW: 1,
  /** a number in EVENT_CLASSES */
  CLASS: 2,
  TEXT: 3,
  /** calls and interrupts around it */
  LEVEL: 4,
  /** number of the step, or sequence number in a trace without steps */
  STEP: 5,
  /** ContextFlag bits */
  CONTEXT: 6,
  /** a number in `Picture.stacks` */
  STACK: 7,
  VARIABLE: 8,
  BEFORE: 9,
  AFTER: 10,
  /** kind of access */
  ACCESS: 11,
  /** who else could have gone */
  OTHERS: 12,
} as const;
export type PictureEvent = readonly number[];

/** A call or an interrupt: [CPU, level, first event, event after the last, string, 0 call or 1 interrupt]. */
export type PictureCall = readonly [
  cpu: number,
  level: number,
  from: number,
  to: number,
  name: number,
  kind: number,
];

/** What something is on one CPU: [CPU, first event, event after the last, 1 on or 0 off]. Where nothing is known there is none. */
export type BandSpan = readonly [cpu: number, from: number, to: number, on: number];

export interface PictureBand {
  readonly name: string;
  readonly hint: string;
  readonly spans: readonly BandSpan[];
}

/** A lock somebody holds: [CPU, first event, event after the last, string]. */
export type PictureLock = readonly [cpu: number, from: number, to: number, name: number];

/** What a register is found to hold: [event, CPU, name, value]. */
export type PictureRegister = readonly [event: number, cpu: number, name: number, value: number];

/** Two events whose order decides. */
export interface PicturePair {
  readonly letter: string;
  readonly first: number;
  readonly second: number;
  readonly firstText: string;
  readonly secondText: string;
  /** What becomes of the failure with the two turned round. */
  readonly outcome: string;
}

export type RowKind = 'call' | 'operation' | 'said' | 'milestone' | 'irq' | 'never' | 'note';

/** A row of the interleaving. */
export interface PictureRow {
  readonly cpu: number;
  readonly indent: number;
  readonly text: string;
  readonly event: number;
  readonly kind: RowKind;
  /** Letters of the pairs it is in. */
  readonly letters?: string;
}

/** The interleaving, folded so far. */
export interface PictureDrawing {
  readonly cpus: readonly number[];
  readonly rows: readonly PictureRow[];
}

export interface Picture {
  readonly schema: 'smplab.picture/1';
  readonly title: string;
  /** Of a finding its kind; `trace` where nothing is wrong. */
  readonly kind: string;
  readonly isBad: boolean;
  readonly facts: readonly (readonly [name: string, value: string])[];
  readonly command?: string;
  readonly cpus: number;
  /** What events are numbered by. */
  readonly unit: 'step' | 'event';
  readonly strings: readonly string[];
  /** [number of the stack below, string]; the first is the empty stack. */
  readonly stacks: readonly (readonly [below: number, name: number])[];
  readonly events: readonly PictureEvent[];
  readonly calls: readonly PictureCall[];
  /** IPIs: [event that sends, event that takes]. */
  readonly arrows: readonly (readonly [from: number, to: number])[];
  readonly bands: readonly PictureBand[];
  readonly locks: readonly PictureLock[];
  readonly registers: readonly PictureRegister[];
  /** Undefined: nobody looked for one. Empty: no single pair decides. */
  readonly pairs?: readonly PicturePair[];
  /** From the whole to the most folded. */
  readonly drawings: readonly PictureDrawing[];
  /** Which of them a reader sees first. */
  readonly drawing: number;
  readonly report: readonly string[];
}
