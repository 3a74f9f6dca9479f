/**
 * A multiprocessor on one thread, over programs written as generator functions: searches, checkers and views are tested on
 * it without CPU threads. Who may go next, who is asked, and what stands in the log is as on the threads: its decisions follow
 * memory/scheduler-core, its operations memory/deterministic-bus.
 *
 * Leaves out: operations of 8 bytes, faults, facts in the log, stacks (SITE is 0, and 1 in what has preempted a
 * flow).
 */
import { assert } from '#base/assert';
import {
  ACTORS_PER_CPU,
  type Actor,
  Flow,
  type Policy,
  bufferActor,
  cpuOf,
  flowOf,
  mainActor,
} from '#base/strategy';
import type { BlockedActor } from '#scheduler/executor';
import { type Executor, type Plan, type RunFinding, type RunResult, RunStop } from '#explore/executor';
import { policyByNumber } from '#scheduler/policies';
import { AccessKind } from '#trace/events';
import { INIT_SIGNAL, OpFlag, OpType, STARTUP_SIGNALS } from '#trace/operations';
import { ModelCore } from './model-core.ts';
import { ModelState } from './model-memory.ts';
import { type FlowBody, ModelOps, type ModelProgram, type ModelRequest } from './model-program.ts';

export type { FlowBody, ModelInterrupt, ModelMemory, ModelProgram, ModelRequest } from './model-program.ts';
export { ModelOps } from './model-program.ts';

export interface ModelOptions extends ModelProgram {
  /** Default 'sc'. */
  readonly memoryModel?: 'sc' | 'tso';
  /** Steps a run may have. Default 10,000. */
  readonly stepLimit?: number;
  /** Whether the final state names every value that was loaded. Default true. */
  readonly observeLoads?: boolean;
  /**
   * The final state names only memory that more than one actor uses: what else a flow does has no place among the others' steps, and
   * a flow that never began, or waits for ever, has done more of it or less. Default false.
   */
  readonly onlyShared?: boolean;
  /** Bytes of memory; programs use addresses below. Default 64 KiB. */
  readonly memoryBytes?: number;
  /** Default: scheduler/policies. */
  readonly policies?: (number: number) => Policy;
}

const CPUS_MAX = 16;
const INTERRUPTS_MAX = 9;
const SIPI = STARTUP_SIGNALS & ~INIT_SIGNAL;
const STEPS_DEFAULT = 10_000;
const BYTES_DEFAULT = 0x1_0000;

export class ModelMachine implements Executor {
  readonly actors: number;
  private readonly program: ModelOptions;
  private readonly cpus: number;
  private readonly isTso: boolean;
  private readonly stepLimit: number;
  private readonly observeLoads: boolean;
  private readonly state: ModelState;
  private readonly core: ModelCore;
  private readonly ops = new ModelOps();
  /** By actor: its flow's body; what it loaded, and behind the actors what those loaded that preempted a CPU's main flow. */
  private readonly bodies: (Generator<ModelRequest, void, number> | undefined)[] = [];
  private readonly loads: number[][];
  /** By CPU: the program's interrupts that are its own. */
  private readonly lines: number[][];
  /** By CPU: the main flow that something runs on top of; and what is to preempt it when the handler that runs has ended. */
  private readonly preempted: (Generator<ModelRequest, void, number> | 'none' | undefined)[] = [];
  private readonly preempting: (FlowBody | undefined)[] = [];
  private stop: RunStop = RunStop.COMPLETE;

  constructor(options: ModelOptions) {
    const { flows, interrupts = [] } = options;
    assert(flows.length > 0 && flows.length <= CPUS_MAX, 'ModelMachine: 1 to 16 flows');
    assert(interrupts.length <= INTERRUPTS_MAX, 'ModelMachine: at most 9 interrupts');
    this.program = options;
    this.cpus = flows.length;
    this.actors = this.cpus * ACTORS_PER_CPU;
    this.isTso = options.memoryModel === 'tso';
    this.stepLimit = options.stepLimit ?? STEPS_DEFAULT;
    this.observeLoads = options.observeLoads ?? true;
    this.state = new ModelState(options.memoryBytes ?? BYTES_DEFAULT, this.cpus);
    this.core = new ModelCore(this.cpus, this.isTso, this.state, options.policies ?? policyByNumber);
    this.loads = Array.from({ length: this.actors + this.cpus }, () => []);
    this.lines = flows.map((_, cpu) =>
      [...interrupts.keys()].filter((index) => interrupts[index]!.cpu === cpu),
    );
    for (const { cpu, pending } of interrupts) {
      assert(cpu >= 0 && cpu < this.cpus, 'ModelMachine: an interrupt of a CPU that has no flow');
      // Raised from outside: somebody else uses the pending word, though no actor of ours.
      if (pending !== false) this.state.share(this.state.pendingOf(cpu));
    }
  }

