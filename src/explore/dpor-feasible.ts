/** Whether an event could be made in a run that leaves out some others, and all that comes after them. */
import { Flow, bufferActor, cpuOf, flowOf, interruptActor } from '#base/strategy';
import {
  Footprint,
  OP_WORDS,
  OpFlag,
  OpType,
  OpWord,
  STARTUP_SIGNALS,
  opFlags,
  opType,
} from '#trace/operations';
import { EventFlag, type EventTable } from './dpor-events.ts';
import type { Shape } from './dpor-shapes.ts';
import type { WaitMemory } from './dpor-waits.ts';
import type { HappensBefore } from './happens-before.ts';

/** The event in question. */
export interface Target {
  readonly shape: Shape;
  /** In the log; -1: it was not made. */
  readonly event: number;
  /** Events before which it could have been made: its own number, or all there are. */
  readonly end: number;
  /** What it does where some are left out may depend on events that come after it here: each run has to ask again. */
  readonly isShifty: boolean;
  /** What it waits for, if it does: the wait's name (WaitMemory), the words it looks at. */
  readonly wait:
    { readonly key: number; readonly words: readonly number[]; readonly isLock: boolean } | undefined;
}

export const Feasible = { NO: 0, YES: 1, PERHAPS: 2 } as const;
export type Feasible = (typeof Feasible)[keyof typeof Feasible];

/** Their address is the pending word of the CPU that makes them. */
const ON_OWN_PENDING: ReadonlySet<number> = new Set<number>([
  OpType.IRQ_ENTRY,
  OpType.IRQ_FLAG,
  OpType.IRQ_DROP,
]);

/** The value of a word that nobody wrote and whose first value no record tells: some constant. */
const UNTOUCHED = Infinity;

export class Feasibility {
  private readonly order: HappensBefore;
  private readonly events: EventTable;
  private readonly waits: WaitMemory;
  /** By CPU. */
  private readonly raisedAtStart = new Map<number, Feasible>();
  private readonly pendingWords = new Map<number, number>();

  constructor(order: HappensBefore, waits: WaitMemory) {
    this.order = order;
    this.events = order.events;
    this.waits = waits;
  }

  judge(target: Target, leftOut: readonly number[]): Feasible {
    const { flags } = target.shape;
    const entry = this.preempting(target, leftOut);
    if (entry >= 0) return this.events.couldGo(entry, target.shape.actor) ? Feasible.YES : Feasible.PERHAPS;
    const answers = [this.stackAllows(target, leftOut)];
    if ((flags & (EventFlag.ENTRY | EventFlag.DRAINS)) !== 0 && !this.isDrained(target, leftOut))
      return Feasible.NO;
    if ((flags & EventFlag.ENTRY) !== 0) answers.push(this.entryAllowed(target, leftOut));
    if (target.wait !== undefined) answers.push(this.waitAllows(target, target.wait, leftOut));
    if (answers.includes(Feasible.NO)) return Feasible.NO;
    return answers.includes(Feasible.PERHAPS) ? Feasible.PERHAPS : Feasible.YES;
  }

  private isLeftOut(event: number, leftOut: readonly number[]): boolean {
    return leftOut.some((one) => this.order.isBefore(one, event));
  }

  /**
   * The interrupt that is left out, if its end was a preemption: the target is then what the flow did in its place. What the
   * flow stood in front of is not in the log, only whether it could have gone. -1: there is none.
   */
  preempting({ shape: { actor }, event }: Target, leftOut: readonly number[]): number {
    const { events } = this;
    if (event < 0 || (flowOf(actor) !== Flow.MAIN && flowOf(actor) !== Flow.INTERRUPT)) return -1;
    const above = flowOf(actor) === Flow.MAIN ? interruptActor(cpuOf(actor)) : cpuOf(actor) * 4 + Flow.NESTED;
    const entry = leftOut.find(
      (one) => events.actor[one] === above && (events.flags[one]! & EventFlag.ENTRY) !== 0,
    );
    if (entry === undefined || events.before[event]! > entry) return -1;
    return events.word(entry, OpWord.SITE) === events.word(event, OpWord.SITE) ? -1 : entry;
  }

