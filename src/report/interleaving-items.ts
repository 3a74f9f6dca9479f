/** What there is to draw of a run: its steps and facts, each with the calls it happens in and why it may matter. */
import { type Actor, Flow, cpuOf, flowOf, interruptActor, mainActor } from '#base/strategy';
import { EventType, type TraceEvent } from '#trace/events';
import { Footprint, OpType, footprint } from '#trace/operations';
import type { Fact, LogNames, Operation, Step } from '#trace/steps';
import type { LogLine } from './model.ts';
import { callArguments, milestoneText } from './names.ts';
import { isLockCall, lockWords, stepText, waitingText } from './operation-text.ts';

export interface InterleavingNames extends LogNames {
  /** Name of an interrupt vector, if it has one: `call-function`. */
  vector?(vector: number): string | undefined;
}

export interface InterleavingInput {
  readonly steps: readonly Step[];
  readonly names: InterleavingNames;
  /** Function entries and exits, printk and hotplug, if the log has none itself: `sequence` steps were made before each. */
  readonly events?: readonly TraceEvent[];
  /** What CPUs that can never go on would do next, in a deadlock. Their index says nothing about the run. */
  readonly waiting?: readonly Step[];
  /** What flows would have done next had the failure not ended the run. Their index says nothing either. */
  readonly unreached?: readonly Step[];
  /** Words for printk. */
  readonly log?: readonly LogLine[];
}

/** A call, or an interrupt, around something. The same object as long as it is the same call. */
export interface Frame {
  readonly text: string;
  readonly symbol: number;
  readonly interrupt: boolean;
}

export type ItemClass =
  'access' | 'wait' | 'fence' | 'flag' | 'ipi' | 'irq-entry' | 'irq-exit' | 'said' | 'milestone' | 'waiting';

export interface Item {
  readonly step: number;
  readonly actor: Actor;
  readonly class: ItemClass;
  readonly path: readonly Frame[];
  readonly text: string;
  /** Words of memory it touches: addresses divided by four. */
  readonly words: readonly number[];
  /** Of a cross-CPU interrupt: its target. */
  readonly target?: number;
}

/** Words of a bulk operation that count. What CPUs fight over is smaller. */
const WORDS_MAX = 256;

function wordsOf({ operations }: Step): number[] {
  return operations.flatMap(({ type, address, size }) => {
    if (footprint(type) === Footprint.NONE && type !== OpType.BUFFER) return [];
    const first = address >>> 2;
    const last = (address + Math.max(size, 1) - 1) >>> 2;
    return Array.from({ length: Math.min(last - first + 1, WORDS_MAX) }, (_, at) => first + at);
  });
}

/** Who fights over a word: the flows of a run, also where their tasks change CPUs. */
class Parties {
  /** By CPU whose tasks have moved: whose task runs there now. */
  readonly #moved = new Map<number, number>();

