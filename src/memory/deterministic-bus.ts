/**
 * The bus of deterministic machines: exactly one CPU runs at a time, and in front of every operation the policy says
 * who goes next.
 *
 * There is no controller. The CPU that holds the baton publishes its next operation, asks the core (scheduler-core.ts)
 * who goes next, and goes on if the answer is itself: that costs no system call. Otherwise it writes a command to the
 * chosen CPU's baton word, wakes that thread and sleeps on its own. Since only the holder runs, everything here but the
 * baton words is plain memory.
 *
 * A wait's condition is looked at as one step: nobody runs between its loads. A CPU whose condition does not hold is not
 * runnable until a word that the condition read is written; then it looks again before anybody chooses. When nobody is
 * runnable, simulated time jumps to the earliest deadline; when there is none, the run is over: at rest, or in deadlock.
 */
import { assert } from '#base/assert';
import { type Actor, cpuOf, flowOf } from '#base/strategy';
import { AccessKind } from '#trace/events';
import { OpFlag, OpType } from '#trace/operations';
import { machineWord } from './base-bus.ts';
import type { Bus } from './bus.ts';
import {
  Baton,
  ContextWord,
  CpuWord,
  MachineWord,
  PowerState,
  RunEnd,
  SearchWord,
  Status,
} from './layout.ts';
import { OperationBus } from './operation-bus.ts';
import { RunOver } from './run-over.ts';
import { AT_REST } from './scheduler-core.ts';
import { searchWord } from './search-words.ts';
import { sleep } from './sleep.ts';
import { NOT_BUFFERED, PARTLY_BUFFERED } from './store-buffer.ts';

const CLOCK_US = machineWord(MachineWord.CLOCK_US);
const RESTING_CPU = machineWord(MachineWord.RESTING_CPU);
const ORPHANS = machineWord(MachineWord.ORPHANS);
const RUN_END = machineWord(MachineWord.RUN_END);
const ON = searchWord(SearchWord.ON);
const RUN = searchWord(SearchWord.RUN);
const ASKER = searchWord(SearchWord.ASKER);

const RUN_OVER = new RunOver();

export class DeterministicBus extends OperationBus implements Bus {
  /** The condition this thread waits for, and what it is while it does not hold. */
  #condition: (() => boolean) | undefined;
  #blockedAs: Status = Status.BLOCKED;
  /** The run this thread's stack belongs to. */
  #run = 0;
  /** A command that came while frames of an earlier run were on the stack. */
  #saved: Baton = Baton.NONE;

  waitUntil(_watch: number, condition: () => boolean, idle = false): void {
    this.#await(condition, idle ? Status.IDLE : Status.BLOCKED, 0);
  }

  waitUntilTimeout(_watch: number, condition: () => boolean, timeoutUs: number): boolean {
    const deadline = (this.i32[CLOCK_US]! + timeoutUs) | 0;
    return this.#await(condition, Status.BLOCKED, deadline === 0 ? 1 : deadline);
  }