  /** The last interrupt before `end` that was taken on top of a flow since its event `last`, or -1. */
  entryAbove(actor: number, end: number, last: number): number {
    const { events } = this;
    if (!events.hasInterrupts) return -1;
    if (flowOf(actor) !== Flow.MAIN && flowOf(actor) !== Flow.INTERRUPT) return -1;
    const above = flowOf(actor) === Flow.MAIN ? interruptActor(cpuOf(actor)) : cpuOf(actor) * 4 + Flow.NESTED;
    for (let entry = end - 1; entry > last; entry--)
      if (events.actor[entry] === above && (events.flags[entry]! & EventFlag.ENTRY) !== 0) return entry;
    return -1;
  }

  /** A flow that an interrupt has suspended goes on when the handler is over: none of it may be left out, or all. */
  private stackAllows(target: Target, leftOut: readonly number[]): Feasible {
    const { events } = this;
    const cpu = cpuOf(target.shape.actor);
    const flow = flowOf(target.shape.actor);
    if (flow !== Flow.MAIN && flow !== Flow.INTERRUPT) return Feasible.YES;
    const above = flow === Flow.MAIN ? interruptActor(cpu) : cpu * 4 + Flow.NESTED;
    for (let event = leftOut[0]!; event < target.end; event++) {
      const who = events.actor[event]!;
      if (cpuOf(who) !== cpu || who === target.shape.actor || flowOf(who) < flow) continue;
      if (flowOf(who) === Flow.BUFFER || !this.isLeftOut(event, leftOut)) continue;
      const begins = who === above && (events.flags[event]! & EventFlag.ENTRY) !== 0;
      if (!begins) return Feasible.NO;
      return target.wait !== undefined || events.couldGo(event, target.shape.actor)
        ? Feasible.YES
        : Feasible.PERHAPS;
    }
    return Feasible.YES;
  }

  /** Interrupts on, and one pending. */
  private entryAllowed(target: Target, leftOut: readonly number[]): Feasible {
    const { events } = this;
    const cpu = cpuOf(target.shape.actor);
    const below = flowOf(target.shape.actor) === Flow.NESTED ? interruptActor(cpu) : cpu * 4;
    const next = leftOut.find((event) => events.isOf(event, below));
    if (next !== undefined && (opFlags(events.word(next, OpWord.HEAD)) & OpFlag.IRQS_OFF) !== 0)
      return Feasible.NO;
    // What was not taken to the end of the run could not be taken there.
    if (next === undefined && target.event < 0) return Feasible.NO;
    return this.isRaised(target, cpu, leftOut);
  }

  /** Whether the CPU's store buffer is empty. */
  private isDrained(target: Target, leftOut: readonly number[]): boolean {
    const { events } = this;
    let buffered = 0;
    for (let event = 0; event < target.end; event++) {
      const flags = events.flags[event]!;
      if ((flags & (EventFlag.BUFFER | EventFlag.FLUSH)) === 0) continue;
      if (cpuOf(events.actor[event]!) !== cpuOf(target.shape.actor)) continue;
      if (!this.isLeftOut(event, leftOut)) buffered += (flags & EventFlag.BUFFER) !== 0 ? 1 : -1;
    }
    return buffered === 0;
  }

  /** Whether the CPU's pending word has a bit set: as the last event on it left it, or as it was at the start. */
  private isRaised(target: Target, cpu: number, leftOut: readonly number[]): Feasible {
    const { order, events } = this;
    let first = target.end;
    let lacksRaiser = false;
    for (let event = target.end - 1; event >= 0; event--) {
      const isIpi = order.isInterruptTo(event, cpu);
      if (!isIpi && !this.takesFrom(event, cpu)) continue;
      first = event;
      if (this.isLeftOut(event, leftOut)) lacksRaiser ||= isIpi;
      else if (isIpi) return Feasible.YES;
      else return (events.word(event, OpWord.WRITTEN) & ~STARTUP_SIGNALS) === 0 ? Feasible.NO : Feasible.YES;
    }
    if (!lacksRaiser) return Feasible.YES;
    return this.wasRaisedAtStart(cpu, first);
  }

