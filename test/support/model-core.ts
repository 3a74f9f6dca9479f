/**
 * Who goes next in a model machine: what its CPUs are about to do, who of them can, and who of those does it. As
 * memory/scheduler-core decides for CPU threads.
 */
import { assert } from '#base/assert';
import {
  ACTORS_PER_CPU,
  type Actor,
  type Choice,
  Flow,
  NOBODY,
  POLICY_WORDS,
  type Policy,
  PolicyWord,
  bufferActor,
  cpuOf,
  interruptActor,
  mainActor,
} from '#base/strategy';
import { type Plan, RunStop } from '#explore/executor';
import { AccessKind } from '#trace/events';
import { OpFlag, OpType, STARTUP_SIGNALS } from '#trace/operations';
import { ModelLog } from './model-log.ts';
import type { ModelState } from './model-memory.ts';
import { type ModelRequest, ORPHANS, OWN_PENDING } from './model-program.ts';

/** In a published head: possible only while the CPU's store buffer is empty. As memory/scheduler-core has it. */
const NEEDS_DRAIN = 1 << 16;

/** The step in front of a flow. */
interface Aside {
  readonly head: number;
  readonly address: number;
  readonly size: number;
  readonly visible: number;
  readonly waits: number;
  readonly deadline: number;
  readonly request: ModelRequest | undefined;
}

function swap(list: Int32Array | Uint32Array | Uint8Array, one: number, other: number): void {
  [list[one], list[other]] = [list[other]!, list[one]!];
}

export class ModelCore {
  readonly log = new ModelLog();
  readonly choice: { -readonly [Key in keyof Choice]: Choice[Key] };
  /** By CPU: the flow on top of its stack; whether it takes interrupts. */
  readonly flow: Int32Array;
  readonly irqsOn: Uint8Array;
  /** By CPU: it waits for what starts it. */
  readonly isOff: Uint8Array;
  /** By actor: 1 while there is a step in front of it; what its flow asked for, once that has begun. */
  readonly waits: Uint8Array;
  readonly requests: (ModelRequest | undefined)[] = [];
  /** By CPU: the one on which its flow has begun. */
  readonly contexts: number[] = [];
  /** Why `pick` answered nobody. */
  stop: RunStop = RunStop.COMPLETE;
  switches = 0;
  divergedAt = -1;
  private readonly state: ModelState;
  private readonly cpus: number;
  private readonly isTso: boolean;
  private readonly words = new Int32Array(POLICY_WORDS);
  private readonly policies: (number: number) => Policy;
  /** What a wait's condition looks at. */
  private readonly looked: number[] = [];
  private plan: Plan = { prefix: [], policy: 0, seed: 1 };
  private policy: Policy | undefined;
  private segment = 0;
  private stepsLeft = 0;
  private clock = 0;
  /** By actor: when its wait gives up; 0: never. */
  private readonly deadlines: Int32Array;
  /** By actor: the step in front of it when something preempted it. */
  private readonly aside: (Aside | undefined)[] = [];

  constructor(cpus: number, isTso: boolean, state: ModelState, policies: (number: number) => Policy) {
    const actors = cpus * ACTORS_PER_CPU;
    this.cpus = cpus;
    this.isTso = isTso;
    this.state = state;
    this.policies = policies;
    this.flow = new Int32Array(cpus);
    this.irqsOn = new Uint8Array(cpus);
    this.isOff = new Uint8Array(cpus);
    this.waits = new Uint8Array(actors);
    this.deadlines = new Int32Array(actors);
    this.choice = {
      enabled: new Int32Array(actors),
      count: 0,
      current: -1,
      step: 0,
      nextHead: new Int32Array(actors),
      nextAddress: new Uint32Array(actors),
      nextSize: new Int32Array(actors),
      nextVisible: new Uint8Array(actors),
    };
  }

