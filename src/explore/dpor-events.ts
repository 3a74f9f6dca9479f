/**
 * A run as DPOR sees it: events, each a step that somebody else may notice and the steps its actor made behind it
 * that nobody can. An event is what the search moves about, and which events depend on each other is all it knows of
 * their meaning.
 *
 * A step begins an event when it is a choice point, when its actor did not make the step before, and under tso when it puts
 * a store in the buffer or waits for the buffer to be empty.
 */
import { assert } from '#base/assert';
import type { Actor } from '#base/strategy';
import { Flow, bufferActor, cpuOf, flowOf, mainActor } from '#base/strategy';
import type { OperationLog } from '#trace/operations';
import {
  Footprint,
  OP_WORDS,
  OpFlag,
  OpType,
  OpWord,
  footprint,
  opActor,
  opFlags,
  opType,
} from '#trace/operations';
import { pastOf } from './dpor-history.ts';
import type { Segment } from './executor.ts';

/** Actors exhaustive search can tell apart: the log's masks end there. */
export const DPOR_ACTORS = 64;

export const EventFlag = {
  VISIBLE: 1,
  BUFFER: 2,
  FLUSH: 4,
  ENTRY: 8,
  START: 16,
  /** possible only while memory says so: ACQUIRE, AWAIT */
  WAITS: 32,
  /** possible only while the CPU's store buffer is empty */
  DRAINS: 64,
  TIMEOUT: 128,
  /** touches more than one range */
  MANY: 256,
  /** reads what its own CPU has buffered */
  FORWARDED: 512,
  /** a step that nobody sees begins it, since its actor could not go on at once */
  ALONE: 1024,
  /** takes a task that asks for another CPU, if there is one: an event of both CPUs then */
  TAKES: 2048,
} as const;

/** Interrupt actors in one half of a mask: the second and fourth of each CPU. */
const INTERRUPTS = 0xaaaaaaaa | 0;

/** A power of two, and its bits. */
const TOUCHED_BITS = 10;
const TOUCHED_WORDS = 1 << TOUCHED_BITS;

const COLUMNS = [
  'actor',
  'flags',
  'step',
  'steps',
  'record',
  'recordEnd',
  'before',
  'does',
  'address',
  'size',
  'ordinal',
  'partner',
  'given',
  'givenBefore',
  'past',
] as const;

const DRAINING: ReadonlySet<number> = new Set<number>([
  OpType.FENCE,
  OpType.RMW,
  OpType.ACQUIRE,
  OpType.IPI,
  OpType.IRQ_DROP,
  OpType.STORE,
  OpType.OFFER,
  OpType.TAKE,
]);

function drains(head: number): boolean {
  return DRAINING.has(opType(head)) || (opFlags(head) & OpFlag.DRAINED) !== 0;
}

/** Sizes of one access; a longer one is done by a copy, which waits for the store buffer. */
function isOneAccess(size: number): boolean {
  return size === 1 || size === 2 || size === 4 || size === 8;
}

export class EventTable {
  count = 0;
  /** One more than the highest actor ever seen. */
  width = 0;
  /** Whether an interrupt could ever be taken. */
  hasInterrupts = false;
  log: OperationLog = { words: new Int32Array(0), records: 0 };
  actor = new Int32Array(256);
  flags = new Int32Array(256);
  /** Index of its first step, and how many there are. */
  step = new Int32Array(256);
  steps = new Int32Array(256);
  /** Its first record, and the record behind its first step. */
  record = new Int32Array(256);
  recordEnd = new Int32Array(256);
  /** The actor's event before, or -1. */
  before = new Int32Array(256);
  /** Footprint, and the range it has, or one around all it has. Nothing for what is not VISIBLE: nobody else goes there. */
  does = new Int32Array(256);
  address = new Float64Array(256);
  size = new Int32Array(256);
  /** BUFFER, FLUSH: the how manieth of its CPU, from 1. A forwarded LOAD: of the BUFFER it reads. */
  ordinal = new Int32Array(256);
  /** A FLUSH's BUFFER, or -1. */
  partner = new Int32Array(256);
  /** TAKES: the CPU whose task goes on on the event's own CPU from here on, and the other way round; or -1. */
  given = new Int32Array(256);
  /** The last event of that CPU's main flow before, or -1; and a digest of what both flows had read by then. */
  givenBefore = new Int32Array(256);
  past = new Int32Array(256);
  /** By actor: its last event, or -1. */
  private readonly last = new Int32Array(DPOR_ACTORS);
  /** By CPU: stores that have entered its buffer, and left it. */
  private readonly buffered = new Int32Array(DPOR_ACTORS / 4);
  private readonly flushed = new Int32Array(DPOR_ACTORS / 4);
  /** A CPU has looked at what others write as part of a step in front of which nobody could go. */
  hasUnseenLook = false;
  /** A run has had a store buffer. */
  isTso = false;
  private recordsRead = 0;
  /** By `touchedAt`: 1 if one of the first `touchedUpTo` events may touch it; -1: not looked. */
  private readonly touched = new Uint8Array(TOUCHED_WORDS);
  private touchedUpTo = -1;
  private kept = new Int32Array(0);