  /** Whether the event takes interrupts out of the CPU's pending word: it enters one, or drops all. */
  private takesFrom(event: number, cpu: number): boolean {
    const { events } = this;
    if (cpuOf(events.actor[event]!) !== cpu) return false;
    if ((events.flags[event]! & EventFlag.ENTRY) !== 0) return true;
    return opType(events.word(event, OpWord.HEAD)) === OpType.IRQ_DROP;
  }

  /** Where a CPU's interrupts are raised, as far as runs have shown; or -1. */
  pendingWord(cpu: number): number {
    const known = this.pendingWords.get(cpu);
    if (known !== undefined) return known;
    const { events, order } = this;
    for (let event = 0; event < events.count; event++) {
      const type = opType(events.word(event, OpWord.HEAD));
      const isOwn = cpuOf(events.actor[event]!) === cpu && ON_OWN_PENDING.has(type);
      if (!isOwn && !order.isInterruptTo(event, cpu)) continue;
      const word = events.word(event, OpWord.ADDRESS) >>> 0;
      this.pendingWords.set(cpu, word);
      return word;
    }
    return -1;
  }

  /** Whether an interrupt was pending before anybody raised one: the same in every run, and some masks show it. */
  private wasRaisedAtStart(cpu: number, first: number): Feasible {
    const { events } = this;
    const known = this.raisedAtStart.get(cpu);
    if (known !== undefined) return known;
    for (let event = 0; event <= first && event < events.count; event++) {
      const could = events.couldGo(event, interruptActor(cpu));
      if (!could && ((events.flags[event]! & EventFlag.VISIBLE) === 0 || !this.takesInterrupts(cpu, event)))
        continue;
      const answer = could ? Feasible.YES : Feasible.NO;
      this.raisedAtStart.set(cpu, answer);
      return answer;
    }
    return Feasible.PERHAPS;
  }

  /** Whether, in front of the event and before any interrupt of the run, one would have been possible. */
  private takesInterrupts(cpu: number, event: number): boolean {
    const { events } = this;
    let next = event;
    while (next < events.count && !events.isOf(next, cpu * 4)) next++;
    if (next === events.count || (events.flags[next]! & EventFlag.START) !== 0) return false;
    if ((opFlags(events.word(next, OpWord.HEAD)) & (OpFlag.IRQS_OFF | OpFlag.HARDIRQ)) !== 0) return false;
    let buffered = 0;
    for (let before = 0; before < event; before++) {
      if (cpuOf(events.actor[before]!) !== cpu) continue;
      if ((events.flags[before]! & EventFlag.BUFFER) !== 0) buffered++;
      if ((events.flags[before]! & EventFlag.FLUSH) !== 0) buffered--;
    }
    return buffered === 0;
  }

  private waitAllows(
    target: Target,
    wait: NonNullable<Target['wait']>,
    leftOut: readonly number[],
  ): Feasible {
    const valueOf = (word: number): number => this.valueIn(word, target, leftOut);
    if (wait.isLock) {
      const value = valueOf(wait.words[0]!);
      if (Number.isNaN(value) || value === UNTOUCHED) return Feasible.PERHAPS;
      return value === 0 ? Feasible.YES : Feasible.NO;
    }
    const known = this.waits.judge(wait.key, valueOf);
    if (known === undefined) return Feasible.PERHAPS;
    return known ? Feasible.YES : Feasible.NO;
  }

  /** The words that a made wait looked at: behind those it may have taken back an offer. */
  wordsOf(event: number): readonly number[] {
    const { events } = this;
    const words: number[] = [];
    for (let record = events.record[event]!; record < events.recordEnd[event]!; record++) {
      const [does, address, size] = events.range(record);
      if (does !== Footprint.READS) continue;
      for (let byte = 0; byte < size; byte += 4) words.push((address + byte) & ~3);
    }
    return words;
  }