  /** A run begins: every main flow is in front of its START, but for those of CPUs that are off. */
  begin(plan: Plan, off: readonly number[], isShut: boolean): void {
    const { words, choice } = this;
    this.plan = plan;
    this.policy = this.policies(plan.policy);
    this.segment = 0;
    this.stepsLeft = 0;
    this.switches = 0;
    this.divergedAt = -1;
    this.log.records = 0;
    choice.current = -1;
    choice.step = 0;
    choice.nextHead.fill(0);
    choice.nextVisible.fill(0);
    this.flow.fill(Flow.MAIN);
    this.irqsOn.fill(isShut ? 0 : 1);
    this.waits.fill(0);
    this.clock = 0;
    this.aside.length = 0;
    this.deadlines.fill(0);
    for (let cpu = 0; cpu < this.cpus; cpu++) {
      this.contexts[cpu] = cpu;
      this.isOff[cpu] = off.includes(cpu) ? 1 : 0;
      if (this.isOff[cpu] === 0) this.publish(mainActor(cpu), OpType.START, 0, 0, true);
      else this.irqsOn[cpu] = 0;
    }
    words.fill(0);
    if (plan.parameters !== undefined) words.set(plan.parameters, PolicyWord.PARAMETERS);
    words[PolicyWord.SEED] = plan.seed === 0 ? 1 : plan.seed;
    this.policy.begin?.(words);
  }

  /** A CPU that is off, and has been sent what starts it. */
  publishStart(cpu: number): void {
    this.publish(mainActor(cpu), OpType.START, 0, 0, true);
  }

  /** The actor of the next step, or negative: the run ends for the reason in `stop`. */
  pick(): Actor {
    const forced = this.followed();
    if (forced !== undefined) return forced;
    const same = this.unasked();
    if (same >= 0) return same;
    const { choice, policy } = this;
    do this.collect();
    while (choice.count === 0 && this.passTime());
    if (choice.count === 0) return this.ends(this.waits.includes(1) ? RunStop.DEADLOCK : RunStop.COMPLETE);
    if (choice.count === 1 && policy!.always !== true) return choice.enabled[0]!;
    const chosen = policy!.choose(this.words, choice);
    if (chosen === NOBODY) return this.ends(RunStop.COVERED);
    assert(this.isEnabled(chosen), `ModelMachine: ${policy!.name} chose an actor that is not enabled`);
    return chosen;
  }

  /** Nobody can go on: time jumps to the earliest deadline. False if there is none. */
  private passTime(): boolean {
    let earliest = -1;
    for (let cpu = 0; cpu < this.cpus; cpu++) {
      const actor = mainActor(cpu) + this.flow[cpu]!;
      if (this.waits[actor] === 0 || this.deadlines[actor] === 0 || this.hasGivenUp(actor)) continue;
      if (earliest < 0 || this.deadlines[actor]! < this.deadlines[earliest]!) earliest = actor;
    }
    if (earliest < 0) return false;
    this.clock = this.deadlines[earliest]!;
    this.present(earliest, OpType.TIMEOUT, 0, 0, true);
    return true;
  }

  /** The step in front of the actor is that its wait gives up. */
  hasGivenUp(actor: Actor): boolean {
    return (this.choice.nextHead[actor]! & 0xff) === OpType.TIMEOUT;
  }

  /** What runs on top of a flow is somebody else, so that an interrupt is asked for in front of what the two share. */
  private claim(actor: Actor, address: number, size = 4): boolean {
    const isOnTop = this.aside[actor] !== undefined;
    return this.state.claim(isOnTop ? this.cpus * ACTORS_PER_CPU + cpuOf(actor) : actor, address, size);
  }

  /** Something preempts the flow: what it is in front of waits. */
  setAside(actor: Actor): void {
    const { nextHead, nextAddress, nextSize, nextVisible } = this.choice;
    this.aside[actor] = {
      head: nextHead[actor]!,
      address: nextAddress[actor]!,
      size: nextSize[actor]!,
      visible: nextVisible[actor]!,
      waits: this.waits[actor]!,
      deadline: this.deadlines[actor]!,
      request: this.requests[actor],
    };
    this.waits[actor] = 0;
    this.deadlines[actor] = 0;
  }

