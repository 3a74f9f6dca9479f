/**
 * One CPU's part of a run, while it is taken into the tree: records of the log and events of its trail, in their order. A flow
 * has its tree; so has each handler, by what it comes in front of and by the registers that it may go by.
 */
import { Flow, flowOf } from '#base/strategy';
import type { FiberBus } from '#memory/fiber-bus';
import { CPU_BLOCK_BYTES, PENDING_MASKABLE } from '#memory/layout';
import { TrailEvent } from '#memory/trail';
import { EventType, LockOperation } from '#trace/events';
import { OpFlag, OpType, OpWord, opActor, opFlags, opType } from '#trace/operations';
import { type FlowTree, Kind, NOWHERE, NodeWord } from './flow-tree.ts';

/** No part of what a flow does: what is a choice point depends on the runs before. */
const VISIBLE = OpFlag.VISIBLE << 11;
const LOCK_EVENT = OpType.EVENT + EventType.LOCK;
/** Instead of a place in a tree: nothing is on the CPU's stack. */
const IDLE = -2;

/** Where something stands that an interrupt came in front of. */
interface Place {
  readonly slot: number;
  readonly contended: number;
  readonly isWaiting: boolean;
  readonly calls: number;
  readonly site: number;
  readonly stores: number;
  readonly isExchange: boolean;
}

/** Whether the tree has steps of that kind. */
function isKnown(type: number, size: number, flags: number, written: number): boolean {
  if ((flags & (OpFlag.FAULTED | OpFlag.FORWARDED)) !== 0) return false;
  switch (type) {
    case OpType.LOAD:
      // Of a few bytes out of many the log has the word that they begin in.
      return size > 4 || (flags & OpFlag.DRAINED) === 0;
    case OpType.STORE:
      return true;
    case OpType.RMW:
    case OpType.ACQUIRE:
      return size === 4;
    case OpType.FENCE:
    case OpType.IRQ_FLAG:
      return true;
    case OpType.IPI:
      // Others start a CPU, or stop it.
      return (written & ~PENDING_MASKABLE) === 0;
    default:
      return false;
  }
}

/** Whether what comes after a step depends on what it read. */
function isRead(type: number): boolean {
  return type === OpType.LOAD || type === OpType.RMW;
}

/** Facts of the flow's own, but for what ends a run. */
function isFact(type: number): boolean {
  if (type === OpType.IRQ_EXIT || type === OpType.END) return true;
  const event = type - OpType.EVENT;
  return event >= 0 && event !== EventType.FINDING;
}

export class CpuLesson {
  readonly #tree: FlowTree;
  readonly #log: Int32Array;
  readonly #cpu: number;
  readonly #handlers: number;
  readonly #blocks: number;
  readonly #blocksEnd: number;
  /** Numbers of what a handler may know of the calls below it. */
  readonly #calls = new Map<string, number>();
  #slot = IDLE;
  /** Of where the flow stands. */
  #callsHere = 0;
  #siteHere = 0;
  /** The record of a lock that was found taken, until it is known whether it was waited for; or -1. */
  #contended = -1;
  /** The flow stands at a wait, whose node is at `slot`. */
  #isWaiting = false;
  /** Where the next look of its condition is to stand; then, where what comes is to, if it held. */
  #look = NOWHERE;
  #isLooking = false;
  #hasStarted = false;
  /** What the step that comes stores, if that is more than a word; and whether its record says what was there. */
  #stores = 0;
  #isExchange = false;
  /** The node of a step that has loaded more than a word, until it is known what; or 0. */
  #loads = 0;
  #bytes: readonly Uint8Array[] = [];
  readonly #below: Place[] = [];

  constructor(tree: FlowTree, { i32, layout }: FiberBus, cpu: number) {
    this.#tree = tree;
    this.#log = i32;
    this.#cpu = cpu;
    this.#handlers = layout.nrPossible + cpu;
    this.#blocks = layout.cpuBlocks;
    this.#blocksEnd = layout.cpuBlocks + layout.nrPossible * CPU_BLOCK_BYTES;
  }

  /** @param bytes what events of the trail mean by a number */
  begin(bytes: readonly Uint8Array[]): void {
    this.#bytes = bytes;
    this.#stores = 0;
    this.#loads = 0;
    this.#slot = IDLE;
    this.#contended = -1;
    this.#isWaiting = false;
    this.#isLooking = false;
    this.#hasStarted = false;
    this.#below.length = 0;
  }

  /** What comes is not known. */
  get isLost(): boolean {
    return this.#slot === NOWHERE;
  }