  run(plan: Plan): RunResult {
    this.reset(plan);
    this.stop = this.toTheEnd();
    return {
      stop: this.stop,
      log: { words: this.core.log.words, records: this.core.log.records },
      steps: this.core.choice.step,
      switches: this.core.switches,
      divergedAt: this.core.divergedAt,
      sharedGrew: this.state.sharedGrew,
      findings: this.findings(),
      finalState: this.finalState(),
      blocked: this.blocked(),
    };
  }

  private reset(plan: Plan): void {
    const { state, program } = this;
    this.ops.failure = undefined;
    for (const loads of this.loads) loads.length = 0;
    state.reset();
    this.preempted.length = this.preempting.length = this.bodies.length = 0;
    for (const [address, value] of program.initial ?? []) state.write(address, value);
    for (const [index, { cpu, pending }] of (program.interrupts ?? []).entries())
      if (pending !== false) this.raise(cpu, 1 << index);
    this.core.begin(plan, program.off ?? [], program.shut === true);
  }

  private toTheEnd(): RunStop {
    const { core } = this;
    const { choice } = core;
    for (;;) {
      if (this.ops.failure !== undefined) return RunStop.DIED;
      if (choice.step >= this.stepLimit) return RunStop.STEP_LIMIT;
      const actor = core.pick();
      if (actor < 0) return core.stop;
      core.commit(actor);
      this.perform(actor);
      choice.step++;
    }
  }

  private perform(actor: Actor): void {
    const cpu = cpuOf(actor);
    this.core.log.site = this.preempted[cpu] === undefined ? 0 : 1;
    if (flowOf(actor) === Flow.BUFFER) this.flush(cpu);
    else if (flowOf(actor) !== this.core.flow[cpu]) this.enterInterrupt(cpu, actor);
    else if ((this.core.choice.nextHead[actor]! & 0xff) === OpType.START) this.start(cpu, actor);
    else if ((this.core.choice.nextHead[actor]! & 0xff) === OpType.TAKE) this.take(cpu, actor);
    else this.advance(actor, this.operate(cpu, actor));
  }

  private start(cpu: number, actor: Actor): void {
    const { core, state } = this;
    if (core.isOff[cpu] === 0) {
      core.log.step(OpType.START, 0, this.context(cpu), actor, 0, 0, 0, 0);
      if (this.program.shut === true) core.irqsOn[cpu] = 1;
      this.begin(actor, this.program.flows[cpu]!);
      return;
    }
    const pending = state.pendingOf(cpu);
    state.write(pending, state.read(pending) & ~STARTUP_SIGNALS);
    core.log.step(OpType.START, 0, this.context(cpu), actor, 0, 0, 0, 0);
    core.isOff[cpu] = 0;
    this.begin(actor, this.program.flows[cpu]!);
  }

  /** The flow of a CPU that was off is at its end: it is off again. */
  private goOff(cpu: number): void {
    if (this.program.off?.includes(cpu) !== true) return;
    const { core, state } = this;
    core.isOff[cpu] = 1;
    core.irqsOn[cpu] = 0;
    if ((state.read(state.pendingOf(cpu)) & SIPI) !== 0) core.publishStart(cpu);
  }

  private begin(actor: Actor, body: FlowBody): void {
    this.bodies[actor] = body(this.ops);
    this.advance(actor, 0);
  }

  /** Lets a flow go on, up to its next step. */
  private advance(actor: Actor, answer: number): void {
    const cpu = cpuOf(actor);
    const body = this.bodies[actor]!;
    this.core.waits[actor] = 0;
    for (;;) {
      const { done, value: request } = body.next(answer);
      if (this.ops.failure !== undefined) return;
      if (done === true) {
        this.finish(cpu, actor);
        return;
      }
      const isFree = request.type === OpType.IRQ_FLAG && (request.value === 1 || this.core.irqsOn[cpu] === 0);
      if (!isFree) {
        this.core.ask(actor, request);
        return;
      }
      // Interrupts on, or off where they are off: takes no choice away from anybody, so it is no step.
      this.core.irqsOn[cpu] = request.value;
      answer = 0;
    }
  }

