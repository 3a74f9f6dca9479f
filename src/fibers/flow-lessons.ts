/** What a run by code teaches: trees of what its flows did, from the log and from what each CPU did there between. */
import { Flow, cpuOf, flowOf } from '#base/strategy';
import type { FiberBus } from '#memory/fiber-bus';
import { SearchWord } from '#memory/layout';
import { searchWord } from '#memory/search-words';
import { TRAIL_WORDS, type Trail, TrailEvent } from '#memory/trail';
import { EventType, LockOperation } from '#trace/events';
import { OP_WORDS, OpFlag, OpType, OpWord, opActor, opFlags, opType } from '#trace/operations';
import { type FlowTree, Kind, NOWHERE, NodeWord } from './flow-tree.ts';

const RECORDS = searchWord(SearchWord.RECORDS);
/** No part of what a flow does: what is a choice point depends on the runs before. */
const VISIBLE = OpFlag.VISIBLE << 11;
const LOCK_EVENT = OpType.EVENT + EventType.LOCK;

/** Whether the tree has steps of that kind. */
function isKnown(type: number, size: number, flags: number): boolean {
  if ((flags & (OpFlag.FAULTED | OpFlag.FORWARDED)) !== 0) return false;
  switch (type) {
    case OpType.LOAD:
    case OpType.STORE:
      return size <= 4;
    case OpType.RMW:
    case OpType.ACQUIRE:
      return size === 4;
    case OpType.FENCE:
    case OpType.START:
    case OpType.IRQ_FLAG:
      return true;
    default:
      return false;
  }
}

/** Whether what comes after a step depends on what it read. */
function isRead(type: number): boolean {
  return type === OpType.LOAD || type === OpType.RMW;
}

/** Facts of the flow's own, but for what the kernel says to somebody: that ends a run, or is written in memory. */
function isFact(type: number): boolean {
  const event = type - OpType.EVENT;
  return event >= 0 && event !== EventType.FINDING && event !== EventType.PRINTK;
}

export class FlowLessons {
  readonly #tree: FlowTree;
  readonly #i32: Int32Array;
  readonly #log: number;

  constructor(tree: FlowTree, { i32, core }: FiberBus) {
    this.#tree = tree;
    this.#i32 = i32;
    this.#log = core.log.start;
  }

  /**
   * Takes in what a run's flows did.
   * @param trails by CPU
   * @throws NoFunctionError
   */
  learn(trails: readonly Trail[]): void {
    const i32 = this.#i32;
    const records = i32[RECORDS]!;
    // What an interrupt does there is no flow's alone, and who sends one writes to registers of others.
    for (let record = 0; record < records; record++) {
      const head = i32[this.#log + record * OP_WORDS]!;
      if (flowOf(opActor(head)) !== Flow.MAIN || opType(head) === OpType.IPI) return;
    }
    for (const [cpu, trail] of trails.entries()) this.#learnFlow(cpu, trail, Math.min(records, trail.lostAt));
  }

  /** One flow, as far as it can be told. @param records the log's, up to there */
  #learnFlow(cpu: number, trail: Trail, records: number): void {
    const log = this.#i32;
    const lesson = new Lesson(trail.events);
    let [slot, contended] = [cpu, -1];
    for (let record = 0; record < records; record++) {
      const at = this.#log + record * OP_WORDS;
      const head = log[at]!;
      if (cpuOf(opActor(head)) !== cpu) continue;
      const type = opType(head);
      // Before it begins, a flow leaves nothing.
      if (slot === cpu && (type !== OpType.START || lesson.next <= record)) return;
      if (contended >= 0) {
        const isOfLock =
          type === OpType.ACQUIRE && log[at + OpWord.ADDRESS] === log[contended + OpWord.ADDRESS];
        // That the lock was taken is no matter of the flow.
        if (!isOfLock) slot = this.#more(slot, contended);
        contended = -1;
      }
      slot = this.#leave(slot, lesson, record);
      if ((opFlags(head) & OpFlag.CONTINUES) === 0) slot = this.#step(slot, at);
      else if (type === OpType.END) {
        slot = this.#leave(this.#more(slot, at), lesson, Number.MAX_SAFE_INTEGER);
        if (trail.hasEnded) this.#tree.put(slot, Kind.OVER, 0, 0, 0, 0, 0, 0);
        return;
      } else if (type === LOCK_EVENT && log[at + OpWord.SIZE] === LockOperation.CONTENDED) contended = at;
      else slot = isFact(type) ? this.#more(slot, at) : NOWHERE;
      if (slot === NOWHERE) return;
    }
  }

  /** What the CPU looked at and left up to a record. */
  #leave(from: number, lesson: Lesson, record: number): number {
    let slot = from;
    for (; slot !== NOWHERE && lesson.next <= record; lesson.at += TRAIL_WORDS) {
      const { kind, address, value } = lesson;
      const isLook = kind === TrailEvent.LOOK;
      const written = isLook ? 0 : value;
      const node = this.#tree.put(slot, isLook ? Kind.LOOK : Kind.LEAVE, 0, address, 4, 0, written, 0);
      if (node === NOWHERE) return NOWHERE;
      slot = isLook ? this.#tree.readAs(node, value, 0) : node + NodeWord.NEXT;
    }
    return slot;
  }

  /** The record at `at` of the log is a step. Answers where what comes then is to stand, or NOWHERE. */
  #step(slot: number, at: number): number {
    const log = this.#i32;
    const head = log[at]! & ~VISIBLE;
    const type = opType(head);
    const size = log[at + OpWord.SIZE]!;
    if (!isKnown(type, size, opFlags(head))) return NOWHERE;
    const read = log[at + OpWord.READ]!;
    const written = log[at + OpWord.WRITTEN]!;
    const isConstant = type === OpType.FENCE || type === OpType.IRQ_FLAG;
    const node = this.#tree.put(
      slot,
      Kind.STEP,
      head,
      log[at + OpWord.ADDRESS]!,
      size,
      isConstant ? read : 0,
      type === OpType.RMW ? 0 : written,
      log[at + OpWord.SITE]!,
    );
    if (node === NOWHERE) return NOWHERE;
    return isRead(type) ? this.#tree.readAs(node, read, written) : node + NodeWord.NEXT;
  }

  #more(slot: number, at: number): number {
    const log = this.#i32;
    const node = this.#tree.put(
      slot,
      Kind.MORE,
      log[at]!,
      log[at + OpWord.ADDRESS]!,
      log[at + OpWord.SIZE]!,
      log[at + OpWord.READ]!,
      log[at + OpWord.WRITTEN]!,
      log[at + OpWord.SITE]!,
    );
    return node === NOWHERE ? NOWHERE : node + NodeWord.NEXT;
  }
}

/** A trail while it is read. */
class Lesson {
  at = 0;
  readonly #events: readonly number[];

  constructor(events: readonly number[]) {
    this.#events = events;
  }

  /** Records in the log when the next event happened. */
  get next(): number {
    return this.#events[this.at] ?? Infinity;
  }

  get kind(): number {
    return this.#events[this.at + 1]!;
  }

  get address(): number {
    return this.#events[this.at + 2]!;
  }

  get value(): number {
    return this.#events[this.at + 3]!;
  }
}
