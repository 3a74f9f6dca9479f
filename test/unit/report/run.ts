/** Short runs by hand, told as what CPUs do to named variables. */
import { type Actor, bufferActor, interruptActor, mainActor } from '#base/strategy';
import { AccessKind, EventType } from '#trace/events';
import { OpFlag, OpType } from '#trace/operations';
import type { Fact, Operation, Step } from '#trace/steps';
import type { InterleavingInput, InterleavingNames } from '#report/interleaving';

const DATA = 0x6000;
const TEXT = 0xc0100000;

/** Variables and functions get addresses as they are first named; memory remembers, so that "was" need not be told. */
export class Run {
  readonly steps: Step[] = [];
  readonly #variables: string[] = [];
  readonly #functions: string[] = [];
  readonly #values = new Map<string, number>();
  readonly #sites = new Map<Actor, string>();

  readonly names: InterleavingNames = {
    variable: (address) => this.#variables[(address - DATA) / 4] ?? `0x${address.toString(16)}`,
    symbol: (address) => this.#functions[(address - TEXT) / 16] ?? `0x${address.toString(16)}`,
  };

  get input(): InterleavingInput {
    return { steps: this.steps, names: this.names };
  }

  address(variable: string): number {
    if (!this.#variables.includes(variable)) this.#variables.push(variable);
    return DATA + this.#variables.indexOf(variable) * 4;
  }

  symbol(name: string): number {
    if (!this.#functions.includes(name)) this.#functions.push(name);
    return TEXT + this.#functions.indexOf(name) * 16;
  }

  /** What an actor does from here on, it does in this function. */
  site(actor: Actor, name: string): void {
    this.#sites.set(actor, name);
  }

  step(actor: Actor, type: OpType, over: Partial<Operation> = {}): Step {
    const site = this.#sites.get(actor);
    const operation: Operation = {
      type,
      kind: AccessKind.PLAIN,
      flags: OpFlag.VISIBLE,
      address: 0,
      size: 4,
      read: 0,
      written: 0,
      site: site === undefined ? 0 : this.symbol(site),
      ...over,
    };
    const index = this.steps.length;
    const all = { enabledLow: 0xff, enabledHigh: 0 };
    const step: Step = { index, actor, visible: true, ...all, operations: [operation], facts: [] };
    this.steps.push(step);
    return step;
  }

  load(cpu: number, variable: string, actor = mainActor(cpu)): number {
    const read = this.#values.get(variable) ?? 0;
    this.step(actor, OpType.LOAD, { address: this.address(variable), read });
    return read;
  }

  store(cpu: number, variable: string, written: number, actor = mainActor(cpu)): void {
    const read = this.#values.get(variable) ?? 0;
    this.step(actor, OpType.STORE, { address: this.address(variable), read, written });
    this.#values.set(variable, written);
  }

  acquire(cpu: number, lock: string): void {
    this.step(mainActor(cpu), OpType.ACQUIRE, { address: this.address(lock), read: 0, written: 1 });
    this.#values.set(lock, 1);
  }

  buffer(cpu: number, variable: string, written: number): void {
    this.step(mainActor(cpu), OpType.BUFFER, { address: this.address(variable), written });
  }

  flush(cpu: number, variable: string, written: number): void {
    this.step(bufferActor(cpu), OpType.FLUSH, { address: this.address(variable), written });
    this.#values.set(variable, written);
  }

  interrupt(cpu: number, body: () => void): void {
    this.step(interruptActor(cpu), OpType.IRQ_ENTRY, { address: this.address(`pending${cpu}`), read: 2 });
    body();
    // Part of the handler's last step.
    const end = this.step(interruptActor(cpu), OpType.IRQ_EXIT);
    this.steps.pop();
    (this.steps.at(-1)!.operations as Operation[]).push(...end.operations);
  }

  /** A fact about the last step. */
  fact(type: EventType, over: Partial<Fact> = {}): void {
    (this.steps.at(-1)!.facts as Fact[]).push({
      actor: this.steps.at(-1)!.actor,
      type,
      a: 0,
      b: 0,
      c: 0,
      d: 0,
      ...over,
    });
  }

  enter(name: string, b = 0): void {
    this.fact(EventType.FUNCTION_ENTRY, { a: this.symbol(name), b });
  }

  leave(name: string): void {
    this.fact(EventType.FUNCTION_EXIT, { a: this.symbol(name) });
  }

  /** What a CPU would do next, if it could: no step of the run. */
  blocked(cpu: number, type: OpType, variable: string): Step {
    const step = this.step(mainActor(cpu), type, { address: this.address(variable) });
    this.steps.pop();
    return { ...step, index: this.steps.length + cpu };
  }
}