  private finish(cpu: number, actor: Actor): void {
    const flow = flowOf(actor);
    const below = this.preempted[cpu];
    if (flow === Flow.MAIN && below !== undefined) {
      this.preempted[cpu] = undefined;
      this.bodies[actor] = below === 'none' ? undefined : below;
      this.core.takeBack(actor);
      return;
    }
    if (flow === Flow.MAIN) {
      this.core.log.more(OpType.END, 0, this.context(cpu), actor, 0, 0, 0, 0);
      this.goOff(cpu);
      return;
    }
    this.core.log.more(OpType.IRQ_EXIT, 0, this.context(cpu), actor, this.state.pendingOf(cpu), 4, 0, 0);
    this.core.flow[cpu] = flow === Flow.NESTED ? Flow.INTERRUPT : Flow.MAIN;
    this.core.irqsOn[cpu] = 1;
    const next = this.preempting[cpu];
    if (flow !== Flow.INTERRUPT || next === undefined) return;
    this.preempting[cpu] = undefined;
    if (this.preempted[cpu] !== undefined) return;
    this.preempted[cpu] = this.bodies[mainActor(cpu)] ?? 'none';
    this.core.setAside(mainActor(cpu));
    this.begin(mainActor(cpu), next);
  }

  private enterInterrupt(cpu: number, actor: Actor): void {
    const { state } = this;
    const address = state.pendingOf(cpu);
    const pending = state.read(address);
    const raised = pending & ~STARTUP_SIGNALS;
    const vector = raised & -raised;
    state.write(address, pending & ~vector);
    this.core.irqsOn[cpu] = 0;
    this.core.flow[cpu] = flowOf(actor);
    const context = this.context(cpu);
    this.core.log.step(
      OpType.IRQ_ENTRY,
      AccessKind.RMW,
      context,
      actor,
      address,
      4,
      vector,
      pending & ~vector,
    );
    const { handler, preempts } = this.program.interrupts![31 - Math.clz32(vector)]!;
    if (preempts !== undefined) this.preempting[cpu] = preempts;
    this.begin(actor, handler);
  }

  private raise(cpu: number, bits: number): void {
    const address = this.state.pendingOf(cpu);
    this.state.write(address, this.state.read(address) | bits);
  }

  private flush(cpu: number): void {
    const { state } = this;
    const { address, size, value, kind } = state.buffers[cpu]!.shift()!;
    const before = state.read(address, size);
    state.write(address, value, size);
    this.core.log.step(OpType.FLUSH, kind, this.context(cpu), bufferActor(cpu), address, size, before, value);
  }

  /** OpFlag bits of where a CPU is. */
  private context(cpu: number): number {
    return (
      (this.core.irqsOn[cpu] === 0 ? OpFlag.IRQS_OFF : 0) |
      (this.core.flow[cpu] === Flow.MAIN ? 0 : OpFlag.HARDIRQ)
    );
  }

  /** Does what the flow asked for. Answers what the flow gets. */
  private operate(cpu: number, actor: Actor): number {
    const { state } = this;
    const { log } = this.core;
    const { type, kind, address, value, change, size = 4, source } = this.core.requests[actor]!;
    const context = this.context(cpu);
    if (source !== undefined && type !== OpType.LOAD) {
      this.writeBytes(cpu, actor);
      return 0;
    }
    switch (type) {
      case OpType.LOAD: {
        const own = source === undefined ? state.buffered(cpu, address, size) : undefined;
        const isOwn = typeof own === 'number';
        const read = isOwn ? own : state.read(address, Math.min(size, 4));
        const how = (isOwn ? OpFlag.FORWARDED : 0) | (source === undefined ? 0 : OpFlag.DRAINED);
        log.step(type, kind, context | how, actor, address, size, read, 0);
        for (let at = address + 4; at < address + size; at += 4) this.loaded(actor, state.read(at), at);
        return this.loaded(actor, read, address);
      }
      case OpType.STORE:
        this.store(cpu, actor, address, value | 0, kind, size);
        return 0;
      case OpType.RMW:
      case OpType.IRQ_DROP:
      case OpType.ACQUIRE: {
        const before = state.read(address);
        const after = (change === undefined ? value : change(before)) | 0;
        state.write(address, after);
        log.step(type, kind, context, actor, address, 4, before, after);
        return type === OpType.RMW ? this.loaded(actor, before, address) : before;
      }
      case OpType.AWAIT:
        return this.awaited(cpu, actor);
      case OpType.OFFER:
        this.offer(cpu, actor, value);
        return 0;
      case OpType.FENCE:
        log.step(type, kind, context, actor, 0, 0, 0, 0);
        return 0;
      case OpType.IPI: {
        if (value < 0) {
          const pending = state.pendingOf(address);
          // A SIPI means nothing to a CPU that has had no INIT.
          const isLost = -value === SIPI && (state.read(pending) & INIT_SIGNAL) === 0;
          if (!isLost) this.raise(address, -value);
          log.step(type, kind, context, actor, pending, 4, address, -value);
          if (this.core.isOff[address] !== 0 && (state.read(pending) & SIPI) !== 0)
            this.core.publishStart(address);
          return 0;
        }
        const line = this.lines[address]![value];
        assert(line !== undefined, 'ModelMachine: an IPI that no interrupt of the program handles');
        this.raise(address, 1 << line);
        log.step(type, kind, context, actor, state.pendingOf(address), 4, address, 1 << line);
        return 0;
      }
      case OpType.IRQ_FLAG:
        log.step(type, kind, context, actor, state.pendingOf(cpu), 4, 1, 0);
        this.core.irqsOn[cpu] = 0;
        return 0;
      default:
        throw new Error(`ModelMachine: a flow asked for an operation of type ${type}`);
    }
  }