  /** The executor writes the next run over this one, and races are looked for until then and after. */
  private keptCopy({ words, records }: OperationLog): OperationLog {
    const used = records * OP_WORDS;
    if (this.kept.length < used) this.kept = new Int32Array(used * 2);
    this.kept.set(words.subarray(0, used));
    return { words: this.kept, records };
  }

  /**
   * Reads a log whose first `keep` events are those of the log before. False: it is the first one with a store buffer,
   * which changes where events begin, and everything was read anew.
   */
  read(log: OperationLog, keep: number): boolean {
    this.log = this.keptCopy(log);
    this.touchedUpTo = -1;
    this.truncate(keep);
    const isNews = !this.isTso && buffersStores(log, this.recordsRead);
    if (isNews) {
      this.isTso = true;
      this.truncate(0);
    }
    this.readFrom(this.recordsRead);
    return !isNews || keep === 0;
  }

  private readFrom(from: number): void {
    const { words, records } = this.log;
    this.recount();
    let actor = this.count === 0 ? -1 : this.actor[this.count - 1]!;
    let isFirst = false;
    for (let record = from; record < records; record++) {
      const head = words[record * OP_WORDS]!;
      if (opType(head) >= OpType.EVENT) {
        continue;
      }
      if ((opFlags(head) & OpFlag.CONTINUES) !== 0) {
        if (isFirst) this.addRange(record);
        else if (opType(head) === OpType.LOAD) this.hasUnseenLook = true;
        continue;
      }
      isFirst = opActor(head) !== actor || this.begins(head);
      if (isFirst) this.add(record, opActor(head) !== actor);
      else this.steps[this.count - 1]!++;
      actor = opActor(head);
    }
    this.recordsRead = records;
  }

  /** Forgets the events from there on. */
  truncate(count: number): void {
    if (count === 0) this.recordsRead = 0;
    if (count >= this.count) return;
    this.recordsRead = this.record[count]!;
    this.count = count;
  }

  private recount(): void {
    this.last.fill(-1);
    this.buffered.fill(0);
    this.flushed.fill(0);
    for (let event = 0; event < this.count; event++) {
      this.last[this.actor[event]!] = event;
      if (this.gives(event)) this.last[mainActor(this.given[event]!)] = event;
      if ((this.flags[event]! & EventFlag.BUFFER) !== 0) this.buffered[cpuOf(this.actor[event]!)]!++;
      if ((this.flags[event]! & EventFlag.FLUSH) !== 0) this.flushed[cpuOf(this.actor[event]!)]!++;
    }
  }

  private begins(head: number): boolean {
    if ((opFlags(head) & OpFlag.VISIBLE) !== 0) return true;
    const type = opType(head);
    return this.isTso && (type === OpType.BUFFER || type === OpType.FLUSH || drains(head));
  }

