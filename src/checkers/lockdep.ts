/**
 * Lock order, interrupt safety and balance, from the LOCK events of runs. What it learns it keeps for the campaign: two
 * runs that take the same locks in opposite order are enough, though neither hangs.
 *
 * @linux kernel/locking/lockdep.c, as of v6.1
 *
 * Each flow has its own stack of held locks: an interrupt's locks say nothing about the order of what it interrupted
 * (that is what the interrupt usages are for), and a task takes its locks along to the CPU it goes on on.
 */
import { type Actor, Flow, flowOf } from '#base/strategy';
import { EventType, LockOperation } from '#trace/events';
import {
  OP_WORDS,
  OpFlag,
  OpType,
  OpWord,
  type OperationLog,
  opActor,
  opFlags,
  opType,
} from '#trace/operations';
import { type Finding, NO_FINDINGS, type Names, type StackAt, placeOf } from './finding.ts';
import { HeldLocks } from './held-locks.ts';
import { type Dependency, type Evidence, LockGraph, Usage, type UsageSeen } from './lock-graph.ts';
import {
  type LockPlace,
  balanceFinding,
  circularFinding,
  heldFinding,
  inconsistentFinding,
  recursionFinding,
  unsafeOrderFinding,
} from './lockdep-report.ts';

export interface LockdepOptions {
  readonly names: Names;
  /** Locks that follow one rule share a class: `kmem_cache_node.list_lock` is one, however many there are. */
  readonly classOf: (address: number) => string;
}

export interface LockFinding extends Finding {
  /** What it rests on was not seen in one run alone: no single replay shows all of it. */
  readonly acrossRuns: boolean;
}

/** A defect of the graph, and what of it a run has to show to have it by itself. */
interface Problem {
  readonly evidence: readonly Evidence[];
  readonly finding: Finding;
}

const LOCK_EVENT = OpType.EVENT + EventType.LOCK;
const TASK_EVENT = OpType.EVENT + EventType.TASK;
const ALLOCATION_EVENT = OpType.EVENT + EventType.ALLOCATION;
const FINDING_EVENT = OpType.EVENT + EventType.FINDING;

/** Lockdep for one campaign. */
export class Lockdep {
  readonly graph = new LockGraph();
  readonly #names: Names;
  readonly #classOf: (address: number) => string;
  /** Class by lock address, until the memory there is allocated or freed. */
  readonly #classes = new Map<number, number>();
  readonly #held = new HeldLocks();
  readonly #problems: Problem[] = [];
  #run = 0;
  #log: OperationLog = { words: new Int32Array(0), records: 0 };
  #stackAt: StackAt | undefined;
  /** Of this run; undefined while there are none. */
  #findings: LockFinding[] | undefined;

  constructor(options: LockdepOptions) {
    this.#names = options.names;
    this.#classOf = options.classOf;
  }

  /**
   * Reads one run.
   * @param complete every flow of the run came to its end: then locks that are still held are a defect
   */
  onRun(log: OperationLog, complete: boolean, stackAt?: StackAt): readonly LockFinding[] {
    this.#run++;
    this.#log = log;
    this.#stackAt = stackAt;
    this.#findings = undefined;
    this.#held.reset();
    const { words } = log;
    for (let record = 0; record < log.records; record++) {
      const head = words[record * OP_WORDS]!;
      const type = opType(head);
      if (type === LOCK_EVENT) this.#lockEvent(record, opActor(head), opFlags(head));
      // A defect has ended the run: that its flow never gives back what it holds is no defect of its own.
      else if (type === FINDING_EVENT && words[record * OP_WORDS + OpWord.SIZE] !== 0) break;
      else if (type >= OpType.IRQ_EXIT) this.#otherRecord(type, record, opActor(head));
    }
    if (complete) this.#checkTasksLeft();
    this.#repeatKnown();
    return this.#findings ?? (NO_FINDINGS as readonly LockFinding[]);
  }