  event(event: number, address: number, value: number): void {
    if (this.isLost) return;
    const isIdle = this.#slot === IDLE;
    switch (event & 0xff) {
      case TrailEvent.LOOK:
        if (this.#isLooking) this.#look = this.#read(this.#look, Kind.LOOK, 0, address, value);
        else if (isIdle || this.#isWaiting) this.#lose();
        else this.#slot = this.#read(this.#slot, Kind.LOOK, 0, address, value);
        break;
      case TrailEvent.LEAVE:
        if (isIdle || this.#isWaiting) this.#lose();
        else this.#leave(address, value);
        break;
      case TrailEvent.TALLY:
        if (isIdle || this.#isWaiting) this.#lose();
        else this.#leave(address, value, Kind.TALLY);
        break;
      case TrailEvent.STORES:
        this.#stores = this.#tree.keep(this.#bytes[address]!);
        this.#isExchange = value !== 0;
        break;
      case TrailEvent.LOADED:
        this.#loaded(this.#bytes[address]!);
        break;
      case TrailEvent.STAND:
        this.#siteHere = address;
        this.#callsHere = this.#numberOf(address, value);
        break;
      case TrailEvent.LOOKS:
        if (isIdle) this.#lose();
        else this.#wait();
        break;
      case TrailEvent.WATCH:
        this.#look = this.#read(this.#look, Kind.WATCH, event >>> 8, address, value);
        break;
      case TrailEvent.VERDICT:
        this.#isLooking = false;
        this.#look = this.#put(this.#look, value === 0 ? Kind.FAILS : Kind.HOLDS);
        if (value === 0) this.#look = NOWHERE;
        break;
      case TrailEvent.ENTER:
        this.#enter(address, value);
        break;
      case TrailEvent.RETURN:
        this.#return();
        break;
      default:
        this.#put(this.#slot, Kind.OVER);
        this.#slot = this.#below.length === 0 ? IDLE : NOWHERE;
    }
  }

  /** @param at word index of a record of this CPU's */
  record(at: number): void {
    if (this.#loads !== 0) this.#lose();
    if (this.isLost) return;
    const log = this.#log;
    const head = log[at]!;
    const type = opType(head);
    if (this.#contended >= 0) {
      const isOfLock =
        type === OpType.ACQUIRE && log[at + OpWord.ADDRESS] === log[this.#contended + OpWord.ADDRESS];
      // That the lock was taken is no matter of the flow.
      if (!isOfLock) this.#more(this.#contended);
      this.#contended = -1;
    }
    // By the machine itself, once it is known that a handler begins.
    if (type === OpType.IRQ_ENTRY) return;
    if (type === OpType.AWAIT) this.#awaited((opFlags(head) & OpFlag.CONTINUES) === 0);
    else if ((opFlags(head) & OpFlag.CONTINUES) === 0) this.#step(at);
    else if (this.#isWaiting || this.#slot === IDLE) this.#lose();
    else if (type === LOCK_EVENT && log[at + OpWord.SIZE] === LockOperation.CONTENDED) this.#contended = at;
    else if (isFact(type)) this.#more(at);
    else this.#lose();
  }

  #lose(): void {
    this.#slot = NOWHERE;
  }

  #numberOf(site: number, stack: number): number {
    const name = `${site} ${stack}`;
    let number = this.#calls.get(name);
    if (number === undefined) this.#calls.set(name, (number = this.#calls.size + 1));
    return number;
  }

  /** A node that says nothing but what it is. Answers where what comes then is to stand. */
  #put(slot: number, kind: Kind): number {
    const node = this.#tree.put(slot, kind, 0, 0, 0, 0, 0, 0);
    return node === NOWHERE ? NOWHERE : node + NodeWord.NEXT;
  }

  #read(slot: number, kind: Kind, head: number, address: number, value: number): number {
    const node = this.#tree.put(slot, kind, head, address, this.#isRegister(address) ? 0 : 4, 0, 0, 0);
    return node === NOWHERE ? NOWHERE : this.#tree.readAs(node, value, 0);
  }

  #leave(address: number, value: number, kind: Kind = Kind.LEAVE): void {
    const size = this.#isRegister(address) ? 0 : 4;
    const node = this.#tree.put(this.#slot, kind, 0, address, size, 0, value, 0);
    this.#slot = node === NOWHERE ? NOWHERE : node + NodeWord.NEXT;
  }

  #isRegister(address: number): boolean {
    return address >= this.#blocks && address < this.#blocksEnd;
  }

  #loaded(bytes: Uint8Array): void {
    const node = this.#loads;
    this.#loads = 0;
    if (node === 0) this.#lose();
    else this.#slot = this.#tree.readAs(node, this.#tree.keep(bytes), 0);
  }