  waitForSignal(bits: number): number {
    // A boot takes what is there already: nobody asks what if it came later.
    let isGranted = this.i32[ON] === 0;
    for (;;) {
      const pending = this.i32[this.pendingIndex]! & bits;
      // The command that brought this CPU into a new run was for this step.
      isGranted ||= this.#saved === Baton.RUN;
      if (pending !== 0 && isGranted) {
        this.i32[this.pendingIndex]! &= ~bits;
        if (this.#saved === Baton.RUN) this.#saved = Baton.NONE;
        this.log(OpType.START, 0, 0, 0, 0, 0);
        return pending;
      }
      let command: Baton;
      if (this.#saved === Baton.NONE) {
        this.goOff();
        command = this.#command(this.core.decide());
      } else {
        command = this.#takeSaved();
      }
      this.obey(command);
      isGranted ||= command === Baton.RUN;
    }
  }

  /** This CPU is off. What starts it may have come before that. */
  protected goOff(): void {
    const isStarted = this.i32[ON] !== 0 && this.isStarted(this.registers.base);
    this.registers.set(CpuWord.STATUS, isStarted ? Status.READY : Status.OFF);
    if (isStarted) this.core.publish(this.actor, OpType.START, 0, 0, true);
  }

  /** This CPU is off, and has been told to take what starts it. */
  protected startGranted(): void {
    this.#saved = Baton.RUN;
  }

  standBy(ticket: number, stay: () => boolean): boolean {
    const { cpu: left } = this;
    this.offer(ticket);
    this.#await(() => this.cpu !== left || stay(), Status.BLOCKED, 0);
    // Given away between two steps of this CPU: this thread learnt it where it waited for the baton.
    if (this.cpu !== left) return true;
    this.withdraw();
    return false;
  }

  exchangeWith(context: number): void {
    // One step of the machine: the other thread sleeps on its baton word, and nobody else runs.
    const { i32, registers: here } = this;
    const left = this.registersOf(i32[context + ContextWord.CPU]!);
    while (this.core.buffers.count(here.cpu) > 0) this.core.flush(here.cpu);
    while (this.core.buffers.count(left.cpu) > 0) this.core.flush(left.cpu);
    i32[ORPHANS]! -= 1;
    for (const registers of [here, left]) {
      registers.set(CpuWord.WATCH_COUNT, 0);
      registers.set(CpuWord.WATCH_FILTER, 0);
    }
    this.#exchangeNext(here.cpu * 4, left.cpu * 4);
    here.set(CpuWord.STATUS, Status.READY);
    left.set(CpuWord.STATUS, Status.RUNNING);
    const moving = context + ContextWord.MOVING;
    i32[moving] = 1;
    this.swapContexts(context);
    this.handOver(left.cpu, Baton.BECOME);
    // Until it has left that word it would take commands meant for us.
    while (Atomics.load(i32, moving) !== 0) sleep(i32, moving, 1);
  }

  /**
   * What a thread is about to do goes with it. In a search the one that was on offer has nothing to wait for any more, and nobody
   * notices when it goes on.
   */
  #exchangeNext(one: Actor, other: Actor): void {
    const { core } = this;
    if (this.i32[ON] !== 0) core.publish(other, OpType.AWAIT | (AccessKind.ONCE << 8), 0, 0, false);
    const head = core.nextHead[one]!;
    const address = core.nextAddress[one]!;
    const size = core.nextSize[one]!;
    const visible = core.nextVisible[one]! !== 0;
    core.publish(
      one,
      core.nextHead[other]!,
      core.nextAddress[other]!,
      core.nextSize[other]!,
      core.nextVisible[other]! !== 0,
    );
    core.publish(other, head, address, size, visible);
  }

  override endMachine(): never {
    this.i32[RUN_END] = RunEnd.FINDING;
    for (;;) this.#await(() => false, Status.BLOCKED, 0);
  }