  takeBack(actor: Actor): void {
    const { head, address, size, visible, waits, deadline, request } = this.aside[actor]!;
    this.aside[actor] = undefined;
    this.present(actor, head, address, size, visible !== 0);
    this.waits[actor] = waits;
    this.deadlines[actor] = deadline;
    this.requests[actor] = request;
  }

  private ends(stop: RunStop): Actor {
    this.stop = stop;
    return NOBODY;
  }

  /** The prefix's next actor, or undefined behind its end. */
  private followed(): Actor | undefined {
    const { prefix } = this.plan;
    while (this.stepsLeft === 0) {
      if (this.segment >= prefix.length) return undefined;
      this.stepsLeft = prefix[this.segment++]!.steps;
    }
    const { actor } = prefix[this.segment - 1]!;
    // The same record as when this step was made without a question: a run and its replay have one log.
    if (this.unasked() !== actor) {
      do this.collect();
      while (this.choice.count === 0 && this.passTime());
      if (!this.isEnabled(actor)) {
        this.divergedAt = this.choice.step;
        return this.ends(RunStop.DIVERGED);
      }
    }
    this.stepsLeft--;
    return actor;
  }

  /** Who goes on without a choice: the last actor, or its CPU's store buffer, with a step that nobody else can notice. */
  private unasked(): Actor {
    const { current, nextVisible } = this.choice;
    if (current < 0) return NOBODY;
    const cpu = cpuOf(current);
    const actor = mainActor(cpu) + this.flow[cpu]!;
    if (this.isPossible(actor) && nextVisible[actor] === 0) return this.onlyEnabled(actor);
    if (this.state.buffers[cpu]!.length === 0) return NOBODY;
    const buffer = this.publishFlush(cpu);
    return nextVisible[buffer] === 0 ? this.onlyEnabled(buffer) : NOBODY;
  }

  private onlyEnabled(actor: Actor): Actor {
    this.log.enabledLow = 0;
    this.log.enabledHigh = 0;
    this.mark(actor);
    return actor;
  }

  private mark(actor: Actor): void {
    if (actor < 32) this.log.enabledLow |= 1 << actor;
    else this.log.enabledHigh |= 1 << (actor - 32);
  }

  private collect(): void {
    const { choice, state } = this;
    choice.count = 0;
    this.log.enabledLow = 0;
    this.log.enabledHigh = 0;
    for (let cpu = 0; cpu < this.cpus; cpu++) {
      const flow = this.flow[cpu]!;
      const actor = mainActor(cpu) + flow;
      const isBuffered = state.buffers[cpu]!.length > 0;
      const raised = state.read(state.pendingOf(cpu)) & ~STARTUP_SIGNALS;
      const isRaised = this.irqsOn[cpu] !== 0 && !isBuffered && raised !== 0;
      if (flow !== Flow.NESTED && this.isPossible(actor)) this.add(actor);
      if (isRaised && flow === Flow.MAIN) this.add(this.publishEntry(cpu, interruptActor(cpu)));
      if (isBuffered) this.add(this.publishFlush(cpu));
      if (isRaised && flow === Flow.INTERRUPT) this.add(this.publishEntry(cpu, mainActor(cpu) + Flow.NESTED));
      if (flow === Flow.NESTED && this.isPossible(actor)) this.add(actor);
    }
  }

  private add(actor: Actor): void {
    this.choice.enabled[this.choice.count++] = actor;
    this.mark(actor);
  }

  private isEnabled(actor: Actor): boolean {
    const { enabled, count } = this.choice;
    for (let index = 0; index < count; index++) if (enabled[index] === actor) return true;
    return false;
  }