  /** @param wants 0: not any more, as part of the step before */
  private offer(cpu: number, actor: Actor, wants: number): void {
    const { state } = this;
    const { log } = this.core;
    const context = this.context(cpu);
    const word = state.wantsOf(this.core.contexts[cpu]!);
    const [count, before] = [state.read(state.orphans), state.read(word)];
    const after = count + (wants === 0 ? -1 : 1);
    state.write(state.orphans, after);
    state.write(word, wants);
    if (wants === 0) log.more(OpType.OFFER, AccessKind.RMW, context, actor, state.orphans, 4, count, after);
    else log.step(OpType.OFFER, AccessKind.RMW, context, actor, state.orphans, 4, count, after);
    log.more(OpType.OFFER, AccessKind.RMW, context, actor, word, 4, before, wants);
  }

  /** The first flow that asks for this CPU gets it, and what was here goes on there. */
  private take(cpu: number, actor: Actor): void {
    const { state } = this;
    const { log, contexts, requests } = this.core;
    const context = this.context(cpu);
    const looked: number[] = [];
    let found = -1;
    for (let other = 0; other < this.cpus && found < 0; other++) {
      const word = state.wantsOf(other);
      if (other === contexts[cpu] || state.read(word) === 0) continue;
      looked.push(word);
      if (((state.read(word) >>> cpu) & 1) === 1) found = other;
    }
    const count = state.read(state.orphans);
    log.step(
      OpType.TAKE,
      AccessKind.RMW,
      context,
      actor,
      state.orphans,
      4,
      count,
      found < 0 ? count : count - 1,
    );
    const look = (word: number): void => {
      state.claim(actor, word);
      log.more(OpType.LOAD, AccessKind.ONCE, context, actor, word, 4, state.read(word), 0);
    };
    for (const word of looked) look(word);
    if (found < 0) {
      this.advance(actor, 0);
      return;
    }
    const left = contexts.indexOf(found);
    log.more(OpType.GIVEN, 0, context, actor, 0, 0, left, 0);
    for (const word of requests[mainActor(left)]!.words!) look(word);
    const word = state.wantsOf(found);
    log.more(OpType.TAKE, AccessKind.RMW, context, actor, word, 4, state.read(word), 0);
    state.write(word, 0);
    state.write(state.orphans, count - 1);
    const { bodies, preempted, core } = this;
    const other = mainActor(left);
    [bodies[actor], bodies[other]] = [bodies[other], bodies[actor]];
    [preempted[cpu], preempted[left]] = [preempted[left], preempted[cpu]];
    core.exchange(actor, other);
    this.advance(other, 1);
  }

  private writeBytes(cpu: number, actor: Actor): void {
    const { state } = this;
    const { log } = this.core;
    const { type, kind, address, value, size = 4, source = address } = this.core.requests[actor]!;
    const context = this.context(cpu);
    if (type === OpType.STORE) {
      state.fill(address, value, size);
      log.step(type, kind, context, actor, address, size, 0, value);
      return;
    }
    const first = state.read(source);
    state.copy(address, source, size);
    log.step(OpType.LOAD, kind, context | OpFlag.DRAINED, actor, source, size, first, 0);
    log.more(OpType.STORE, kind, context, actor, address, size, 0, first);
  }