  /** This thread is its CPU from here on; it runs when somebody hands it the baton. */
  park(): void {
    const command = this.#awaitBaton();
    // RESUME: the host restarts a run that came to rest with this CPU holding the baton. It chooses who begins.
    this.obey(command === Baton.RESUME ? this.#choose(this.core.decide()) : command);
  }

  /** A searched machine's thread takes up the run that is on: its stack is empty, its registers are the snapshot's. */
  adoptRun(): void {
    this.#run = this.i32[RUN]!;
    this.beginOperations();
    this.flowGranted = false;
    this.reloadContext();
  }

  /** Recheck on behalf of whoever chooses (SchedulerCore). */
  recheck(cpu: number): void {
    if (cpu === this.cpu) {
      this.lookAgain();
      return;
    }
    this.i32[ASKER] = this.cpu;
    this.handOver(cpu, Baton.CHECK);
    const answer = this.#awaitBaton();
    if (answer === Baton.STOP) this.client.interruptWindow();
    assert(
      answer === Baton.CHECKED,
      'DeterministicBus: a CPU was asked for a look and answered something else',
    );
  }

  protected step(head: number, address: number, size: number, visible: boolean): boolean {
    if (this.isUnseen) return true;
    assert(!this.isWatching, 'DeterministicBus: a condition may only read');
    this.core.publish(this.actor, head, address, size, visible);
    this.registers.set(CpuWord.STATUS, Status.READY);
    this.finishStep(this.core.decide());
    return true;
  }

  /** The published step is this CPU's now. */
  protected stepGranted(): void {}

  /** From the choice that was made in front of a published step to when the step is chosen, after any interrupts that were. */
  protected finishStep(chosen: Actor): void {
    this.continueStep(this.#command(chosen));
  }

  /** The same from a command that is not for the step itself, or is. */
  protected continueStep(first: Baton): void {
    let command = first;
    for (;;) {
      if (command === Baton.RUN) {
        this.obey(command);
        this.stepGranted();
        return;
      }
      const { actor, core } = this;
      const head = core.nextHead[actor]!;
      const address = core.nextAddress[actor]!;
      const size = core.nextSize[actor]!;
      const visible = core.nextVisible[actor]! !== 0;
      this.obey(command);
      // What the interrupt let run here has published steps of its own, and may have taken the task to another CPU.
      core.publish(this.actor, head, address, size, visible);
      this.registers.set(CpuWord.STATUS, Status.READY);
      command = this.#command(this.core.decide());
    }
  }

  /** Nothing is on this CPU's stack: it waits in its idle loop, and says for what. */
  protected beIdle(condition: () => boolean): void {
    this.isIdle(condition);
    this.lookAgain();
  }

  /** The same where memory says already what it waits for. */
  protected isIdle(condition: () => boolean): void {
    this.#condition = condition;
    this.#blockedAs = Status.IDLE;
  }

  /** What is waited for is work: there is nothing on this CPU's stack, or the idle loop. */
  protected get isIdling(): boolean {
    return this.#blockedAs === Status.IDLE;
  }

  /** The wait of an idle CPU is over. */
  protected endIdle(): void {
    this.registers.set(CpuWord.DEADLINE_US, 0);
    this.registers.set(CpuWord.STATUS, Status.RUNNING);
    this.#logAwait();
    this.forget();
  }

  /** Waits for a condition, or a deadline (0 = none). True if the condition holds. */
  #await(condition: () => boolean, blockedAs: Status, deadline: number): boolean {
    for (;;) {
      this.#condition = condition;
      this.#blockedAs = blockedAs;
      if (deadline !== 0) this.registers.set(CpuWord.DEADLINE_US, deadline);
      const command = this.#turn();
      // An interrupt may have taken the task to another CPU: nothing of this one is kept over a step.
      this.registers.set(CpuWord.DEADLINE_US, 0);
      if (command === Baton.RUN) {
        const type = this.core.nextHead[this.actor]! & 0xff;
        this.registers.set(CpuWord.STATUS, Status.RUNNING);
        if (type === OpType.START) {
          this.flowGranted = true;
          return true;
        }
        const timedOut = type === OpType.TIMEOUT;
        if (timedOut) this.#logTimeout();
        else this.#logAwait();
        this.forget();
        return !timedOut;
      }
      this.obey(command);
    }
  }

  /** One turn of a wait: look, and wait to be chosen. In the idle loop a command of a new run may be here already. */
  #turn(): Baton {
    if (this.#blockedAs !== Status.IDLE) {
      this.lookAgain();
      return this.#command(this.core.decide());
    }
    if (this.#saved === Baton.NONE) {
      this.lookAgain();
      const command = this.#choose(this.core.decide());
      if (this.i32[RUN] === this.#run) return command;
      // In the new run this CPU is off, and what woke it is INIT or SIPI.
      if (this.registers.power !== PowerState.RUNNING) this.#leaveRun(command);
      // Nothing but the idle loop is on the stack: it serves the new run as well.
      this.adoptRun();
      this.#saved = command;
    }
    return this.#takeSaved();
  }

  /** The command that came with a new run. What this CPU is about to do stands in the snapshot: it does not look. */
  #takeSaved(): Baton {
    const saved = this.#saved;
    this.#saved = Baton.NONE;
    if (saved === Baton.RESUME) return this.#command(this.core.decide());
    if (saved !== Baton.CHECK) return saved;
    this.#answer();
    const command = this.#awaitBaton();
    if (this.i32[RUN] !== this.#run) this.#leaveRun(command);
    return command;
  }

  /** Looks at this thread's condition: the CPU is READY if it holds. */
  protected lookAgain(): void {
    const { registers } = this;
    if (this.#blockedAs === Status.IDLE && registers.get(CpuWord.FLOW_PENDING) !== 0) {
      registers.set(CpuWord.STATUS, Status.READY);
      this.core.publish(this.actor, OpType.START, 0, 0, true);
      return;
    }
    this.hasLooked(this.look(this.#condition!));
  }

  /** What this thread waits for has been looked at. */
  protected hasLooked(holds: boolean): void {
    this.registers.set(CpuWord.STATUS, holds ? Status.READY : this.#blockedAs);
    this.#publishAwait();
  }

  #publishAwait(): void {
    const { i32 } = this;
    const { base } = this.registers;
    const count = i32[base + CpuWord.WATCH_COUNT]!;
    let first = 0;
    let behind = 0;
    let visible = false;
    for (let index = 0; index < count; index++) {
      const word = i32[base + CpuWord.WATCH_LIST + index]!;
      if (index === 0 || word < first) first = word;
      if (word >= behind) behind = word + 1;
      if (this.claimWord(word)) visible = true;
    }
    const head = OpType.AWAIT | (AccessKind.ONCE << 8);
    this.core.publish(this.actor, head, first * 4, (behind - first) * 4, visible);
  }

  /** And one record for each word that the condition read, since it could have held before. */
  #logTimeout(): void {
    if (this.i32[ON] === 0) return;
    const { registers, i32 } = this;
    this.log(OpType.TIMEOUT, 0, 0, 0, 0, 0);
    const count = registers.get(CpuWord.WATCH_COUNT);
    for (let index = 0; index < count; index++) {
      const word = registers.get(CpuWord.WATCH_LIST + index);
      this.more(OpType.LOOKED, AccessKind.ONCE, word * 4, 4, i32[word]!, 0);
    }
  }

  /** One record for each word that the condition read. */
  #logAwait(): void {
    if (this.i32[ON] === 0) return;
    const { registers, i32 } = this;
    const count = registers.get(CpuWord.WATCH_COUNT);
    if (count === 0) this.log(OpType.AWAIT, AccessKind.ONCE, 0, 0, 0, 0);
    for (let index = 0; index < count; index++) {
      const word = registers.get(CpuWord.WATCH_LIST + index);
      const kind = this.watchKinds[index]!;
      const at = this.core.buffers.find(this.cpu, word * 4, 4);
      const own = at !== NOT_BUFFERED && at !== PARTLY_BUFFERED;
      const value = own ? this.bufferedWord(at, word * 4) : i32[word]!;
      const flags = own ? OpFlag.FORWARDED : 0;
      if (index === 0) this.log(OpType.AWAIT, kind, word * 4, 4, value, 0, flags);
      else this.more(OpType.AWAIT, kind, word * 4, 4, value, 0, flags);
    }
  }

  /** The next command for this CPU after a choice: its own, or what somebody hands it. */
  #command(chosen: Actor): Baton {
    const command = this.#choose(chosen);
    if (this.i32[RUN] !== this.#run) this.#leaveRun(command);
    return command;
  }

  /** A new run is on, and this thread still has an old one's calls on its stack. */
  #leaveRun(command: Baton): never {
    this.#saved = command;
    this.isWatching = false;
    throw RUN_OVER;
  }

