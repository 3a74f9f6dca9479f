/** Puts a picture together, event by event: texts and stacks once each, calls as spans, IPIs as arrows. */
import {
  EVENT_CLASSES,
  type EventClass,
  type Picture,
  type PictureCall,
  type PictureEvent,
} from '#page/data';
import { Bands } from './picture-bands.ts';

/** A string table in which the empty one is number 0. */
class Strings {
  readonly all: string[] = [''];
  readonly #numbers = new Map<string, number>([['', 0]]);

  readonly number = (text: string): number => {
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    const number = this.all.push(text) - 1;
    this.#numbers.set(text, number);
    return number;
  };
}

/** A call or an interrupt that is open on one CPU. */
export interface OpenFrame {
  readonly name: string;
  /** Address of the function; 0 for an interrupt. */
  readonly symbol: number;
  readonly flow: number;
  readonly isInterrupt: boolean;
  readonly from: number;
  readonly stack: number;
}

export interface NewEvent {
  readonly cpu: number;
  readonly flow: number;
  readonly class: EventClass;
  readonly text: string;
  readonly step: number;
  readonly context: number;
  readonly variable?: string;
  readonly before?: string | undefined;
  readonly after?: string | undefined;
  readonly access?: string;
  readonly others?: string;
}

const CLASS_NUMBERS = new Map<EventClass, number>(EVENT_CLASSES.map((name, number) => [name, number]));

export class PictureBuilder {
  readonly bands: Bands;
  readonly #strings = new Strings();
  readonly #stacks: [number, number][] = [[-1, 0]];
  readonly #stackNumbers = new Map<string, number>();
  readonly #events: PictureEvent[] = [];
  readonly #calls: PictureCall[] = [];
  readonly #arrows: [number, number][] = [];
  readonly #sent = new Map<string, number[]>();
  readonly #frames: OpenFrame[][];

  constructor(cpus: number) {
    this.bands = new Bands(cpus, this.#strings.number);
    this.#frames = Array.from({ length: cpus }, () => []);
  }

  /** Number of the next event. */
  get next(): number {
    return this.#events.length;
  }

  /** What is open on a CPU, the innermost last. */
  frames(cpu: number): readonly OpenFrame[] {
    return this.#frames[cpu] ?? [];
  }

  add(event: NewEvent): number {
    const { cpu, flow, text, step, context, variable, before, after, access, others } = event;
    const frames = this.frames(cpu);
    const number = this.#strings.number;
    this.bands.context(cpu, this.next, context);
    return (
      this.#events.push([
        cpu,
        flow,
        CLASS_NUMBERS.get(event.class)!,
        number(text),
        frames.length,
        step,
        context,
        frames.at(-1)?.stack ?? 0,
        number(variable ?? ''),
        number(before ?? ''),
        number(after ?? ''),
        number(access ?? ''),
        number(others ?? ''),
      ]) - 1
    );
  }

  /** A call or an interrupt begins with event `from`. */
  open(cpu: number, frame: Pick<OpenFrame, 'name' | 'symbol' | 'flow' | 'isInterrupt' | 'from'>): void {
    const frames = this.#frames[cpu]!;
    frames.push({ ...frame, stack: this.#stack(frames.at(-1)?.stack ?? 0, frame.name) });
  }

  #stack(below: number, name: string): number {
    const text = this.#strings.number(name);
    const key = `${below} ${text}`;
    const known = this.#stackNumbers.get(key);
    if (known !== undefined) return known;
    const number = this.#stacks.push([below, text]) - 1;
    this.#stackNumbers.set(key, number);
    return number;
  }

  /** Ends what is open on a CPU, down to a number of frames, in front of event `to`. Answers what it ended, outermost first. */
  closeTo(cpu: number, level: number, to = this.next): readonly OpenFrame[] {
    const frames = this.#frames[cpu]!;
    const closed = frames.splice(Math.max(0, level));
    for (const [at, { name, from, isInterrupt }] of closed.entries()) {
      if (to > from)
        this.#calls.push([cpu, level + at, from, to, this.#strings.number(name), Number(isInterrupt)]);
    }
    return closed;
  }

  sends(event: number, vectors: number, target: number): void {
    for (let bit = 1; bit <= vectors; bit *= 2) {
      if ((vectors & bit) === 0) continue;
      const key = `${bit} ${target}`;
      this.#sent.set(key, [...(this.#sent.get(key) ?? []), event]);
    }
  }

  /** Several that were sent may be taken as one. */
  arrives(event: number, vector: number, target: number): void {
    const key = `${vector} ${target}`;
    for (const from of this.#sent.get(key) ?? []) this.#arrows.push([from, event]);
    this.#sent.delete(key);
  }

  finish(): Pick<
    Picture,
    'strings' | 'stacks' | 'events' | 'calls' | 'arrows' | 'bands' | 'locks' | 'registers'
  > {
    for (const cpu of this.#frames.keys()) this.closeTo(cpu, 0);
    const { bands, locks, registers } = this.bands.finish(this.next);
    return {
      strings: this.#strings.all,
      stacks: this.#stacks,
      events: this.#events,
      calls: this.#calls.toSorted(([a, , from], [b, , after]) => a - b || from - after),
      arrows: this.#arrows,
      bands,
      locks,
      registers,
    };
  }
}