  #otherRecord(type: number, record: number, actor: Actor): void {
    const at = record * OP_WORDS;
    const { words } = this.#log;
    if (type === OpType.END || type === OpType.IRQ_EXIT) this.#flowEnds(record, actor);
    else if (type === OpType.IRQ_FLAG) this.#irqsOnWithLocks(record, actor);
    else if (type === TASK_EVENT) this.#taskEvent(record, actor);
    else if (type === ALLOCATION_EVENT)
      this.#forgetClasses(words[at + OpWord.ADDRESS]! >>> 0, words[at + OpWord.SIZE]!);
  }

  /** Of a LOCK event: ADDRESS the lock, SIZE what was done, WRITTEN 1 for a trylock. */
  #lockEvent(record: number, actor: Actor, flags: number): void {
    const at = record * OP_WORDS;
    const { words } = this.#log;
    const lock = words[at + OpWord.ADDRESS]! >>> 0;
    const lockClass = this.#classAt(lock);
    if (words[at + OpWord.SIZE] === LockOperation.RELEASED) {
      if (!this.#held.release(actor, lock)) this.#badUnlock(record, lock, lockClass);
      // Interrupts came on while it was held; sti is no step, so it shows only now.
      else if (isInterruptible(actor, flags)) this.#noteUsage(lockClass, Usage.IRQS_ON, record);
      return;
    }
    // A trylock never waits, so it cannot close a cycle; held, it is a lock like any other.
    if (words[at + OpWord.WRITTEN] !== 1) this.#checkOrder(record, actor, lock, lockClass);
    if (words[at + OpWord.SIZE] !== LockOperation.ACQUIRED) return;
    if (inHardirq(actor, flags)) this.#noteUsage(lockClass, Usage.IN_HARDIRQ, record);
    else if (isInterruptible(actor, flags)) this.#noteUsage(lockClass, Usage.IRQS_ON, record);
    this.#held.take(actor, lock, lockClass, record);
  }

  #classAt(lock: number): number {
    const known = this.#classes.get(lock);
    if (known !== undefined) return known;
    const lockClass = this.graph.classNamed(this.#classOf(lock));
    this.#classes.set(lock, lockClass);
    return lockClass;
  }

  /** Memory that changes hands may hold locks of another class afterwards. */
  #forgetClasses(address: number, size: number): void {
    for (const lock of this.#classes.keys()) {
      if (lock >= address && lock < address + size) this.#classes.delete(lock);
    }
  }

  #checkOrder(record: number, actor: Actor, lock: number, lockClass: number): void {
    const held = this.#held;
    for (let at = held.depth(actor) - 1; at >= 0; at--) {
      const before = held.classAt(actor, at);
      if (before === lockClass) {
        this.#recursion(record, lock, held.lockAt(actor, at), held.recordAt(actor, at), lockClass);
        continue;
      }
      const known = this.graph.dependency(before, lockClass);
      if (known === undefined) this.#addDependency(before, lockClass, held.recordAt(actor, at), record);
      else known.lastRun = this.#run;
    }
  }

  #addDependency(from: number, to: number, heldRecord: number, takenRecord: number): void {
    const taken = this.#place(takenRecord);
    const dependency: Dependency = {
      from,
      to,
      cpu: taken.cpu,
      heldStack: this.#place(heldRecord).stack,
      takenStack: taken.stack,
      lastRun: this.#run,
    };
    this.graph.addDependency(dependency);
    const back = this.graph.shortestPath(to, (lockClass) => lockClass === from);
    if (back !== undefined) {
      const cycle = [dependency, ...back];
      this.#addProblem(cycle, circularFinding(this.graph, cycle));
    }
    this.#checkSafeBeforeUnsafe([dependency]);
  }

  #noteUsage(lockClass: number, usage: Usage, record: number): void {
    const known = this.graph.usage(lockClass, usage);
    if (known !== undefined) {
      known.lastRun = this.#run;
      return;
    }
    const { cpu, stack } = this.#place(record);
    const seen: UsageSeen = { lockClass, usage, cpu, stack, lastRun: this.#run };
    this.graph.addUsage(seen);
    const other = this.graph.usage(lockClass, usage === Usage.IN_HARDIRQ ? Usage.IRQS_ON : Usage.IN_HARDIRQ);
    if (other !== undefined) {
      const [inIrq, irqsOn] = usage === Usage.IN_HARDIRQ ? [seen, other] : [other, seen];
      this.#addProblem([seen, other], inconsistentFinding(this.graph, inIrq, irqsOn));
    }
    this.#checkSafeBeforeUnsafe([], lockClass);
  }

  /**
   * A lock that interrupts take (safe) must not be held while one is waited for whose holders can be interrupted (unsafe):
   * the interrupt may land on such a holder and wait for the first. Looks at what is new: a dependency, or a class's usage.
   */
  #checkSafeBeforeUnsafe(through: readonly Dependency[], lockClass = through[0]?.from ?? 0): void {
    const { graph } = this;
    const isSafe = (at: number): boolean => graph.usage(at, Usage.IN_HARDIRQ) !== undefined;
    const isUnsafe = (at: number): boolean => graph.usage(at, Usage.IRQS_ON) !== undefined;
    const before = isSafe(lockClass) ? [] : graph.shortestPathTo(lockClass, isSafe);
    if (before === undefined) return;
    const last = through[0]?.to ?? lockClass;
    // Of a lone class that is both, the inconsistency has been said; what matters here is a chain.
    const endsHere = isUnsafe(last) && before.length + through.length > 0;
    const after = endsHere ? [] : graph.shortestPath(last, isUnsafe);
    if (after === undefined) return;
    const chain = [...before, ...through, ...after];
    const safe = graph.usage(chain[0]!.from, Usage.IN_HARDIRQ)!;
    const unsafe = graph.usage(chain.at(-1)!.to, Usage.IRQS_ON)!;
    this.#addProblem([...chain, safe, unsafe], unsafeOrderFinding(graph, chain, safe, unsafe));
  }

  #addProblem(evidence: readonly Evidence[], finding: Finding): void {
    if (this.#problems.some((problem) => problem.finding.title === finding.title)) return;
    this.#problems.push({ evidence, finding });
    // The run that completes a problem reports it, even if the rest of it came from other runs.
    if (!this.#showsAll(evidence)) this.#say(finding, true);
  }

  #showsAll(evidence: readonly Evidence[]): boolean {
    for (const piece of evidence) if (piece.lastRun !== this.#run) return false;
    return true;
  }

  /** Problems that this run shows by itself, whether they are new or not. */
  #repeatKnown(): void {
    for (const { evidence, finding } of this.#problems) {
      if (this.#showsAll(evidence)) this.#say(finding, false);
    }
  }

  #say(finding: Finding, acrossRuns: boolean): void {
    this.#findings ??= [];
    const same = this.#findings.findIndex((other) => other.title === finding.title);
    if (same < 0) this.#findings.push({ ...finding, acrossRuns });
    else if (!acrossRuns) this.#findings[same] = { ...finding, acrossRuns };
  }

  /** The main flow's interrupt flag changes: on one side of this step interrupts are on, and locks are held on both. */
  #irqsOnWithLocks(record: number, actor: Actor): void {
    for (let at = this.#held.depth(actor) - 1; at >= 0; at--) {
      this.#noteUsage(this.#held.classAt(actor, at), Usage.IRQS_ON, record);
    }
  }

  /** Of a TASK event: ADDRESS the task, READ 1 where it runs from here on, WRITTEN 1 where it has ended. */
  #taskEvent(record: number, actor: Actor): void {
    const at = record * OP_WORDS;
    const { words } = this.#log;
    const task = words[at + OpWord.ADDRESS]! >>> 0;
    if (words[at + OpWord.READ] === 1) {
      this.#held.taskArrives(actor, task);
      return;
    }
    if (words[at + OpWord.WRITTEN] === 1) this.#stillHeld(actor, record, 'task');
    this.#held.taskLeaves(actor, task, words[at + OpWord.WRITTEN] === 1);
  }

  #flowEnds(record: number, actor: Actor): void {
    this.#stillHeld(actor, record, flowOf(actor) !== Flow.MAIN ? 'interrupt' : 'flow');
    this.#held.forget(actor);
  }

  #stillHeld(actor: Actor, record: number, whose: 'task' | 'interrupt' | 'flow'): void {
    const held = this.#held;
    for (let at = 0; at < held.depth(actor); at++) {
      const taken = this.#lockPlace(
        held.recordAt(actor, at),
        held.lockAt(actor, at),
        held.classAt(actor, at),
      );
      this.#say(heldFinding(whose, taken, this.#place(record)), false);
    }
  }

  /** Tasks that left a CPU with locks and never came back, in a run that is over. */
  #checkTasksLeft(): void {
    this.#held.eachTaskAway((record, lock, lockClass) => {
      const taken = this.#lockPlace(record, lock, lockClass);
      this.#say(heldFinding('task', taken, taken.place), false);
    });
  }

  #recursion(record: number, lock: number, heldLock: number, heldRecord: number, lockClass: number): void {
    const taken = this.#lockPlace(record, lock, lockClass);
    this.#say(recursionFinding(taken, this.#lockPlace(heldRecord, heldLock, lockClass)), false);
  }

  #badUnlock(record: number, lock: number, lockClass: number): void {
    const holder = this.#held.holderOf(lock);
    const held = holder < 0 ? undefined : this.#lockPlace(holder, lock, lockClass);
    this.#say(balanceFinding(this.#lockPlace(record, lock, lockClass), held), false);
  }

  #place(record: number): ReturnType<typeof placeOf> {
    return placeOf(this.#log, record, { names: this.#names, stackAt: this.#stackAt });
  }

  #lockPlace(record: number, lock: number, lockClass: number): LockPlace {
    return { lock, className: this.graph.names[lockClass]!, place: this.#place(record) };
  }
}

function inHardirq(actor: Actor, flags: number): boolean {
  return (flags & OpFlag.HARDIRQ) !== 0 || flowOf(actor) !== Flow.MAIN;
}

/** An interrupt could land here. */
function isInterruptible(actor: Actor, flags: number): boolean {
  return (flags & OpFlag.IRQS_OFF) === 0 && !inHardirq(actor, flags);
}
