/** The picture, and what the page works out from it once: who ran when, what is under a point of a lane, who else used a word. */
import {
  At,
  type BandSpan,
  EVENT_CLASSES,
  type EventClass,
  type Picture,
  type PictureCall,
  type PictureDrawing,
  type PictureEvent,
  type PictureLock,
} from '../data.ts';

/** A stretch of events of one flow: between two switches. */
export interface Run {
  readonly cpu: number;
  readonly flow: number;
  readonly from: number;
  readonly to: number;
}

const IRQS_OFF = 1;
const HARDIRQ = 2;
const PREEMPT_OFF = 4;
const FLOW_NAMES = ['', 'interrupt', 'store buffer', 'nested interrupt'];

export class PictureModel {
  readonly picture: Picture;
  readonly runs: readonly Run[];
  /** By CPU, by level: its calls in order; no two of one level overlap. */
  readonly calls: readonly (readonly (readonly PictureCall[])[])[];
  /** By CPU: the stretches it runs in, and its events, in order. */
  readonly runsOf: readonly (readonly Run[])[];
  readonly eventsOf: readonly (readonly number[])[];
  /** By band, by CPU: its spans, in order. */
  readonly spans: readonly (readonly (readonly BandSpan[])[])[];
  readonly locks: readonly (readonly PictureLock[])[];
  /** By string number of a variable: events that touch it. */
  readonly accesses: ReadonlyMap<number, readonly number[]>;
  /** By event: letters of the pairs it is in. */
  readonly letters: ReadonlyMap<number, string>;
  /** CPUs that do something, in order. */
  readonly cpus: readonly number[];

  constructor(picture: Picture) {
    this.picture = picture;
    this.runs = runsOf(picture.events);
    this.calls = callsOf(picture);
    const { cpus, bands } = picture;
    this.runsOf = byCpu(cpus, this.runs, ({ cpu }) => cpu);
    this.eventsOf = byCpu(cpus, [...picture.events.keys()], (index) => this.cpu(index));
    this.spans = bands.map(({ spans }) => byCpu(cpus, spans, ([cpu]) => cpu));
    this.locks = byCpu(cpus, picture.locks, ([cpu]) => cpu);
    this.accesses = accessesOf(picture.events);
    const letters = new Map<number, string>();
    for (const { letter, first, second } of picture.pairs ?? [])
      for (const event of [first, second])
        letters.set(event, letters.has(event) ? `${letters.get(event)},${letter}` : letter);
    this.letters = letters;
    const busy = new Set(picture.events.map((event) => event[At.CPU]!));
    for (const { spans } of picture.bands) for (const [cpu, , , on] of spans) if (on === 1) busy.add(cpu);
    this.cpus = [...busy].toSorted((a, b) => a - b);
  }

  get length(): number {
    return this.picture.events.length;
  }

  event(index: number): PictureEvent {
    return this.picture.events[index]!;
  }

  word(index: number, field: number): string {
    return this.picture.strings[this.event(index)[field]!] ?? '';
  }

  cpu(index: number): number {
    return this.event(index)[At.CPU]!;
  }

  text(index: number): string {
    return this.word(index, At.TEXT);
  }

  class(index: number): EventClass {
    return EVENT_CLASSES[this.event(index)[At.CLASS]!]!;
  }

  /** `step 12`, `event 3041`; an event between steps has none. */
  place(index: number): string {
    const step = this.event(index)[At.STEP]!;
    if (this.class(index) === 'never') return 'never happened';
    return step < 0 ? `after step ${this.stepBefore(index)}` : `${this.picture.unit} ${step}`;
  }

  stepBefore(index: number): number {
    for (let at = index; at >= 0; at--) if (this.event(at)[At.STEP]! >= 0) return this.event(at)[At.STEP]!;
    return 0;
  }

  flowName(index: number): string {
    return FLOW_NAMES[this.event(index)[At.FLOW]!] ?? '';
  }

  /** The flags as ftrace has them: `d` interrupts off, `h` in an interrupt, `p` preemption off. */
  flags(index: number): string {
    const context = this.event(index)[At.CONTEXT]!;
    return `${(context & IRQS_OFF) === 0 ? '.' : 'd'}${(context & HARDIRQ) === 0 ? '.' : 'h'}${(context & PREEMPT_OFF) === 0 ? '.' : 'p'}`;
  }

