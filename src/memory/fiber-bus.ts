/**
 * The deterministic bus of a CPU that shares its thread with all others (room fibers): where the baton goes to somebody
 * else it cannot block, so the operation is left undone and its caller is suspended (base/resumable.ts).
 */
import { assert } from '#base/assert';
import type { Actor, Policy } from '#base/strategy';
import { type Resumable, progress, resumable, twinOf } from '#base/resumable';
import { OpType } from '#trace/operations';
import type { BusClient } from './bus.ts';
import { DeterministicBus } from './deterministic-bus.ts';
import type { Baton } from './layout.ts';
import { CpuWord, type Geometry, Status } from './layout.ts';
import { AT_REST, NEEDS_DRAIN } from './scheduler-core.ts';

/** The CPUs of a machine that share a thread. */
export interface FiberGroup {
  /** That CPU's baton word was written: it goes on next. */
  wake(cpu: number): void;
  /** The bus of whoever is that CPU now looks at its condition again, on that CPU's behalf. */
  look(cpu: number): void;
}

interface Fault {
  readonly address: number;
  readonly size: number;
  readonly write: boolean;
}

/** Code that cannot be suspended performed an operation: nobody can say what it went on with. */
export class NotResumableError extends Error {
  constructor() {
    super(
      'shared memory was used where a CPU cannot be suspended: in a function that the host calls back, a getter, or a constructor. ' +
        'Write a loop instead, or search with --executor threads',
    );
    this.name = 'NotResumableError';
  }
}

export class FiberBus extends DeterministicBus {
  readonly #group: FiberGroup;
  /** Whom the policy chose in front of the step that is published. */
  #chosen: Actor = AT_REST;
  /** The step has been chosen: the operation that published it is done again now. */
  #granted = false;
  #fault: Fault | undefined;

  constructor(
    buffer: ArrayBufferLike,
    layout: Geometry,
    cpu: number,
    client: BusClient,
    policies: (number: number) => Policy,
    group: FiberGroup,
  ) {
    super(buffer, layout, cpu, client, policies);
    this.#group = group;
  }

  /** Whom the policy chose when this CPU parked in front of a step: an actor, or AT_REST. */
  get chosen(): Actor {
    return this.#chosen;
  }

  /** Whether it is a fault that parked this CPU, and not a step. */
  get hasFaulted(): boolean {
    return this.#fault !== undefined;
  }

  /** The fault that parked this CPU, as the code that takes it. */
  takeFault(): Resumable {
    const fault = this.#fault!;
    this.#fault = undefined;
    return twinOf(this.client.fault)!.call(this.client, fault.address, fault.size, fault.write);
  }

  /** What has to run until the operation that parked this CPU can be done again: it was somebody else's turn. */
  unpark(): Resumable {
    return twinOf(this.finishStep)!.call(this, this.#chosen);
  }

  /** The same where this CPU has been told what to do: it is in front of the step. */
  unparkWith(command: Baton): Resumable {
    return twinOf(this.continueStep)!.call(this, command);
  }

  /** The parked step is this CPU's now: the operation may be done again. */
  grant(): void {
    this.registers.set(CpuWord.STATUS, Status.RUNNING);
    this.#granted = true;
  }

  /** An interrupt of a CPU that is idle. */
  interrupt(command: Baton): Resumable {
    return twinOf(this.obey)!.call(this, command);
  }

  override beIdle(condition: () => boolean): void {
    super.beIdle(condition);
  }

  override endIdle(): void {
    super.endIdle();
  }

  /** The next command of this CPU, told without a choice of its own. */
  override commandFor(actor: Actor): Baton {
    return super.commandFor(actor);
  }

  /** A new run begins, and this CPU's stack is empty: it is idle, until its flow begins. */
  beginRun(idle: () => boolean): void {
    this.adoptRun();
    this.isIdle(idle);
    this.#granted = false;
    this.#fault = undefined;
  }

  /** The next step it asks for is the one that was parked. */
  protected override stepGranted(): void {
    this.#granted = true;
  }

  lookOnBehalf(): void {
    this.lookAgain();
  }

  override recheck(cpu: number): void {
    if (cpu === this.cpu) this.lookAgain();
    else this.#group.look(cpu);
  }

  protected override step(head: number, address: number, size: number, visible: boolean): boolean {
    if (this.isUnseen) return true;
    progress();
    if (this.#granted) {
      this.#granted = false;
      if (!this.#isPublished(head, address)) throw new NotResumableError();
      return true;
    }
    assert(!this.isWatching, 'DeterministicBus: a condition may only read');
    if (resumable.parked) {
      resumable.parked = false;
      throw new NotResumableError();
    }
    const { actor, core, registers } = this;
    core.publish(actor, head, address, size, visible);
    registers.set(CpuWord.STATUS, Status.READY);
    const chosen = core.decide();
    if (chosen === actor) {
      registers.set(CpuWord.STATUS, Status.RUNNING);
      return true;
    }
    this.#chosen = chosen;
    resumable.parked = true;
    return false;
  }

  /** Whether that is the step that was granted: what was parked has to be what is done again. */
  #isPublished(head: number, address: number): boolean {
    const { actor, core } = this;
    // By now the store buffer may have drained.
    const same = ((core.nextHead[actor]! ^ head) & ~NEEDS_DRAIN) === 0;
    // An interrupt flag is that of the CPU the task has been taken to meanwhile.
    return same && (core.nextAddress[actor] === address >>> 0 || (head & 0xff) === OpType.IRQ_FLAG);
  }

  protected override raiseFault(address: number, size: number, write: boolean): void {
    if (this.isWatching || this.isUnseen) super.raiseFault(address, size, write);
    this.#fault = { address, size, write };
    resumable.parked = true;
  }

  protected override handOver(cpu: number, command: Baton): void {
    this.i32[this.registersOf(cpu).base + CpuWord.BATON] = command;
    this.#group.wake(cpu);
  }
}