  private add(record: number, isOther: boolean): void {
    if (this.count === this.actor.length) this.grow();
    const event = this.count++;
    const { words } = this.log;
    const at = record * OP_WORDS;
    const head = words[at]!;
    const actor = opActor(head);
    assert(actor < DPOR_ACTORS, `EventTable: actor ${actor}: exhaustive search ends at ${DPOR_ACTORS}`);
    if (actor >= this.width) this.width = actor + 1;
    const enabled = words[at + OpWord.ENABLED_LOW]! | words[at + OpWord.ENABLED_HIGH]!;
    if ((enabled & INTERRUPTS) !== 0 || opType(head) === OpType.IPI) this.hasInterrupts = true;
    this.actor[event] = actor;
    this.step[event] = event === 0 ? 0 : this.step[event - 1]! + this.steps[event - 1]!;
    this.steps[event] = 1;
    this.record[event] = record;
    this.recordEnd[event] = record + 1;
    this.before[event] = this.last[actor]!;
    this.last[actor] = event;
    this.address[event] = words[at + OpWord.ADDRESS]! >>> 0;
    this.size[event] = words[at + OpWord.SIZE]!;
    this.ordinal[event] = 0;
    this.partner[event] = -1;
    if (opType(head) === OpType.TAKE) this.given[event] = -1;
    const isVisible = (opFlags(head) & OpFlag.VISIBLE) !== 0;
    const isFaulted = (opFlags(head) & OpFlag.FAULTED) !== 0;
    this.does[event] = isVisible && !isFaulted ? footprint(opType(head)) : Footprint.NONE;
    this.flags[event] = this.flagsOf(head, isOther && !isVisible && !this.begins(head));
    this.countStores(event, opType(head));
    if (this.isTso && opType(head) === OpType.LOAD && this.waitedForFlush(event))
      this.flags[event] = (this.flags[event] ?? 0) | EventFlag.DRAINS;
  }

  private flagsOf(head: number, isAlone: boolean): number {
    const type = opType(head);
    let flags = isAlone ? EventFlag.ALONE : 0;
    if ((opFlags(head) & OpFlag.VISIBLE) !== 0) flags |= EventFlag.VISIBLE;
    if ((opFlags(head) & OpFlag.FORWARDED) !== 0) flags |= EventFlag.FORWARDED;
    if (drains(head)) flags |= EventFlag.DRAINS;
    if (type === OpType.BUFFER) flags |= EventFlag.BUFFER;
    if (type === OpType.FLUSH) flags |= EventFlag.FLUSH;
    if (type === OpType.IRQ_ENTRY) flags |= EventFlag.ENTRY;
    if (type === OpType.START) flags |= EventFlag.START;
    if (type === OpType.ACQUIRE || type === OpType.AWAIT) flags |= EventFlag.WAITS;
    if (type === OpType.TIMEOUT) flags |= EventFlag.TIMEOUT;
    if (type === OpType.TAKE) flags |= EventFlag.TAKES;
    return flags;
  }

  private countStores(event: number, type: number): void {
    const cpu = cpuOf(this.actor[event]!);
    if (type === OpType.BUFFER) this.ordinal[event] = ++this.buffered[cpu]!;
    if (type === OpType.FLUSH) {
      this.ordinal[event] = ++this.flushed[cpu]!;
      this.partner[event] = this.findBuffer(
        event,
        cpu,
        (store) => this.ordinal[store] === this.ordinal[event],
      );
    }
    if ((this.flags[event]! & EventFlag.FORWARDED) !== 0) {
      const store = this.findBuffer(event, cpu, (one) => this.isNear(one, event));
      this.ordinal[event] = store < 0 ? 0 : this.ordinal[store]!;
    }
  }

  /** The newest BUFFER of the CPU before `event` that is the one wanted. */
  private findBuffer(event: number, cpu: number, isWanted: (store: number) => boolean): number {
    for (let store = event - 1; store >= 0; store--)
      if (
        (this.flags[store]! & EventFlag.BUFFER) !== 0 &&
        cpuOf(this.actor[store]!) === cpu &&
        isWanted(store)
      )
        return store;
    return -1;
  }

  /** A load that reads part of what was buffered when its actor came to it cannot be made before that is in memory. */
  private waitedForFlush(event: number): boolean {
    if (!isOneAccess(this.size[event]!)) return true;
    const buffer = bufferActor(cpuOf(this.actor[event]!));
    for (let flush = event - 1; flush > this.before[event]!; flush--) {
      if (this.actor[flush] !== buffer || !this.isNear(flush, event)) continue;
      const [start, end] = [this.address[flush]!, this.address[flush]! + this.size[flush]!];
      if (this.address[event]! < start || this.address[event]! + this.size[event]! > end) return true;
    }
    return false;
  }