  /** The words that a wait looked at before it gave up. */
  lookedAt(event: number): readonly number[] {
    const { events } = this;
    const words: number[] = [];
    for (let record = events.record[event]!; record < events.recordEnd[event]!; record++)
      if (opType(events.log.words[record * OP_WORDS]!) === OpType.LOOKED)
        words.push(events.log.words[record * OP_WORDS + OpWord.ADDRESS]! >>> 0);
    return words;
  }

  /** The words that somebody looked at in vain who asked for another CPU, and got it by this event. */
  givenUpBy(event: number): readonly number[] {
    const { events } = this;
    const words: number[] = [];
    let isBehind = false;
    for (let record = events.record[event]!; record < events.recordEnd[event]!; record++) {
      const type = opType(events.log.words[record * OP_WORDS]!);
      if (type === OpType.GIVEN) isBehind = true;
      else if (isBehind && type === OpType.LOAD)
        words.push(events.log.words[record * OP_WORDS + OpWord.ADDRESS]! >>> 0);
    }
    return words;
  }

  learnMade(event: number, key: number, words: readonly number[]): void {
    const target: Target = {
      shape: { actor: this.events.actor[event]!, steps: 1, flags: 0, ordinal: 0, ranges: [] },
      event,
      end: event,
      wait: undefined,
      isShifty: false,
    };
    this.waits.learn(
      key,
      words,
      words.map((word) => this.valueIn(word, target, [])),
      true,
    );
  }

  /** @param end events that were made when the actor looked in vain */
  learnBlocked(actor: number, key: number, words: readonly number[], end: number): void {
    const shape: Shape = { actor, steps: 1, flags: 0, ordinal: 0, ranges: [] };
    const target: Target = { shape, event: -1, end, wait: undefined, isShifty: false };
    this.waits.learn(
      key,
      words,
      words.map((word) => this.valueIn(word, target, [])),
      false,
    );
  }

  /** The same for words that no event touched. @param ranges address and bytes, in turn */
  learnUntouched(key: number, ranges: readonly number[]): void {
    if (this.waits.knows(key)) return;
    const words: number[] = [];
    for (let at = 0; at < ranges.length; at += 2)
      for (let byte = 0; byte < ranges[at + 1]!; byte += 4) words.push(ranges[at]! + byte);
    this.waits.learn(
      key,
      words,
      words.map(() => UNTOUCHED),
      false,
    );
  }

  /** Whether the wait was ever seen to look at other words. */
  looksElsewhere({ key, words }: NonNullable<Target['wait']>): boolean {
    return this.waits.wordsOf(key, words).length > new Set(words).size;
  }

  /** What a wait reads wherever it is looked at, as far as anybody has seen: more than it did this time. */
  watchedBy({ shape, wait }: Target): Shape {
    const words = wait === undefined || wait.isLock ? [] : this.waits.wordsOf(wait.key, wait.words);
    return {
      ...shape,
      flags: EventFlag.VISIBLE,
      ranges: words.flatMap((word) => [Footprint.READS, word, 4]),
    };
  }

  /**
   * What the target's actor finds in a word when some events are left out: its own CPU's newest buffered store, or
   * memory. NaN: not known.
   */
  private valueIn(word: number, target: Target, leftOut: readonly number[]): number {
    const { events } = this;
    const own = this.bufferedIn(word, target, leftOut);
    if (own !== undefined) return own;
    let bits = 0;
    let earliest = -1;
    for (let event = (target.event < 0 ? target.end : events.count) - 1; event >= 0; event--) {
      if (event === target.event || !events.conflictsRange(event, Footprint.READS_AND_WRITES, word, 4))
        continue;
      if (target.event >= 0 && event > target.event) {
        if (
          leftOut.length === 0 ||
          this.isLeftOut(event, leftOut) ||
          this.order.isBefore(target.event, event)
        )
          continue;
      } else if (leftOut.length > 0 && event >= leftOut[0]! && this.isLeftOut(event, leftOut)) {
        earliest = event;
        continue;
      }
      earliest = event;
      if ((events.does[event]! & Footprint.WRITES) === 0) continue;
      if (!this.isExact(event, word)) {
        const written = this.writtenBy(event, word);
        if (written === undefined) continue;
        return Number.isNaN(written) ? written : written | bits;
      }
      if (opType(events.word(event, OpWord.HEAD)) !== OpType.IPI)
        return events.word(event, OpWord.WRITTEN) | bits;
      bits |= events.word(event, OpWord.WRITTEN);
    }
    const first = this.firstValue(word, earliest, target);
    if (bits === 0) return first;
    return Number.isFinite(first) ? first | bits : NaN;
  }