  private loaded(actor: Actor, value: number, address: number): number {
    if (this.program.onlyShared === true && !this.state.isShared(address)) return value;
    const isOnTop = flowOf(actor) === Flow.MAIN && this.preempted[cpuOf(actor)] !== undefined;
    if (this.observeLoads) this.loads[isOnTop ? this.actors + cpuOf(actor) : actor]!.push(value);
    return value;
  }

  private store(cpu: number, actor: Actor, address: number, value: number, kind: number, size: number): void {
    const { state } = this;
    const { log } = this.core;
    const context = this.context(cpu);
    if (this.isTso) {
      state.buffers[cpu]!.push({ address, size, value, kind });
      log.step(OpType.BUFFER, kind, context, actor, address, size, 0, value);
      return;
    }
    const before = state.read(address, size);
    state.write(address, value, size);
    log.step(OpType.STORE, kind, context, actor, address, size, before, value);
  }

  /** One record for each word that the condition looked at. */
  private awaited(cpu: number, actor: Actor): number {
    const { state } = this;
    const { log } = this.core;
    const { words, kind, value, isOffer } = this.core.requests[actor]!;
    const context = this.context(cpu);
    if (words!.length === 0) {
      // On another CPU than the one that it wanted to leave.
      log.step(OpType.AWAIT, kind, context, actor, 0, 0, 0, 0);
      return 1;
    }
    if (this.core.hasGivenUp(actor)) {
      log.step(OpType.TIMEOUT, 0, context, actor, 0, 0, 0, 0);
      for (const address of words!)
        log.more(OpType.LOOKED, 0, context, actor, address, 4, state.read(address), 0);
      return this.loaded(actor, 0, words![0]!);
    }
    for (let index = 0; index < words!.length; index++) {
      const address = words![index]!;
      const read = state.seen(cpu, address);
      const flags = context | (typeof state.buffered(cpu, address) === 'number' ? OpFlag.FORWARDED : 0);
      if (index === 0) log.step(OpType.AWAIT, kind, flags, actor, address, 4, read, 0);
      else log.more(OpType.AWAIT, kind, flags, actor, address, 4, read, 0);
      this.loaded(actor, read, address);
    }
    if (isOffer === true) {
      this.offer(cpu, actor, 0);
      return 0;
    }
    if (value > 0) return 1;
    const first = words![0]!;
    return state.seen(cpu, first);
  }

  private findings(): RunFinding[] {
    if (this.stop === RunStop.DIED) return [{ kind: 'check', title: this.ops.failure! }];
    if (this.stop === RunStop.DEADLOCK) return [{ kind: 'deadlock', title: this.deadlockTitle() }];
    if (this.stop !== RunStop.COMPLETE) return [];
    const failed = this.program.check?.({ load: (address) => this.state.read(address) });
    return failed === undefined ? [] : [{ kind: 'check', title: failed }];
  }

  /** Whose next operation cannot be made. Interrupts that were not taken are no flow's operation. */
  private blocked(): BlockedActor[] {
    const { core } = this;
    const blocked: BlockedActor[] = [];
    for (let cpu = 0; cpu < this.cpus; cpu++) {
      const actor = mainActor(cpu) + core.flow[cpu]!;
      if (core.waits[actor] === 0 || core.isPossible(actor)) continue;
      const { type, address, words } = core.requests[actor]!;
      blocked.push({ actor, type, ranges: (words ?? [address]).flatMap((word) => [word, 4]) });
    }
    return blocked;
  }

  private deadlockTitle(): string {
    const told: string[] = [];
    for (let cpu = 0; cpu < this.cpus; cpu++) {
      const actor = mainActor(cpu) + this.core.flow[cpu]!;
      if (this.core.waits[actor] === 0) continue;
      const address = `0x${this.core.choice.nextAddress[actor]!.toString(16)}`;
      const isLock = (this.core.choice.nextHead[actor]! & 0xff) === OpType.ACQUIRE;
      told.push(`cpu${cpu} waits for ${isLock ? 'the lock at ' : ''}${address}`);
    }
    return `BUG: deadlock: ${told.join(', ')}`;
  }

  private finalState(): string {
    const memory = this.state.contents(this.program.onlyShared);
    if (!this.observeLoads) return JSON.stringify({ memory });
    const loads: Record<number, readonly number[]> = {};
    for (let actor = 0; actor < this.loads.length; actor++)
      if (this.loads[actor]!.length > 0) loads[actor] = this.loads[actor]!;
    return JSON.stringify({ memory, loads });
  }
}
