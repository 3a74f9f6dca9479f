/** The fibers of one machine, and who of them goes next. */
import { ResetTaken, beginFlow, endFlow, waitForStart } from '#cpu-worker/fiber-cpu';
import { assert } from '#base/assert';
import { type Actor, cpuOf } from '#base/strategy';
import { beginPlainCalls, endPlainCalls, plainCalls } from '#base/plain-calls';
import { type Resumable, resumable, twinOf } from '#base/resumable';
import { withBus } from '#memory/bus';
import type { FiberGroup } from '#memory/fiber-bus';
import { machineWord } from '#memory/base-bus';
import { Baton, ContextWord, CpuWord, MachineWord, PowerState, SearchWord } from '#memory/layout';
import { AT_REST } from '#memory/scheduler-core';
import { searchWord } from '#memory/search-words';
import { call_pointer } from '#memory/symbols';
import { need_resched, preempt_check_resched } from '#smp/sched';
import { idle_is_over, idle_work } from '#smp/smpboot';
import { type KnownPlaces, OpType } from '#trace/operations';
import { type Fiber, Stand, attach, go, lookAs } from './fibers.ts';
import { Recollection } from './recollection.ts';
import type { WrittenWords } from './written-words.ts';

const TRACE_MASK = machineWord(MachineWord.TRACE_MASK);
const SHARED_GREW = searchWord(SearchWord.SHARED_GREW);

/** A function's twin, called. Everything that can be called here waits somewhere. */
function suspended<A extends unknown[]>(f: (...args: A) => unknown, ...args: A): Resumable {
  const twin = twinOf(f);
  assert(
    twin !== undefined,
    'fibers: a kernel function that has not been made resumable: this is not the built code',
  );
  return twin(...args);
}

function lookOnBehalf(fiber: Fiber): void {
  fiber.bus.lookOnBehalf();
}

/** As machine/runner has it. */
type RunOutcome = 'over' | 'again';