  /** A further record of an event's first step. */
  private addRange(record: number): void {
    const event = this.count - 1;
    const at = record * OP_WORDS;
    const { words } = this.log;
    const does = footprint(opType(words[at]!));
    if (opType(words[at]!) === OpType.LOOKED) this.recordEnd[event] = record + 1;
    if (opType(words[at]!) === OpType.GIVEN) this.exchange(event, words[at + OpWord.READ]!);
    if (does === Footprint.NONE) return;
    this.recordEnd[event] = record + 1;
    this.flags[event]! |= EventFlag.MANY;
    if (opType(words[at]!) === OpType.STORE) this.flags[event]! |= EventFlag.DRAINS;
    if ((this.flags[event]! & EventFlag.VISIBLE) !== 0) this.does[event]! |= does;
    else if (opType(words[at]!) === OpType.LOAD) this.hasUnseenLook = true;
    const start = words[at + OpWord.ADDRESS]! >>> 0;
    const end = Math.max(start + words[at + OpWord.SIZE]!, this.address[event]! + this.size[event]!);
    const least = Math.min(start, this.address[event]!);
    this.address[event] = least;
    this.size[event] = end - least;
  }

  /** The event's CPU and another one have changed places: what either does from here on comes after it. */
  private exchange(event: number, cpu: number): void {
    const other = mainActor(cpu);
    const [own, before] = [this.before[event]!, this.last[other]!];
    this.given[event] = cpu;
    this.givenBefore[event] = before;
    this.past[event] = pastOf(this, [this.actor[event]!, own], [other, before]);
    this.last[other] = event;
    if (other >= this.width) this.width = other + 1;
  }

  isVisible(event: number): boolean {
    return (this.flags[event]! & EventFlag.VISIBLE) !== 0;
  }

  /** Whether its CPU and another one change places. */
  gives(event: number): boolean {
    return (this.flags[event]! & EventFlag.TAKES) !== 0 && this.given[event]! >= 0;
  }

  /** Whether it is an event of that actor: its own, or one that ends what another has done. */
  isOf(event: number, actor: Actor): boolean {
    return this.actor[event] === actor || (this.gives(event) && mainActor(this.given[event]!) === actor);
  }

  private grow(): void {
    for (const key of COLUMNS) {
      const old = this[key];
      const larger =
        old instanceof Float64Array ? new Float64Array(old.length * 2) : new Int32Array(old.length * 2);
      larger.set(old);
      Object.assign(this, { [key]: larger });
    }
  }

  /** Whether the ranges of two events, seen as one each, have a common byte. */
  private isNear(a: number, b: number): boolean {
    return (
      this.address[a]! < this.address[b]! + this.size[b]! &&
      this.address[b]! < this.address[a]! + this.size[a]!
    );
  }

  /** Whether the order of two events of different actors matters, `first` being the earlier one. */
  depends(first: number, second: number): boolean {
    const flags = this.flags[first]! | this.flags[second]!;
    if ((flags & EventFlag.TIMEOUT) !== 0) return true;
    if ((flags & EventFlag.TAKES) !== 0 && this.isExchange(first, second)) return true;
    if (cpuOf(this.actor[first]!) === cpuOf(this.actor[second]!)) return this.dependsOnCpu(first, second);
    if ((flags & EventFlag.FORWARDED) !== 0 && (this.isForwarded(first) || this.isForwarded(second)))
      return false;
    return this.conflicts(first, second);
  }

  /** One of them gives away the CPU of the other one. */
  private isExchange(a: number, b: number): boolean {
    if (this.gives(a) && this.given[a] === cpuOf(this.actor[b]!)) return true;
    return this.gives(b) && this.given[b] === cpuOf(this.actor[a]!);
  }

  /** Two flows of a CPU order each other; its store buffer orders itself by what it carries. */
  private dependsOnCpu(first: number, second: number): boolean {
    if (flowOf(this.actor[second]!) === Flow.BUFFER) {
      if ((this.flags[first]! & EventFlag.BUFFER) !== 0) return this.partner[second] === first;
      if (this.isForwarded(first)) return this.ordinal[first] === this.ordinal[second];
      return this.conflicts(first, second);
    }
    if (flowOf(this.actor[first]!) !== Flow.BUFFER) return true;
    if ((this.flags[second]! & (EventFlag.DRAINS | EventFlag.ENTRY)) !== 0) return true;
    return !this.isForwarded(second) && this.conflicts(first, second);
  }

  private isForwarded(event: number): boolean {
    return (this.flags[event]! & (EventFlag.FORWARDED | EventFlag.MANY)) === EventFlag.FORWARDED;
  }