  /** A store buffer belongs to its CPU's program: both are one column, and one party to a conflict. */
  of(actor: Actor): number {
    const flow = flowOf(actor);
    if (flow !== Flow.BUFFER && flow !== Flow.MAIN) return actor;
    const cpu = cpuOf(actor);
    return mainActor(this.#moved.get(cpu) ?? cpu);
  }

  /** The step is made: where it takes another CPU's task, the two change places. */
  made({ actor, operations }: Step): void {
    for (const { type, read } of operations) {
      if (type !== OpType.GIVEN) continue;
      const [here, there] = [cpuOf(actor), read];
      const [own, given] = [this.#moved.get(here) ?? here, this.#moved.get(there) ?? there];
      this.#moved.set(here, given);
      this.#moved.set(there, own);
    }
  }
}

/** Words that two flows touched and one of them wrote. */
export function contestedWords(steps: readonly Step[]): ReadonlySet<number> {
  const parties = new Map<number, Set<number>>();
  const all = new Parties();
  const written = new Set<number>();
  for (const step of steps) {
    const writes = step.operations.some(
      ({ type }) => (footprint(type) & Footprint.WRITES) !== 0 || type === OpType.BUFFER,
    );
    for (const word of wordsOf(step)) {
      const known = parties.get(word) ?? new Set();
      parties.set(word, known.add(all.of(step.actor)));
      if (writes) written.add(word);
    }
    all.made(step);
  }
  return new Set(
    [...parties].filter(([word, { size }]) => size > 1 && written.has(word)).map(([word]) => word),
  );
}

/** The calls of one flow while the run goes by. */
class FlowCalls {
  #frames: Frame[] = [];
  #site: Frame | undefined;

  enter(frame: Frame): void {
    this.#frames.push(frame);
    this.#site = undefined;
  }

  leave(symbol: number): void {
    const at = this.#frames.findLastIndex((frame) => frame.symbol === symbol && !frame.interrupt);
    if (at >= 0) this.#frames.length = at;
  }

  leaveInterrupt(): Frame[] {
    const path = this.#frames.filter(({ interrupt }) => interrupt);
    this.#frames = [];
    this.#site = undefined;
    return path;
  }

  /** The calls around an operation. Where no entry of its function was told, the function stands as a call. */
  around({ site }: Operation, names: LogNames, isLock: boolean): Frame[] {
    const innermost = this.#frames.at(-1);
    if (site === 0) return [...this.#frames];
    if (innermost?.symbol === site && !innermost.interrupt) {
      return isLock ? this.#frames.slice(0, -1) : [...this.#frames];
    }
    const told = this.#frames.some(({ interrupt }) => !interrupt);
    if (told) return [...this.#frames];
    // Only the functions of operations are known: the lock's own is said by the operation, and interrupts no other.
    if (!isLock && this.#site?.symbol !== site) {
      this.#site = { text: `${names.symbol(site)}()`, symbol: site, interrupt: false };
    }
    return this.#site === undefined ? [...this.#frames] : [...this.#frames, this.#site];
  }
}

/** Everything that could be drawn, in order. */
export function interleavingItems(input: InterleavingInput): Item[] {
  return new ItemList(input).items;
}

class ItemList {
  readonly items: Item[] = [];
  readonly #input: InterleavingInput;
  readonly #locks: ReadonlySet<number>;
  readonly #flows = new Map<Actor, FlowCalls>();
  /** By CPU: the interrupt flow it is in. */
  readonly #interrupted = new Map<number, Actor>();

  constructor(input: InterleavingInput) {
    this.#input = input;
    const { steps, waiting = [], unreached = [], events = [] } = input;
    this.#locks = lockWords([...steps, ...waiting, ...unreached]);
    let event = 0;
    const tell = (until: number): void => {
      for (; event < events.length && events[event]!.sequence <= until; event++) {
        const { cpu, type, a, b, c, d } = events[event]!;
        const actor = this.#interrupted.get(cpu) ?? mainActor(cpu);
        this.#fact(Math.max(0, until - 1), { actor, type, a, b, c, d });
      }
    };
    for (const step of steps) {
      tell(step.index);
      this.#step(step);
      for (const fact of step.facts) this.#fact(step.index, fact);
      this.#leaveInterrupt(step);
    }
    tell(Infinity);
    for (const step of waiting) this.#never(step, waitingText(step, steps, this.#locks, input.names));
    for (const step of unreached) this.#never(step, `[not yet: ${stepText(step, this.#locks, input.names)}]`);
  }

  #flow(actor: Actor): FlowCalls {
    const known = this.#flows.get(actor) ?? new FlowCalls();
    this.#flows.set(actor, known);
    return known;
  }

  #step(step: Step): void {
    const { names } = this.#input;
    const first = step.operations[0]!;
    const cpu = cpuOf(step.actor);
    const flow = this.#flow(step.actor);
    if (first.type === OpType.IRQ_ENTRY) {
      this.#interrupted.set(cpu, step.actor);
      const name = names.vector?.(first.read);
      flow.enter({
        text: name === undefined ? '<interrupt>' : `<${name} interrupt>`,
        symbol: 0,
        interrupt: true,
      });
      this.#add(step, 'irq-entry', flow.around({ ...first, site: 0 }, names, false), '');
    } else {
      const isBuffer = flowOf(step.actor) === Flow.BUFFER;
      const path = isBuffer ? [] : flow.around(first, names, isLockCall(first, this.#locks, names));
      const text = stepText(step, this.#locks, names);
      const kind = classOf(first);
      if (text !== '') this.#add(step, kind, path, text, kind === 'ipi' ? first.read : undefined);
    }
  }

  /** The end of an interrupt is part of its last step. */
  #leaveInterrupt(step: Step): void {
    if (!step.operations.some(({ type }) => type === OpType.IRQ_EXIT)) return;
    const cpu = cpuOf(step.actor);
    if (flowOf(step.actor) === Flow.NESTED) this.#interrupted.set(cpu, interruptActor(cpu));
    else this.#interrupted.delete(cpu);
    this.#add(step, 'irq-exit', this.#flow(step.actor).leaveInterrupt(), '</interrupt>');
  }

  #add(step: Step, kind: ItemClass, path: readonly Frame[], text: string, target?: number): void {
    const { index, actor } = step;
    const item = { step: index, actor, class: kind, path, text, words: wordsOf(step) };
    this.items.push(target === undefined ? item : { ...item, target });
  }

  /** A step that never happened. */
  #never(step: Step, text: string): void {
    const { names } = this.#input;
    const first = step.operations[0]!;
    const path = this.#flow(step.actor).around(first, names, isLockCall(first, this.#locks, names));
    this.#add(step, 'waiting', path, text);
  }

  #fact(step: number, { actor, type, a, b, c, d }: Fact): void {
    const { names, log = [] } = this.#input;
    const flow = this.#flow(actor);
    const say = (kind: ItemClass, text: string): void => {
      const path = flow.around({ site: 0 } as Operation, names, false);
      this.items.push({ step, actor, class: kind, path, text, words: [] });
    };
    if (type === EventType.FUNCTION_ENTRY) {
      const name = names.symbol(a);
      flow.enter({ text: `${name}(${callArguments(name, b, c, d)})`, symbol: a, interrupt: false });
    } else if (type === EventType.FUNCTION_EXIT) flow.leave(a);
    else if (type === EventType.HOTPLUG) say('milestone', `[${milestoneText(a, b)}]`);
    else if (type === EventType.PRINTK) {
      const line = log.find(({ record }) => record === a);
      if (line !== undefined) say('said', `printk: "${line.text}"`);
    }
  }
}

function classOf({ type }: Operation): ItemClass {
  if (type === OpType.FENCE || type === OpType.TIMEOUT) return 'fence';
  if (type === OpType.IRQ_FLAG) return 'flag';
  if (type === OpType.AWAIT) return 'wait';
  // A task that changes CPUs is a landmark, as a CPU is that comes or goes.
  if (type === OpType.OFFER || type === OpType.TAKE) return 'milestone';
  return type === OpType.IPI ? 'ipi' : 'access';
}