  /** What an event with more than one range leaves in a word; undefined: it only reads it. NaN: not known. */
  private writtenBy(event: number, word: number): number | undefined {
    const { events } = this;
    const { words } = events.log;
    let written: number | undefined;
    for (let record = events.record[event]!; record < events.recordEnd[event]!; record++) {
      const [does, address, size] = events.range(record);
      if ((does & Footprint.WRITES) === 0 || address >= word + 4 || address + size <= word) continue;
      const isWhole = address === word && size === 4;
      written = isWhole ? words[record * OP_WORDS + OpWord.WRITTEN]! : NaN;
    }
    return written;
  }

  private firstValue(word: number, earliest: number, target: Target): number {
    const { events } = this;
    const event = earliest >= 0 ? earliest : target.event;
    if (event < 0) return UNTOUCHED;
    for (let record = events.record[event]!; record < events.recordEnd[event]!; record++) {
      const [does, address, size] = events.range(record);
      const head = events.log.words[record * OP_WORDS]!;
      if (does === Footprint.NONE || address !== word || size !== 4) continue;
      if ((opFlags(head) & OpFlag.FORWARDED) !== 0) continue;
      const type = opType(head);
      if (type === OpType.IPI) return UNTOUCHED;
      const read = events.log.words[record * OP_WORDS + OpWord.READ]!;
      return type === OpType.IRQ_ENTRY ? read | events.log.words[record * OP_WORDS + OpWord.WRITTEN]! : read;
    }
    return NaN;
  }

  /** Ordinal of the buffered store that the target, a load, reads when some events are left out; 0: it reads memory. */
  buffered({ shape, end }: Target, leftOut: readonly number[]): number {
    const { events } = this;
    const [, address = 0, size = 0] = shape.ranges;
    let store = end - 1;
    for (; store >= 0; store--) {
      if ((events.flags[store]! & EventFlag.BUFFER) === 0) continue;
      if (cpuOf(events.actor[store]!) !== cpuOf(shape.actor) || this.isLeftOut(store, leftOut)) continue;
      const start = events.address[store]!;
      if (start < address + size && address < start + events.size[store]!) break;
    }
    if (store < 0) return 0;
    for (let flush = store + 1; flush < end; flush++)
      if (events.partner[flush] === store && !this.isLeftOut(flush, leftOut)) return 0;
    return events.ordinal[store]!;
  }

  private bufferedIn(word: number, target: Target, leftOut: readonly number[]): number | undefined {
    const { events } = this;
    const cpu = cpuOf(target.shape.actor);
    let flushed = 0;
    for (let event = 0; event < target.end; event++)
      if (events.actor[event] === bufferActor(cpu) && !(leftOut.length > 0 && this.isLeftOut(event, leftOut)))
        flushed = events.ordinal[event]!;
    for (let event = target.end - 1; event >= 0; event--) {
      if ((events.flags[event]! & EventFlag.BUFFER) === 0 || cpuOf(events.actor[event]!) !== cpu) continue;
      if (leftOut.length > 0 && this.isLeftOut(event, leftOut)) continue;
      if (events.ordinal[event]! <= flushed) return undefined;
      const [start, end] = [events.address[event]!, events.address[event]! + events.size[event]!];
      if (start >= word + 4 || word >= end) continue;
      return start === word && end === word + 4 ? events.word(event, OpWord.WRITTEN) : NaN;
    }
    return undefined;
  }

  /** Whether the event touches this word, whole, and nothing else: its record says the value before and after. */
  isExact(event: number, word: number): boolean {
    const { events } = this;
    const isOne = (events.flags[event]! & (EventFlag.MANY | EventFlag.FORWARDED)) === 0;
    return isOne && events.address[event] === word && events.size[event] === 4;
  }
}