  /** Whether they touch a common byte that one of them writes. */
  private conflicts(a: number, b: number): boolean {
    const one = this.does[a]!;
    const other = this.does[b]!;
    if (one === 0 || other === 0 || ((one | other) & Footprint.WRITES) === 0 || !this.isNear(a, b))
      return false;
    if (((this.flags[a]! | this.flags[b]!) & EventFlag.MANY) === 0) return true;
    for (let record = this.record[a]!; record < this.recordEnd[a]!; record++)
      if (this.conflictsRange(b, ...this.range(record))) return true;
    return false;
  }

  /** What a record touches: Footprint, address, bytes. */
  range(record: number): readonly [does: number, address: number, size: number] {
    const { words } = this.log;
    const at = record * OP_WORDS;
    const does = opType(words[at]!) >= OpType.EVENT ? Footprint.NONE : footprint(opType(words[at]!));
    return [does, words[at + OpWord.ADDRESS]! >>> 0, words[at + OpWord.SIZE]!];
  }

  /** Whether the event touches a byte of that range, and one of the two writes it. */
  conflictsRange(event: number, does: number, address: number, size: number): boolean {
    if (this.does[event] === Footprint.NONE || does === Footprint.NONE) return false;
    if ((this.flags[event]! & EventFlag.MANY) === 0) {
      if (((this.does[event]! | does) & Footprint.WRITES) === 0) return false;
      return address < this.address[event]! + this.size[event]! && this.address[event]! < address + size;
    }
    for (let record = this.record[event]!; record < this.recordEnd[event]!; record++) {
      const [doesToo, start, bytes] = this.range(record);
      if (doesToo === Footprint.NONE || ((does | doesToo) & Footprint.WRITES) === 0) continue;
      if (address < start + bytes && start < address + size) return true;
    }
    return false;
  }

  /** Whether some event may touch the word. Never says no where one does. */
  mayTouch(word: number): boolean {
    if (this.touchedUpTo !== this.count) this.noteTouched();
    return this.touched[touchedAt(word >>> 2)] !== 0;
  }

  private noteTouched(): void {
    const { touched } = this;
    touched.fill(0);
    for (let event = 0; event < this.count; event++) {
      if (this.does[event] === Footprint.NONE) continue;
      const first = this.address[event]! >>> 2;
      const last = (this.address[event]! + this.size[event]! - 1) >>> 2;
      if (last - first >= TOUCHED_WORDS) touched.fill(1);
      else for (let word = first; word <= last; word++) touched[touchedAt(word)] = 1;
    }
    this.touchedUpTo = this.count;
  }

  /** Whether an event from there on has the flag. */
  some(from: number, flag: number): boolean {
    for (let event = from; event < this.count; event++) if ((this.flags[event]! & flag) !== 0) return true;
    return false;
  }

  /** A word of the event's first record. */
  word(event: number, word: number): number {
    return this.log.words[this.record[event]! * OP_WORDS + word]!;
  }

  /** Whether the actor could have gone instead. Says so only in front of a VISIBLE event. */
  couldGo(event: number, actor: Actor): boolean {
    const mask = this.word(event, actor < 32 ? OpWord.ENABLED_LOW : OpWord.ENABLED_HIGH);
    return ((mask >>> (actor & 31)) & 1) === 1;
  }

  /** The schedule of the first `count` events. */
  prefix(count: number): { actor: Actor; steps: number }[] {
    const segments: { actor: Actor; steps: number }[] = [];
    for (let event = 0; event < count; event++)
      appendSegment(segments, this.actor[event]!, this.steps[event]!);
    return segments;
  }
}

/** Words of different pages have the same place in each: variables of a scenario and CPUs' own must not meet in the table. */
function touchedAt(word: number): number {
  return Math.imul(word, 0x9e3779b1) >>> (32 - TOUCHED_BITS);
}

function buffersStores({ words, records }: OperationLog, from: number): boolean {
  for (let record = from; record < records; record++)
    if (opType(words[record * OP_WORDS]!) === OpType.BUFFER) return true;
  return false;
}

/** Adds steps to the end of a schedule. */
export function appendSegment(
  segments: { actor: Actor; steps: number }[],
  actor: Actor,
  steps: number,
): void {
  const last = segments.at(-1);
  if (last?.actor === actor) last.steps += steps;
  else segments.push({ actor, steps });
}

/** Steps of a schedule. */
export function stepsOf(prefix: readonly Segment[]): number {
  return prefix.reduce((sum, { steps }) => sum + steps, 0);
}