  /** Hands the baton over if somebody else was chosen, and comes back with what to do. */
  #choose(chosen: Actor): Baton {
    let next = chosen;
    for (;;) {
      if (next === AT_REST) {
        this.i32[RESTING_CPU] = this.cpu;
        this.ringDoorbell();
      } else {
        const command = this.commandFor(next);
        if (cpuOf(next) === this.cpu) return command;
        this.handOver(cpuOf(next), command);
      }
      const command = this.#awaitBaton();
      if (command !== Baton.RESUME) return command;
      if (this.i32[RUN] !== this.#run) return command;
      next = this.core.decide();
    }
  }

  /** The step of the flow that is on top of the CPU's stack, or an interrupt on top of that. */
  protected commandFor(actor: Actor): Baton {
    const flow = this.i32[this.registersOf(cpuOf(actor)).base + CpuWord.FLOW]!;
    return flowOf(actor) === flow ? Baton.RUN : Baton.TAKE_INTERRUPT;
  }

  /** Does what the baton says; RUN means to go on. */
  protected obey(command: Baton): void {
    this.registers.set(CpuWord.STATUS, Status.RUNNING);
    if (command === Baton.STOP) this.client.interruptWindow();
    if (command !== Baton.TAKE_INTERRUPT) return;
    // The handler's own waits use the same words: who waits looks again afterwards.
    const condition = this.#condition;
    const blockedAs = this.#blockedAs;
    const deadline = this.registers.get(CpuWord.DEADLINE_US);
    this.interruptComes();
    this.registers.set(CpuWord.DEADLINE_US, 0);
    this.forget();
    this.client.takeInterrupt();
    this.interruptIsOver();
    this.#condition = condition;
    this.#blockedAs = blockedAs;
    this.registers.set(CpuWord.DEADLINE_US, deadline);
  }

  /** An interrupt is about to be taken here, and it is over. */
  protected interruptComes(): void {}
  protected interruptIsOver(): void {}

  protected handOver(cpu: number, command: Baton): void {
    const word = this.registersOf(cpu).base + CpuWord.BATON;
    Atomics.store(this.i32, word, command);
    Atomics.notify(this.i32, word, 1);
  }

  /** Somebody wants to know whether this CPU could go on. */
  #answer(): void {
    this.lookAgain();
    this.handOver(this.i32[ASKER]!, Baton.CHECKED);
  }

  #awaitBaton(): Baton {
    const { i32 } = this;
    for (;;) {
      const word = this.registers.base + CpuWord.BATON;
      // Does not sleep if the baton is here already; pairs with the store, then notify, in #handOver(). On one core it
      // hardly ever is: to look first would cost more than it saves.
      sleep(i32, word, Baton.NONE);
      const command = Atomics.exchange(i32, word, Baton.NONE) as Baton;
      if (command === Baton.NONE) continue;
      // Thread exchange: this thread is another CPU now, whatever the command: the host may have written STOP over it.
      const context = this.contextIndex;
      if (i32[context + ContextWord.CPU] !== this.cpu) {
        this.become(i32[context + ContextWord.CPU]!);
        Atomics.store(i32, context + ContextWord.MOVING, 0);
        Atomics.notify(i32, context + ContextWord.MOVING);
      }
      if (command === Baton.BECOME) continue;
      if (command !== Baton.CHECK || i32[RUN] !== this.#run) return command;
      this.#answer();
    }
  }

  protected asBus(): Bus {
    return this;
  }
}
