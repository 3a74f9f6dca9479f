/** Operation logs by hand: what flows do to named variables, in the order in which they do it. */
import { type Actor, Flow, bufferActor, cpuOf, flowOf, interruptActor, mainActor } from '#base/strategy';
import { AccessKind, EventType, LockKind, LockOperation } from '#trace/events';
import { OP_WORDS, OpFlag, OpType, type OperationLog, opHead } from '#trace/operations';
import type { Names } from '#checkers/finding';

/** Variables lie a cache line apart, so that a test that wants neighbours says so: `at('x') + 1`. */
const DATA = 0x2000;
const LINE = 64;
const TEXT = 0xc0100000;
const PENDING = 0x1000;
const VECTOR = 2;

type Where = string | number;

interface Details {
  readonly kind?: AccessKind;
  readonly size?: number;
  readonly flags?: number;
}

export class LogBuilder {
  readonly #words: number[] = [];
  readonly #variables: string[] = [];
  readonly #functions: string[] = [];
  readonly #values = new Map<number, number>();
  readonly #flows = new Map<Actor, FlowBuilder>();
  readonly #buffers = new Map<
    number,
    { address: number; value: number; size: number; site: number; kind: number }[]
  >();

  readonly names: Names = {
    variable: (address) => {
      const name = this.#variables[Math.floor((address - DATA) / LINE)];
      if (name === undefined) return `0x${address.toString(16)}`;
      const offset = (address - DATA) % LINE;
      return offset === 0 ? name : `${name}+${offset}`;
    },
    symbol: (address) => (address === 0 ? 'scenario' : (this.#functions[(address - TEXT) / 16] ?? 'unknown')),
  };

  at(variable: Where): number {
    if (typeof variable === 'number') return variable;
    if (!this.#variables.includes(variable)) this.#variables.push(variable);
    return DATA + this.#variables.indexOf(variable) * LINE;
  }

  code(name: string): number {
    if (!this.#functions.includes(name)) this.#functions.push(name);
    return TEXT + this.#functions.indexOf(name) * 16;
  }

  cpu(cpu: number): FlowBuilder {
    return this.flow(mainActor(cpu));
  }

  irq(cpu: number): FlowBuilder {
    return this.flow(interruptActor(cpu));
  }

  flow(actor: Actor): FlowBuilder {
    const known = this.#flows.get(actor);
    if (known !== undefined) return known;
    const made = new FlowBuilder(this, actor);
    this.#flows.set(actor, made);
    return made;
  }

  value(address: number): number {
    return this.#values.get(address) ?? 0;
  }

  poke(address: number, value: number): void {
    this.#values.set(address, value);
  }

  append(
    actor: Actor,
    type: number,
    kind: number,
    flags: number,
    words: readonly number[],
    site: number,
  ): void {
    this.#words.push(opHead(type, kind, flags, actor), ...words, site, 0, 0);
  }

  queue(cpu: number): { address: number; value: number; size: number; site: number; kind: number }[] {
    const queue = this.#buffers.get(cpu) ?? [];
    this.#buffers.set(cpu, queue);
    return queue;
  }

  /** The oldest buffered store of a CPU reaches memory. */
  flush(cpu: number): this {
    const { address, value, size, site, kind } = this.queue(cpu).shift()!;
    this.append(bufferActor(cpu), OpType.FLUSH, kind, 0, [address, size, this.value(address), value], site);
    this.poke(address, value);
    return this;
  }

  build(): OperationLog {
    const records = this.#words.length / OP_WORDS;
    return { words: Int32Array.from(this.#words), records };
  }
}

/** One flow; every method is one record and answers the flow again. */
export class FlowBuilder {
  readonly #log: LogBuilder;
  readonly #actor: Actor;
  #site = 0;
  #flags = 0;

  constructor(log: LogBuilder, actor: Actor) {
    this.#log = log;
    this.#actor = actor;
  }

  /** What comes now, comes in this function. */
  in(name: string): this {
    this.#site = this.#log.code(name);
    return this;
  }

  /** Interrupts off, without a step, as `popf` would. */
  irqsOff(): this {
    this.#flags |= OpFlag.IRQS_OFF;
    return this;
  }

  /** `cli`, a step. */
  cli(): this {
    return this.#add(OpType.IRQ_FLAG, PENDING + cpuOf(this.#actor) * 4, 1, 0, {}).irqsOff();
  }

  /** `sti`: no step. */
  irqsOn(): this {
    this.#flags &= ~OpFlag.IRQS_OFF;
    return this;
  }

  read(variable: Where, details: Details = {}): this {
    const address = this.#log.at(variable);
    return this.#add(OpType.LOAD, address, this.#log.value(address), 0, details);
  }

  write(variable: Where, value: number, details: Details = {}): this {
    const address = this.#log.at(variable);
    this.#add(OpType.STORE, address, this.#log.value(address), value, details);
    this.#log.poke(address, value);
    return this;
  }

  rmw(variable: Where, value: number): this {
    return this.#readWrite(OpType.RMW, variable, value);
  }

  /** The operation that takes a lock. */
  acquire(variable: Where): this {
    return this.#readWrite(OpType.ACQUIRE, variable, 1);
  }

  release(variable: Where, value = 0): this {
    return this.write(variable, value, { kind: AccessKind.RELEASE });
  }

  await(variable: Where, kind: AccessKind = AccessKind.ONCE): this {
    const address = this.#log.at(variable);
    return this.#add(OpType.AWAIT, address, this.#log.value(address), 0, { kind });
  }

  fence(): this {
    return this.#add(OpType.FENCE, 0, 0, 0, { size: 0 });
  }

  /** tso: a store enters the buffer; `flush` of the log takes it to memory. */
  buffer(variable: Where, value: number, details: Details = {}): this {
    const address = this.#log.at(variable);
    const { size = 4, kind = AccessKind.PLAIN } = details;
    this.#log.queue(cpuOf(this.#actor)).push({ address, value, size, kind, site: this.#site });
    return this.#add(OpType.BUFFER, address, 0, value, details);
  }

  ipi(cpu: number, bits = VECTOR): this {
    return this.#add(OpType.IPI, PENDING + cpu * 4, cpu, bits, { kind: AccessKind.RMW });
  }

  /** An interrupt begins: interrupts are off in its flow. */
  enter(): this {
    this.irqsOff();
    return this.#add(OpType.IRQ_ENTRY, PENDING + cpuOf(this.#actor) * 4, VECTOR, 0, { kind: AccessKind.RMW });
  }

  exit(): this {
    return this.#add(OpType.IRQ_EXIT, PENDING + cpuOf(this.#actor) * 4, 0, 0, { flags: OpFlag.CONTINUES });
  }

  start(): this {
    return this.#add(OpType.START, 0, 0, 0, { size: 0 });
  }

  end(): this {
    return this.#add(OpType.END, 0, 0, 0, { size: 0, flags: OpFlag.CONTINUES });
  }

  /** `spin_lock`: the operation and what lockdep hears of it. */
  lock(variable: Where, tried = 0): this {
    return this.acquire(variable).locked(variable, tried);
  }

  locked(variable: Where, tried = 0): this {
    return this.event(
      EventType.LOCK,
      this.#log.at(variable),
      LockOperation.ACQUIRED,
      LockKind.SPINLOCK,
      tried,
    );
  }

  unlock(variable: Where): this {
    this.event(EventType.LOCK, this.#log.at(variable), LockOperation.RELEASED, LockKind.SPINLOCK);
    return this.release(variable);
  }

  contended(variable: Where): this {
    return this.event(EventType.LOCK, this.#log.at(variable), LockOperation.CONTENDED);
  }

  allocate(variable: Where, size: number, cache: Where = 0): this {
    return this.event(EventType.ALLOCATION, this.#log.at(variable), size, this.#log.at(cache), 1);
  }

  free(variable: Where, size: number, cache: Where = 0): this {
    return this.event(EventType.ALLOCATION, this.#log.at(variable), size, this.#log.at(cache), 0);
  }

  taskArrives(task: Where, pid: number): this {
    return this.event(EventType.TASK, this.#log.at(task), pid, 1);
  }

  taskLeaves(task: Where, pid: number, ended = false): this {
    return this.event(EventType.TASK, this.#log.at(task), pid, 0, ended ? 1 : 0);
  }

  event(type: EventType, a: number, b = 0, c = 0, d = 0): this {
    this.#log.append(
      this.#actor,
      OpType.EVENT + type,
      0,
      this.#context() | OpFlag.CONTINUES,
      [a, b, c, d],
      this.#site,
    );
    return this;
  }

  #readWrite(type: OpType, variable: Where, value: number): this {
    const address = this.#log.at(variable);
    this.#add(type, address, this.#log.value(address), value, { kind: AccessKind.RMW });
    this.#log.poke(address, value);
    return this;
  }

  #add(type: OpType, address: number, read: number, written: number, details: Details): this {
    const { kind = AccessKind.PLAIN, size = 4, flags = OpFlag.VISIBLE } = details;
    this.#log.append(
      this.#actor,
      type,
      kind,
      flags | this.#context(),
      [address, size, read, written],
      this.#site,
    );
    return this;
  }

  #context(): number {
    return this.#flags | (flowOf(this.#actor) === Flow.INTERRUPT ? OpFlag.HARDIRQ : 0);
  }
}