  contextWords(index: number): string {
    const context = this.event(index)[At.CONTEXT]!;
    return [
      (context & IRQS_OFF) === 0 ? 'irqs on' : 'irqs off',
      (context & PREEMPT_OFF) === 0 ? 'preemption on' : 'preemption off',
      ...((context & HARDIRQ) === 0 ? [] : ['in an interrupt']),
    ].join(', ');
  }

  /** Innermost first. */
  stack(index: number): string[] {
    const names: string[] = [];
    const { stacks, strings } = this.picture;
    for (let at = this.event(index)[At.STACK]!; at > 0; at = stacks[at]![0])
      names.push(strings[stacks[at]![1]]!);
    return names;
  }

  /** What a band says of a CPU at an event; undefined: not known. */
  bandAt(band: number, cpu: number, index: number): boolean | undefined {
    const spans = this.spans[band]![cpu]!;
    const span = spans[firstBehind(spans, index, ([, , to]) => to)];
    return span === undefined || span[1] > index ? undefined : span[3] === 1;
  }

  locksAt(cpu: number, index: number): string[] {
    return this.locks[cpu]!.filter(([, from, to]) => from <= index && index < to).map(
      ([, , , name]) => this.picture.strings[name]!,
    );
  }

  /** What each register of a CPU was last found to hold. */
  registersAt(cpu: number, index: number): ReadonlyMap<string, string> {
    const found = new Map<string, string>();
    for (const [at, of, name, value] of this.picture.registers) {
      if (at > index) break;
      if (of === cpu) found.set(this.picture.strings[name]!, this.picture.strings[value]!);
    }
    return found;
  }

  /** Number of the stretch an event is in. */
  runAt(index: number): number {
    let low = 0;
    let high = this.runs.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.runs[middle]!.from <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The innermost function a CPU is in at an event. */
  functionAt(cpu: number, index: number): string {
    const levels = this.calls[cpu] ?? [];
    for (let level = levels.length - 1; level >= 0; level--) {
      const call = callAt(levels[level]!, index);
      if (call !== undefined) return this.picture.strings[call[4]]!;
    }
    return '';
  }

  drawing(number: number): PictureDrawing | undefined {
    return this.picture.drawings[number];
  }
}

function runsOf(events: readonly PictureEvent[]): Run[] {
  const runs: Run[] = [];
  for (let at = 0; at < events.length;) {
    const from = at;
    const [cpu, flow] = [events[at]![At.CPU]!, events[at]![At.FLOW]!];
    while (events[at]?.[At.CPU] === cpu && events[at]?.[At.FLOW] === flow) at++;
    runs.push({ cpu, flow, from, to: at });
  }
  return runs;
}

function callsOf({ cpus, calls }: Picture): PictureCall[][][] {
  const sorted: PictureCall[][][] = Array.from({ length: cpus }, () => []);
  for (const call of calls) {
    const levels = sorted[call[0]]!;
    while (levels.length <= call[1]) levels.push([]);
    levels[call[1]]!.push(call);
  }
  return sorted;
}

function accessesOf(events: readonly PictureEvent[]): Map<number, number[]> {
  const found = new Map<number, number[]>();
  for (const [index, event] of events.entries()) {
    const variable = event[At.VARIABLE]!;
    if (variable === 0) continue;
    const known = found.get(variable);
    if (known === undefined) found.set(variable, [index]);
    else known.push(index);
  }
  return found;
}

/** Where the first of some sorted things is that ends behind an event. */
export function firstBehind<T>(things: readonly T[], index: number, end: (thing: T) => number): number {
  let low = 0;
  let high = things.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (end(things[middle]!) <= index) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The first call of a level that ends behind an event. */
export function firstCall(calls: readonly PictureCall[], index: number): number {
  return firstBehind(calls, index, ([, , , to]) => to);
}

function byCpu<T>(cpus: number, things: readonly T[], cpuOf: (thing: T) => number): T[][] {
  const sorted: T[][] = Array.from({ length: cpus }, () => []);
  for (const thing of things) sorted[cpuOf(thing)]!.push(thing);
  return sorted;
}

export function callAt(calls: readonly PictureCall[], index: number): PictureCall | undefined {
  const call = calls[firstCall(calls, index)];
  return call !== undefined && call[2] <= index ? call : undefined;
}