  /** Whether there is a step in front of the actor, and it can be made now. */
  isPossible(actor: Actor): boolean {
    if (this.waits[actor] === 0) return false;
    const { choice, state } = this;
    const head = choice.nextHead[actor]!;
    const cpu = cpuOf(actor);
    if ((head & NEEDS_DRAIN) !== 0 && state.buffers[cpu]!.length > 0) return false;
    const type = head & 0xff;
    if (type === OpType.ACQUIRE) return state.read(choice.nextAddress[actor]!) === 0;
    if (type === OpType.BUFFER) return !state.isBufferFull(cpu);
    return type !== OpType.AWAIT || this.holds(actor, cpu);
  }

  private holds(actor: Actor, cpu: number): boolean {
    const { looked, state, choice } = this;
    const { words, condition, isOffer } = this.requests[actor]!;
    looked.length = 0;
    let visible = isOffer === true && words!.length > 0 ? 1 : 0;
    for (const address of words!) {
      looked.push(state.seen(cpu, address));
      if (state.isShared(address)) visible = 1;
    }
    // The words may have got their second user while this flow waited.
    choice.nextVisible[actor] = visible;
    return condition!(looked, cpu);
  }

  /** The step is chosen, and about to be made. */
  commit(actor: Actor): void {
    const { choice } = this;
    if (choice.current !== actor && choice.current >= 0) this.switches++;
    choice.current = actor;
    const { nextHead, nextAddress, nextSize, nextVisible } = choice;
    const visible = nextVisible[actor] !== 0;
    this.log.visible = visible ? OpFlag.VISIBLE : 0;
    if (!visible) return;
    this.policy!.executed?.(
      this.words,
      choice,
      actor,
      nextHead[actor]!,
      nextAddress[actor]!,
      nextSize[actor]!,
    );
  }

  /** The flow's next step is what it asked for. */
  ask(actor: Actor, asked: ModelRequest): void {
    const { state } = this;
    const isOwnPending = asked.address === OWN_PENDING;
    const own = isOwnPending ? { ...asked, address: state.pendingOf(cpuOf(actor)) } : asked;
    const request = own.words === undefined ? own : { ...own, words: this.wordsOf(own, cpuOf(actor)) };
    this.requests[actor] = request;
    this.deadlines[actor] =
      request.type === OpType.AWAIT && request.value > 0 ? this.clock + request.value : 0;
    const { type, kind } = request;
    const head = type | (kind << 8);
    switch (type) {
      case OpType.FENCE:
        this.publish(actor, head | NEEDS_DRAIN, 0, 0, this.isTso);
        return;
      case OpType.AWAIT:
        this.publishAwait(actor, head, request.words!, request.isOffer === true);
        return;
      case OpType.OFFER:
      case OpType.TAKE:
        this.publish(actor, head | NEEDS_DRAIN, state.orphans, 4, this.claim(actor, state.orphans));
        return;
      case OpType.IRQ_FLAG: {
        const pending = state.pendingOf(cpuOf(actor));
        this.publish(actor, head, pending, 4, this.claim(actor, pending));
        return;
      }
      case OpType.IPI: {
        assert(request.address < this.cpus, 'ModelCore.ask: an IPI to a CPU that has no flow');
        const pending = state.pendingOf(request.address);
        this.claim(actor, pending);
        this.publish(actor, head | NEEDS_DRAIN, pending, 4, true);
        return;
      }
      default:
        this.publishAccess(actor, head, request);
    }
  }

  private publishAccess(
    actor: Actor,
    head: number,
    { type, kind, address, size = 4, source }: ModelRequest,
  ): void {
    assert(
      address < this.state.pendingOf(0) || address === this.state.pendingOf(cpuOf(actor)),
      'ModelCore.publishAccess: the address is beyond memory',
    );
    if (source !== undefined) {
      this.publishBytes(actor, head, address, source, size);
      return;
    }
    const isShared = this.claim(actor, address, size);
    // Its reaching memory is the choice, not its entering the buffer.
    if (type === OpType.STORE && this.isTso)
      this.publish(actor, OpType.BUFFER | (kind << 8), address, size, false);
    else if (type === OpType.LOAD || type === OpType.STORE) {
      const isPartly = this.state.buffered(cpuOf(actor), address, size) === 'partly';
      this.publish(actor, isPartly ? head | NEEDS_DRAIN : head, address, size, isShared);
    }
    // An interrupt that the CPU has sent to itself may come before it is dropped.
    else this.publish(actor, head | NEEDS_DRAIN, address, 4, isShared || type === OpType.IRQ_DROP);
  }

