/**
 * What a litmus test may do, by brute force: every state of an abstract multiprocessor that can be reached, visited
 * once. Nothing of the machine is in it, so that the machine can be checked against it.
 *
 * `tso` is the abstract machine of Owens, Sarkar and Sewell, "A better x86 memory model: x86-TSO" (2009): a FIFO of
 * stores for each thread, a load reads the newest of its own or else memory, locked instructions and mfence wait until
 * the FIFO is empty. `sc` is the same without the FIFOs (Lamport, 1979). A load that meets a buffered store which covers
 * only part of it waits until that store is in memory.
 *
 * A state holds the whole past as far as it can be seen: what each thread was answered, which store it read, and the
 * order of stores. So paths join only when they are the same execution, and executions are counted as herd counts them.
 */
import { applyRmw, type RmwOperation } from '#litmus/alu';
import { ExecutionRecorder } from '#litmus/execution-key';
import type { LitmusBus } from '#litmus/bus';
import type { ThreadEnd } from '#litmus/interpreter';
import { runThread } from '#litmus/run-thread';
import { initialMemory, layoutOf, type LitmusLayout, registerWords } from '#litmus/layout';
import { finalState, type LitmusVerdict, type MemoryModel, Outcomes } from '#litmus/outcome';
import type { LitmusProgram, OperandSize, Value } from '#litmus/program';

type Operation =
  | { readonly kind: 'load'; readonly address: number; readonly size: OperandSize }
  | { readonly kind: 'store'; readonly address: number; readonly size: OperandSize; readonly value: Value }
  | {
      readonly kind: 'rmw';
      readonly operation: RmwOperation;
      readonly address: number;
      readonly size: OperandSize;
      readonly operand: Value;
      readonly expected: Value;
    }
  | { readonly kind: 'fence' };

/** What happened: by a thread (its next operation), or to a thread (its oldest store reaches memory). */
interface Step {
  readonly thread: number;
  readonly flush: boolean;
}

interface Store {
  readonly address: number;
  readonly size: OperandSize;
  readonly value: Value;
  readonly name: number;
}

/** The past, played from the start: small programs make that cheap, and nothing has to be copied right. */
class World {
  readonly answers: Value[][];
  readonly buffers: Store[][];
  readonly memory: Uint8Array;
  readonly recorder: ExecutionRecorder;
  constructor(threads: number, memory: Uint8Array) {
    this.answers = Array.from({ length: threads }, () => []);
    this.buffers = Array.from({ length: threads }, () => []);
    this.memory = memory;
    this.recorder = new ExecutionRecorder();
  }
}

class Pending extends Error {
  readonly operation: Operation;
  constructor(operation: Operation) {
    super('pending');
    this.operation = operation;
  }
}

type Next = { readonly operation: Operation } | { readonly end: ThreadEnd; readonly registers: Int32Array };

export interface ModelResult {
  readonly verdict: LitmusVerdict;
  /** No thread ran out of its limits: no final state is missing. */
  readonly complete: boolean;
  readonly statesVisited: number;
}

/** @throws {Error} for a fault of a thread, and when there are more than `statesMax` states */
export function enumerateLitmus(
  program: LitmusProgram,
  model: MemoryModel,
  statesMax = 300_000,
): ModelResult {
  return new Enumeration(program, model, statesMax).run();
}

class Enumeration {
  readonly #program: LitmusProgram;
  readonly #model: MemoryModel;
  readonly #statesMax: number;
  readonly #layout: LitmusLayout;
  readonly #seen = new Set<string>();
  readonly #nexts = new Map<string, Next>();
  readonly #outcomes: Outcomes;
  #complete = true;

  constructor(program: LitmusProgram, model: MemoryModel, statesMax: number) {
    this.#program = program;
    this.#model = model;
    this.#statesMax = statesMax;
    this.#layout = layoutOf(program);
    this.#outcomes = new Outcomes(program);
  }