export class Group implements FiberGroup {
  /** By context: a thread's context is its for ever, whichever CPU it is. */
  readonly fibers: Fiber[] = [];
  /** A CPU whose baton word has been written and not been looked at, -1 = none. */
  #handed = -1;
  readonly #recollection = new Recollection();
  #hasGivenUp = false;
  /** CPUs are where a run begins, and nobody has told them so. */
  #isHome = false;
  /** In this run a condition has been looked at by its code. */
  #hasLooked = false;
  #written: WrittenWords | undefined;
  readonly #resting = (cpu: number): boolean => this.#beIdle(cpu);
  readonly #recalling = (): KnownPlaces | boolean => {
    attach(this.fibers[0]);
    const known = this.#recollection.recall(this.fibers, this.#resting);
    attach(undefined);
    return known;
  };

  wake(cpu: number): void {
    this.#handed = cpu;
  }

  look(cpu: number): void {
    if (this.#recollection.look(cpu)) return;
    this.#hasLooked = true;
    lookAs(this.#of(cpu), lookOnBehalf);
  }

  #of(cpu: number): Fiber {
    return this.fibers[this.fibers[0]!.bus.registersOf(cpu).get(CpuWord.CONTEXT)]!;
  }

  // ---- a machine that boots, and answers calls: CPUs are what they are on threads ----

  /** Lets CPUs go on until every one of them sleeps. Tells `over` of one whose life is over. */
  advance(over: (fiber: Fiber) => void): void {
    withBus(this.fibers[0]!.bus, () => {
      for (let fiber = this.#nextReady(); fiber !== undefined; fiber = this.#nextReady()) {
        attach(fiber);
        go(fiber);
        while (fiber.stand === Stand.PARKED) {
          fiber.stack.push(fiber.bus.unpark());
          go(fiber);
        }
        if (fiber.stand === Stand.DONE || fiber.stand === Stand.THREW) over(fiber);
      }
      attach(undefined);
    });
  }

  /** Two may sleep on one word where CPUs are exchanged: who has to become another one is the one it is meant for. */
  #nextReady(): Fiber | undefined {
    const named = this.#handed < 0 ? undefined : this.#of(this.#handed);
    this.#handed = -1;
    if (named?.isReady === true) return named;
    const ready = this.fibers.filter(({ isReady }) => isReady);
    return ready.find(({ isAway }) => isAway) ?? ready[0];
  }

  // ---- runs of a scenario: nothing but a CPU's flow, or an interrupt, is ever on its stack ----

  /** Every CPU is the one it was when memory was kept, and has nothing on its stack. */
  goHome(restore: () => void): void {
    restore();
    for (const fiber of this.fibers) {
      const { bus } = fiber;
      const cpu = bus.i32[bus.contextIndex + ContextWord.CPU]!;
      fiber.clear();
      if (bus.cpu !== cpu) bus.become(cpu);
    }
    resumable.parked = false;
    while (resumable.held.length > 0) resumable.held.pop();
    this.#handed = -1;
    this.#isHome = true;
  }

  /** Whether to try `recall` before the next run. */
  mayRecall(): boolean {
    return this.#recollection.isNext();
  }

  /** How many runs have come of what flows had been seen to do. */
  get recalled(): number {
    return this.#recollection.recalled;
  }

  /**
   * Makes a run from what flows have been seen to do, and tells where in that its records come from, or true. False: it takes
   * more, and nothing of it counts.
   */
  recall(): KnownPlaces | boolean {
    if (this.#isHome) this.#beginRun();
    this.#hasLooked = false;
    const { bus } = this.fibers[0]!;
    const known = withBus(bus, this.#recalling);
    this.#hasLooked ||= bus.i32[SHARED_GREW] !== 0 || this.#recollection.hasDoneMore;
    this.#written = this.#recollection.written;
    return known;
  }

  /** What the last run may have written, if it was made so. */
  get written(): WrittenWords | undefined {
    return this.#written;
  }

  /** Whether it may have done anything else. */
  get hasDoneMore(): boolean {
    return this.#written === undefined || this.#hasLooked;
  }

  #beginRun(): void {
    this.#isHome = false;
    for (const { bus } of this.fibers) bus.beginRun(idle_is_over);
  }

  #beIdle(cpu: number): boolean {
    const fiber = this.#of(cpu);
    if (fiber.bus.registers.power !== PowerState.RUNNING) return false;
    if (fiber.bus.beIdleAsBefore(idle_is_over)) return true;
    this.#hasLooked = true;
    attach(fiber);
    fiber.bus.beIdle(idle_is_over);
    return true;
  }

  /** A run from its first choice to its end, or to where a plain call turns out to have to wait (base/plain-calls.ts). */
  run(): RunOutcome {
    const [first] = this.fibers;
    this.#written = undefined;
    this.#beginRun();
    this.#recollection.follow(this.fibers);
    const isFinal = this.#recollection.isFollowing || first!.bus.i32[TRACE_MASK] !== 0;
    beginPlainCalls(this.#hasGivenUp, isFinal);
    try {
      withBus(first!.bus, () => {
        attach(first);
        for (let next = first!.bus.core.decide(); next !== AT_REST;) next = this.#turn(next);
      });
    } catch (error) {
      if (!plainCalls.failed) throw error;
    } finally {
      attach(undefined);
      // Whoever caught what was thrown in the middle has not put it right.
      this.#hasGivenUp = plainCalls.failed;
      endPlainCalls();
    }
    if (this.#hasGivenUp) {
      for (const { bus } of this.fibers) bus.takeBackShared();
      return 'again';
    }
    this.#recollection.learn(this.fibers);
    return 'over';
  }

  /** Lets an actor go on until somebody else is chosen. Answers whom. */
  #turn(actor: Actor): Actor {
    const cpu = cpuOf(actor);
    const fiber = this.#of(cpu);
    const { bus, stand } = fiber;
    const command = bus.commandFor(actor);
    attach(fiber);
    if (stand === Stand.PARKED && command === Baton.RUN) {
      // Nearly always.
      bus.grant();
      go(fiber);
      return fiber.stand === Stand.PARKED ? bus.chosen : this.#after(fiber);
    }
    if (stand === Stand.ASLEEP) bus.i32[bus.registers.base + CpuWord.BATON] = command;
    else this.#tell(fiber, actor, command);
    go(fiber);
    return this.#after(fiber);
  }

  /** Gets a fiber that does not sleep ready to do what it is told. */
  #tell(fiber: Fiber, actor: Actor, command: Baton): void {
    const { bus, stack } = fiber;
    if (fiber.stand !== Stand.PARKED) stack.push(this.#begun(fiber, actor, command));
    else if (command === Baton.RUN) bus.grant();
    else stack.push(bus.unparkWith(command));
  }

  /** What a CPU with nothing on its stack does when it is chosen. */
  #begun(fiber: Fiber, actor: Actor, command: Baton): Resumable {
    const { bus } = fiber;
    if (bus.registers.power !== PowerState.RUNNING) {
      bus.startGranted();
      return suspended(waitForStart, bus);
    }
    if (command !== Baton.RUN) return bus.interrupt(command);
    if ((bus.core.nextHead[actor]! & 0xff) === OpType.START) {
      fiber.flow = beginFlow(bus);
      const flow = suspended(call_pointer, bus.registers.get(CpuWord.FLOW_FUNCTION) >>> 0);
      if (!need_resched()) return flow;
      // A kernel thread has waited for this CPU since before.
      fiber.stack.push(flow);
      return suspended(preempt_check_resched);
    }
    bus.endIdle();
    return suspended(idle_work);
  }

  /** Who goes on after a fiber that stands still. */
  #after(stood: Fiber): Actor {
    let fiber = stood;
    for (;;) {
      switch (fiber.stand) {
        case Stand.PARKED:
          return fiber.bus.chosen;
        case Stand.ASLEEP: {
          const next = this.#handedOn();
          if (next === undefined) return AT_REST;
          fiber = next;
          break;
        }
        case Stand.THREW:
          this.#threw(fiber);
          break;
        case Stand.DONE:
          // The task may have moved: its fiber may be another CPU.
          if (fiber.flow !== 0) {
            endFlow(fiber.bus, fiber.flow);
            fiber.bus.trail?.end();
          }
          fiber.clear();
          this.#rest(fiber);
          return fiber.bus.core.decide();
      }
    }
  }

  /** Nothing is on its stack. */
  #rest({ bus }: Fiber): void {
    const { registers } = bus;
    if (registers.power === PowerState.RUNNING) bus.beIdle(idle_is_over);
    else bus.goOff();
  }

  /** An exception has come through all of a stack. */
  #threw(fiber: Fiber): void {
    const { error, thread, flow, isFailing } = fiber;
    if (error instanceof ResetTaken) {
      // An INIT was taken: nothing is on its stack any more.
      fiber.clear();
      return;
    }
    const raise = (): never => {
      throw error;
    };
    // The flow's task: as any task is dealt with. Else it was nobody's: reported, and the machine stops.
    fiber.isFailing = true;
    fiber.stack.push(
      flow !== 0 && !isFailing
        ? twinOf(thread.taskThrew)!.call(thread, error, 0)
        : twinOf(thread.untilStopped)!.call(thread, raise),
    );
    go(fiber);
  }

  /** A fiber sleeps, and may have handed the baton on before. Lets whoever has it go on; undefined if nobody has. */
  #handedOn(): Fiber | undefined {
    const cpu = this.#handed;
    this.#handed = -1;
    let fiber: Fiber | undefined;
    if (cpu >= 0) fiber = this.#given(cpu);
    fiber ??= this.#nextReady();
    if (fiber === undefined) return undefined;
    attach(fiber);
    go(fiber);
    return fiber;
  }

  /** The fiber that is that CPU, ready to do what its baton word says; undefined if it sleeps and sees for itself. */
  #given(cpu: number): Fiber | undefined {
    const fiber = this.#of(cpu);
    const { bus, stand } = fiber;
    if (stand === Stand.ASLEEP) return fiber.isReady ? fiber : undefined;
    const word = bus.registersOf(cpu).base + CpuWord.BATON;
    const command = bus.i32[word] as Baton;
    if (command === Baton.BECOME) return undefined;
    bus.i32[word] = Baton.NONE;
    attach(fiber);
    this.#tell(fiber, bus.actor, command);
    return fiber;
  }
}