  private publishBytes(actor: Actor, head: number, address: number, source: number, size: number): void {
    const isShared = this.claim(actor, source, size);
    const from = Math.min(address, source);
    const bytes = Math.max(address, source) + size - from;
    this.publish(actor, head | NEEDS_DRAIN, from, bytes, this.claim(actor, address, size) || isShared);
  }

  /** The words of a wait, where they are. */
  private wordsOf({ words, isWide }: ModelRequest, cpu: number): readonly number[] {
    const { state } = this;
    const all = words!.map((word) =>
      word === OWN_PENDING ? state.pendingOf(cpu) : word === ORPHANS ? state.orphans : word,
    );
    if (isWide !== true) return all;
    return [...all, ...Array.from({ length: this.cpus }, (_, context) => state.wantsOf(context))];
  }

  /** Two main flows change places; the one that had asked for that goes on with nothing in front of it. */
  exchange(here: Actor, left: Actor): void {
    const { choice, aside, requests, waits, deadlines } = this;
    for (const list of [choice.nextHead, choice.nextAddress, choice.nextSize, choice.nextVisible])
      swap(list, here, left);
    for (const list of [waits, deadlines]) swap(list, here, left);
    [aside[here], aside[left]] = [aside[left], aside[here]];
    [requests[here], requests[left]] = [requests[left], requests[here]];
    [this.contexts[cpuOf(here)], this.contexts[cpuOf(left)]] = [
      this.contexts[cpuOf(left)]!,
      this.contexts[cpuOf(here)]!,
    ];
    requests[here] = { ...requests[here]!, words: [], condition: () => true };
    this.present(here, OpType.AWAIT | (AccessKind.ONCE << 8), 0, 0, false);
  }

  private publishAwait(actor: Actor, head: number, words: readonly number[], isOffer: boolean): void {
    if (isOffer) {
      const { orphans } = this.state;
      const all = [...words, orphans, this.state.wantsOf(this.cpus - 1)];
      for (const address of words) this.claim(actor, address);
      const least = Math.min(...all);
      const kind = AccessKind.RMW << 8;
      this.publish(actor, OpType.AWAIT | kind, least, Math.max(...all) + 4 - least, true);
      return;
    }
    let least = words[0]!;
    let most = least;
    let visible = false;
    for (const address of words) {
      least = Math.min(least, address);
      most = Math.max(most, address);
      // Also while the condition does not hold: whoever writes the word has to know that somebody waits for it.
      visible = this.claim(actor, address) || visible;
    }
    this.publish(actor, head, least, most + 4 - least, visible);
  }

  private publish(actor: Actor, head: number, address: number, size: number, visible: boolean): void {
    this.present(actor, head, address, size, visible);
    this.waits[actor] = 1;
  }

  private present(actor: Actor, head: number, address: number, size: number, visible: boolean): void {
    const { choice } = this;
    choice.nextHead[actor] = head;
    choice.nextAddress[actor] = address;
    choice.nextSize[actor] = size;
    choice.nextVisible[actor] = visible ? 1 : 0;
  }

  private publishEntry(cpu: number, actor: Actor): Actor {
    this.present(actor, OpType.IRQ_ENTRY, this.state.pendingOf(cpu), 4, true);
    return actor;
  }

  private publishFlush(cpu: number): Actor {
    const { address, size, kind } = this.state.buffers[cpu]![0]!;
    const actor = bufferActor(cpu);
    this.present(actor, OpType.FLUSH | (kind << 8), address, size, this.state.isShared(address));
    return actor;
  }
}