  /** A wait's condition is looked at, for the first time or again. */
  #wait(): void {
    if (this.#contended >= 0) this.#more(this.#contended);
    this.#contended = -1;
    const node = this.#tree.put(this.#slot, Kind.WAIT, 0, 0, 0, 0, 0, this.#siteHere, this.#callsHere);
    if (node === NOWHERE) {
      this.#lose();
      return;
    }
    this.#isWaiting = true;
    this.#isLooking = true;
    this.#look = node + NodeWord.NEXT;
  }

  /** The wait is over. */
  #awaited(isFirst: boolean): void {
    // Further words that it has read.
    if (!isFirst) return;
    this.#slot = this.#isWaiting ? this.#look : NOWHERE;
    this.#isWaiting = false;
  }

  #enter(vector: number, flow: number): void {
    const calls = this.#slot === IDLE ? 0 : this.#callsHere;
    this.#below.push({
      slot: this.#slot,
      contended: this.#contended,
      isWaiting: this.#isWaiting,
      calls: this.#callsHere,
      site: this.#siteHere,
      stores: this.#stores,
      isExchange: this.#isExchange,
    });
    this.#stores = 0;
    const node = this.#tree.put(this.#handlers, Kind.HANDLER, 0, 0, 0, 0, 0, 0);
    const byVector = node === NOWHERE ? NOWHERE : this.#tree.readAs(node, vector, 0);
    const kind = this.#tree.put(byVector, Kind.HANDLER, 0, 0, 0, 0, 0, 0);
    this.#slot = kind === NOWHERE ? NOWHERE : this.#tree.readAs(kind, calls * 4 + flow, 0);
    this.#contended = -1;
    this.#isWaiting = false;
  }

  #return(): void {
    const place = this.#below.pop();
    this.#put(this.#slot, Kind.RETURN);
    if (place === undefined || this.#slot === NOWHERE) {
      this.#lose();
      return;
    }
    this.#slot = place.slot;
    this.#contended = place.contended;
    this.#isWaiting = place.isWaiting;
    this.#callsHere = place.calls;
    this.#siteHere = place.site;
    this.#stores = place.stores;
    this.#isExchange = place.isExchange;
  }

  #step(at: number): void {
    const log = this.#log;
    const head = log[at]! & ~VISIBLE;
    const type = opType(head);
    const size = log[at + OpWord.SIZE]!;
    const read = log[at + OpWord.READ]!;
    const written = log[at + OpWord.WRITTEN]!;
    if (type === OpType.START) {
      const isFirst = this.#slot === IDLE && !this.#hasStarted && flowOf(opActor(head)) === Flow.MAIN;
      this.#hasStarted = true;
      this.#slot = isFirst ? this.#cpu : NOWHERE;
      this.#callsHere = 0;
    } else if (this.#slot === IDLE || this.#isWaiting || !isKnown(type, size, opFlags(head), written)) {
      this.#lose();
    }
    const isWide = size > 4 && type !== OpType.IRQ_FLAG;
    const stores = isWide && type === OpType.STORE ? this.#stores : 0;
    const isPiece = this.#stores !== 0;
    this.#stores = 0;
    // Of a few bytes that are stored as many are the log does not have what was there before.
    const isOdd = type === OpType.STORE && (isWide ? this.#tree.bytesOf(stores).length !== size : isPiece);
    if (isOdd) this.#lose();
    const isConstant = type === OpType.FENCE || type === OpType.IRQ_FLAG || type === OpType.IPI;
    const node = this.#tree.put(
      this.#slot,
      Kind.STEP,
      head,
      log[at + OpWord.ADDRESS]!,
      size,
      isConstant ? read : stores !== 0 && this.#isExchange ? 1 : 0,
      type === OpType.RMW ? 0 : written,
      log[at + OpWord.SITE]!,
      this.#callsHere,
      stores,
    );
    if (node === NOWHERE) this.#lose();
    else if (isWide && type === OpType.LOAD) this.#loads = node;
    else this.#slot = isRead(type) ? this.#tree.readAs(node, read, written) : node + NodeWord.NEXT;
  }

  #more(at: number): void {
    const log = this.#log;
    const node = this.#tree.put(
      this.#slot,
      Kind.MORE,
      log[at]!,
      log[at + OpWord.ADDRESS]!,
      log[at + OpWord.SIZE]!,
      log[at + OpWord.READ]!,
      log[at + OpWord.WRITTEN]!,
      log[at + OpWord.SITE]!,
    );
    this.#slot = node === NOWHERE ? NOWHERE : node + NodeWord.NEXT;
  }
}