  run(): ModelResult {
    const open: Step[][] = [[]];
    for (let path = open.pop(); path !== undefined; path = open.pop()) {
      const world = this.#play(path);
      const name = this.#nameOf(world);
      if (this.#seen.has(name)) continue;
      this.#seen.add(name);
      if (this.#seen.size > this.#statesMax) throw new Error(`more than ${this.#statesMax} states`);
      for (const step of this.#enabled(world)) open.push([...path, step]);
    }
    return { verdict: this.#outcomes.verdict(), complete: this.#complete, statesVisited: this.#seen.size };
  }

  #play(path: readonly Step[]): World {
    const program = this.#program;
    const world = new World(program.threads.length, initialMemory(program, this.#layout));
    for (const { thread, flush } of path) {
      if (flush) this.#flush(world, thread);
      else this.#execute(world, thread);
    }
    return world;
  }

  #nameOf(world: World): string {
    const buffers = world.buffers.map((each) => each.map(({ name }) => name).join()).join('|');
    // The answers matter beside the key: a fence leaves no other mark.
    return `${world.answers.map((each) => each.join()).join('|')};${buffers};${world.recorder.key()}`;
  }

  /** Steps that are possible; takes the final state when there is nothing left to do. */
  #enabled(world: World): Step[] {
    const steps: Step[] = [];
    const ends: Int32Array[] = [];
    for (let thread = 0; thread < world.answers.length; thread++) {
      const next = this.#next(world, thread);
      if ('end' in next) {
        if (next.end.kind === 'fault') throw new Error(next.end.message);
        if (next.end.kind === 'limit') this.#complete = false;
        // A thread that is cut short makes no final state, whatever the others do.
        if (next.end.kind !== 'done') return [];
        ends.push(next.registers);
      } else if (this.#possible(world, thread, next.operation)) steps.push({ thread, flush: false });
      if (world.buffers[thread]!.length > 0) steps.push({ thread, flush: true });
    }
    if (steps.length === 0) this.#finish(world, ends);
    return steps;
  }

  #finish(world: World, ends: readonly Int32Array[]): void {
    const registers = new Int32Array(ends.length * registerWords(this.#program));
    ends.forEach((each, thread) => registers.set(each, thread * registerWords(this.#program)));
    const state = finalState(this.#program, this.#layout, world.memory, registers);
    this.#outcomes.add(state, world.recorder.key());
  }

  #possible(world: World, thread: number, operation: Operation): boolean {
    const buffer = world.buffers[thread]!;
    if (operation.kind === 'rmw' || operation.kind === 'fence') return buffer.length === 0;
    if (operation.kind === 'store') return true;
    const newest = newestOverlap(buffer, operation);
    return newest === undefined || covers(newest, operation);
  }

  /** Runs the thread from its start on the answers it got, up to the first operation that has none. */
  #next(world: World, thread: number): Next {
    const answers = world.answers[thread]!;
    const name = `${thread}:${answers.join()}`;
    let next = this.#nexts.get(name);
    if (next === undefined) this.#nexts.set(name, (next = this.#runThread(thread, answers)));
    return next;
  }

  #runThread(thread: number, answers: readonly Value[]): Next {
    let at = 0;
    const ask = (operation: Operation): Value => {
      if (at === answers.length) throw new Pending(operation);
      return answers[at++]!;
    };
    const bus: LitmusBus = {
      load: (address, size) => ask({ kind: 'load', address, size }),
      store: (address, size, value) => void ask({ kind: 'store', address, size, value }),
      rmw: (operation, address, size, operand, expected) =>
        ask({ kind: 'rmw', operation, address, size, operand, expected }),
      fence: () => void ask({ kind: 'fence' }),
    };
    const registers = new Int32Array(registerWords(this.#program));
    try {
      return { end: runThread(this.#program, thread, bus, registers, this.#layout), registers };
    } catch (error) {
      if (error instanceof Pending) return { operation: error.operation };
      throw error;
    }
  }

  #execute(world: World, thread: number): void {
    const next = this.#next(world, thread);
    if ('end' in next) throw new Error('the thread has ended');
    const { operation } = next;
    const { recorder } = world;
    const answer = (value: Value): void => void world.answers[thread]!.push(value);
    switch (operation.kind) {
      case 'fence':
        return answer(0);
      case 'store': {
        const store = { ...operation, name: recorder.nextStore(thread) };
        if (this.#model === 'tso') world.buffers[thread]!.push(store);
        else intoMemory(world, store);
        return answer(0);
      }
      case 'load': {
        const newest = newestOverlap(world.buffers[thread]!, operation);
        if (newest === undefined) {
          recorder.readMemory(thread, operation.address, operation.size);
          return answer(fromMemory(world, operation.address, operation.size));
        }
        recorder.readForwarded(thread, operation.size, newest.name);
        return answer(part(newest, operation.address, operation.size));
      }
      case 'rmw': {
        const { address, size } = operation;
        const old = fromMemory(world, address, size);
        recorder.readMemory(thread, address, size);
        const value = applyRmw(operation.operation, size, old, operation.operand, operation.expected);
        intoMemory(world, { address, size, value, name: recorder.nextStore(thread) });
        return answer(old);
      }
    }
  }

  #flush(world: World, thread: number): void {
    intoMemory(world, world.buffers[thread]!.shift()!);
  }
}

interface Range {
  readonly address: number;
  readonly size: number;
}

function newestOverlap(buffer: readonly Store[], { address, size }: Range): Store | undefined {
  return buffer.findLast((store) => store.address < address + size && address < store.address + store.size);
}

function covers(store: Store, { address, size }: Range): boolean {
  return store.address <= address && address + size <= store.address + store.size;
}

function sized(bits: bigint, size: OperandSize): Value {
  const low = BigInt.asUintN(size * 8, bits);
  return size === 8 ? low : Number(low);
}

function part(store: Store, address: number, size: OperandSize): Value {
  return sized(BigInt(store.value) >> BigInt(8 * (address - store.address)), size);
}

function fromMemory(world: World, address: number, size: OperandSize): Value {
  let bits = 0n;
  for (let byte = size - 1; byte >= 0; byte--) bits = (bits << 8n) | BigInt(world.memory[address + byte]!);
  return sized(bits, size);
}

function intoMemory(world: World, { address, size, value, name }: Store): void {
  for (let byte = 0; byte < size; byte++) {
    world.memory[address + byte] = Number((BigInt(value) >> BigInt(8 * byte)) & 0xffn);
  }
  world.recorder.write(address, size, name);
}
