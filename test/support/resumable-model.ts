/**
 * What compiled code (fibers/pass.ts) runs on in its tests: a small memory whose views log every operation, a schedule
 * that says which operations have to wait and where an interrupt comes, and a driver as in fibers/fibers.ts.
 *
 * A schedule is a list of choices, one for each operation in the order in which they begin, round and round. What is
 * compared is what a person could see: what was answered or thrown, and the log.
 */
import { inspect } from 'node:util';
import vm from 'node:vm';
import { transform } from 'esbuild';
import { arrays } from '#base/callbacks';
import { type Resumable, both, hold, notCallable, resumable, turn } from '#base/resumable';
import { type PassOptions, makeResumable } from '#fibers/pass';

export const Choice = {
  GO: 0,
  /** somebody else's turn comes first */
  PARK: 1,
  /** an interrupt is taken first */
  INTERRUPT: 2,
} as const;
export type Choice = (typeof Choice)[keyof typeof Choice];

const RUNTIME = 'smplab/resumable';
export const STRICT: PassOptions = {
  file: 'corpus.ts',
  runtime: { resumable: RUNTIME, callbacks: RUNTIME },
  strict: true,
  computed: true,
  loops: true,
};

/** Turns of loops and calls that a program may make. */
const FUEL = 300;
/** Steps of the driver in one run: more means that something is done again and again. */
const DRIVER_STEPS_MAX = 100_000;

/** The driver or the pass did what it must not; never what the code under test threw. */
export class ModelError extends Error {
  override readonly name = 'ModelError';
}

interface Field {
  readonly name: string;
  value: unknown;
}

/** Memory, and whoever decides whether an operation is done now. */
class Memory {
  readonly log: string[] = [];
  readonly #schedule: readonly Choice[];
  readonly #canPark: boolean;
  #begun = 0;
  #parked = '';
  #granted = false;
  isWatching = false;
  /** The interrupt handler as plain code, while none runs. */
  irq: (() => void) | undefined;
  inIrq = false;
  /** What the operation that parked has to wait for: an interrupt, or a fault. */
  pending: 'turn' | 'interrupt' | 'fault' = 'turn';

  constructor(schedule: readonly Choice[], canPark: boolean) {
    this.#schedule = schedule.length === 0 ? [Choice.GO] : schedule;
    this.#canPark = canPark;
  }

  /** True if the operation is to be done now. */
  step(what: string): boolean {
    if (this.isWatching) return true;
    if (resumable.parked) throw new ModelError(`${what}: an operation while ${this.#parked} is parked`);
    if (this.#granted) {
      this.#granted = false;
      if (what !== this.#parked)
        throw new ModelError(`${what} is done where ${this.#parked} had been granted`);
      return this.#faults(what);
    }
    const choice = this.#schedule[this.#begun++ % this.#schedule.length]!;
    const interrupts = choice === Choice.INTERRUPT && !this.inIrq && this.irq !== undefined;
    if (!this.#canPark) {
      if (interrupts) this.interrupt(() => this.irq!());
      return this.#faults(what);
    }
    if (choice === Choice.GO || (choice === Choice.INTERRUPT && !interrupts)) return this.#faults(what);
    this.#park(what, interrupts ? 'interrupt' : 'turn');
    return false;
  }

  #park(what: string, pending: Memory['pending']): void {
    this.#parked = what;
    this.pending = pending;
    resumable.parked = true;
  }

  #faults(what: string): boolean {
    if (!what.endsWith('.bad')) return true;
    this.log.push(`fault ${what}`);
    if (!this.#canPark) throw new RangeError('a fault');
    this.#park(what, 'fault');
    return false;
  }

  /** What is parked, for whoever interrupts it. */
  get parked(): string {
    return this.#parked;
  }

  /** What was parked may be done now. */
  grant(parked: string = this.#parked): void {
    this.#parked = parked;
    this.#granted = true;
  }

  interrupt(handler: () => void): void {
    this.inIrq = true;
    this.log.push('irq');
    try {
      handler();
    } finally {
      this.inIrq = false;
    }
  }

  read(field: Field): unknown {
    if (!this.step(`read ${field.name}`)) return Number.NaN;
    if (!this.isWatching) this.log.push(`read ${field.name} ${inspect(field.value)}`);
    return field.value;
  }

  write(field: Field, value: unknown): void {
    if (!this.step(`write ${field.name}`)) return;
    this.log.push(`write ${field.name} ${inspect(value)}`);
    field.value = value;
  }
}

/** One structure: its fields are accessors, as those of memory/struct.ts are. */
function viewOf(memory: Memory, name: string, initial: Readonly<Record<string, unknown>>): object {
  const view: object = { [inspect.custom]: () => `<${name}>` };
  const fieldOf = (key: string, value: unknown): Field => ({ name: `${name}.${key}`, value });
  const fields = new Map(Object.entries(initial).map(([key, value]) => [key, fieldOf(key, value)]));
  for (const [key, field] of fields) {
    Object.defineProperty(view, key, {
      get: () => memory.read(field),
      set: (value: unknown) => {
        memory.write(field, value);
      },
    });
  }
  /** A plain function that is one operation: adds, answers what was there. */
  const bump = (by: unknown): unknown => {
    const field = fields.get('x')!;
    if (!memory.step(`bump ${field.name}`)) return Number.NaN;
    memory.log.push(`bump ${field.name} ${inspect(by)}`);
    const before = field.value;
    field.value = (before as number) + Number(by);
    return before;
  };
  Object.defineProperty(view, 'bump', { value: bump });
  return view;
}

/** What the code under test finds around itself. */
function surroundings(memory: Memory): Record<string, unknown> {
  const c = viewOf(memory, 'c', { x: 5, y: 0, z: -1, w: 7n, length: 3, next: null, bad: 0 });
  const b = viewOf(memory, 'b', { x: 2, y: 9, z: 4, w: 1n << 40n, length: 1, next: c, bad: 0 });
  const a = viewOf(memory, 'a', { x: 1, y: 3, z: 8, w: 0n, length: 0, next: b, bad: 0 });
  const slots = viewOf(memory, 'slots', { 0: 10, 1: 20, 2: 30, 3: 40, length: 4, x: 0 });
  let fuel = FUEL;
  const look = (condition: () => unknown): unknown => {
    memory.isWatching = true;
    try {
      return condition();
    } finally {
      memory.isWatching = false;
    }
  };
  /** Somebody else writes to `a.y` until the condition holds. */
  const others = (): void => {
    memory.isWatching = true;
    (a as { y: number }).y++;
    memory.isWatching = false;
  };
  const waitUntil = (condition: () => unknown): void => {
    for (let looks = 0; look(condition) !== true && looks < 20; looks++) others();
    memory.log.push('waited');
  };
  both(waitUntil, function* twin(condition: () => unknown): Resumable {
    for (let looks = 0; look(condition) !== true && looks < 20; looks++) {
      yield;
      others();
    }
    memory.log.push('waited');
    return undefined;
  });
  return {
    a,
    b,
    c,
    slots,
    waitUntil,
    nothing: undefined,
    spend: () => {
      if (--fuel < 0) throw new Error('out of fuel');
    },
    log: (...values: readonly unknown[]) => {
      memory.log.push(`log ${values.map((value) => inspect(value)).join(' ')}`);
      return values[0];
    },
    poke: (view: { bump(by: unknown): unknown }, by: unknown) => view.bump(by),
  };
}

interface Loaded {
  readonly main: (...args: unknown[]) => unknown;
  readonly irq?: () => void;
}

/** A piece of code, ready to be run again and again. */
export class Program {
  readonly source: string;
  readonly plain: vm.Script;
  readonly compiled: vm.Script;
  readonly text: string;

  private constructor(source: string, plain: string, compiled: string) {
    this.source = source;
    this.plain = scriptOf(plain);
    this.compiled = scriptOf(compiled);
    this.text = compiled;
  }

  /** @param source TypeScript that declares main(), and irq() if it takes interrupts */
  static async make(source: string, options: PassOptions = STRICT): Promise<Program> {
    const compiled = await makeResumable(source, options);
    return new Program(source, await withoutTypes(source), await withoutTypes(compiled));
  }

  /** What it does as it stands. */
  runPlain(schedule: readonly Choice[], args: readonly unknown[] = []): Outcome {
    const memory = new Memory(schedule, false);
    return outcomeOf(memory, () => {
      const { main, irq } = loaded(this.plain, memory);
      memory.irq = irq;
      return main(...args);
    });
  }

  /** What the compiled code does where nobody can be suspended. */
  runPlainForm(schedule: readonly Choice[], args: readonly unknown[] = []): Outcome {
    const memory = new Memory(schedule, false);
    return outcomeOf(memory, () => {
      const { main, irq } = loaded(this.compiled, memory);
      memory.irq = irq;
      return main(...args);
    });
  }

  /** What the compiled code does as a fiber. */
  runResumable(schedule: readonly Choice[], args: readonly unknown[] = []): Outcome {
    const memory = new Memory(schedule, true);
    return outcomeOf(memory, () => {
      const { main, irq } = loaded(this.compiled, memory);
      memory.irq = irq;
      return drive(memory, main, irq, args);
    });
  }
}

export interface Outcome {
  readonly end: string;
  readonly log: readonly string[];
}

function outcomeOf(memory: Memory, run: () => unknown): Outcome {
  resumable.parked = false;
  resumable.held.length = 0;
  let end: string;
  try {
    end = `answers ${inspect(run(), { depth: 5 })}`;
  } catch (error) {
    if (error instanceof ModelError) throw error;
    end = `throws ${error instanceof Error ? `${error.name}: ${said(error.message)}` : inspect(error)}`;
  }
  if (resumable.parked) throw new ModelError('an operation was left undone');
  return { end, log: memory.log };
}

/** The engine's own words name what stands in the code, which is compiled. */
function said(message: string): string {
  const isEngines = /^Cannot (read|set|destructure) propert|is not (a function|iterable)/.test(message);
  return isEngines ? '(as the engine puts it)' : message;
}

function scriptOf(code: string): vm.Script {
  return new vm.Script(
    `(function (require, surroundings) { 'use strict';
      const { a, b, c, slots, waitUntil, nothing, spend, log, poke } = surroundings;
      ${code}
      return { main, irq: typeof irq === 'undefined' ? undefined : irq };\n})`,
  );
}

function loaded(script: vm.Script, memory: Memory): Loaded {
  const run = script.runInThisContext() as (require: () => object, around: object) => Loaded;
  return run(() => ({ resumable, hold, both, turn, notCallable, arrays }), surroundings(memory));
}

async function withoutTypes(code: string): Promise<string> {
  const { code: made } = await transform(code, {
    loader: 'ts',
    target: 'node20',
    // As explore/compile.ts has it.
    keepNames: true,
  });
  return made;
}

type Twin = (...args: readonly unknown[]) => Resumable;

/** Lets a function go on to its end, through every operation that has to wait. As in fibers/fibers.ts. */
function drive(
  memory: Memory,
  main: (...args: unknown[]) => unknown,
  irq: (() => void) | undefined,
  args: readonly unknown[],
): unknown {
  const { held } = resumable;
  const begin = (main as { $?: Twin }).$;
  if (begin === undefined) throw new ModelError('main has no twin');
  const stack: Resumable[] = [begin(...args)];
  /** How deep the stack is when the interrupt has returned, 0 = none runs. */
  let irqDepth = 0;
  let interrupted = '';
  let value: unknown;
  let hasThrown = false;
  for (let steps = 0; steps < DRIVER_STEPS_MAX; steps++) {
    if (irqDepth > 0 && stack.length === irqDepth) {
      irqDepth = 0;
      memory.inIrq = false;
      // What the interrupt threw goes through what it interrupted, whose operation is not done.
      if (!hasThrown) memory.grant(interrupted);
      if (!hasThrown) value = undefined;
    }
    const top = stack.at(-1)!;
    let result: IteratorResult<undefined, unknown>;
    try {
      result = hasThrown ? top.throw(value) : top.next(value);
    } catch (error) {
      stack.pop();
      held.length = 0;
      if (error instanceof ModelError) throw error;
      resumable.parked = false;
      value = error;
      hasThrown = true;
      if (stack.length === 0) throw error;
      continue;
    }
    hasThrown = false;
    if (result.done === true) {
      stack.pop();
      value = result.value;
      if (stack.length === 0) return value;
      continue;
    }
    for (let index = held.length - 1; index >= 0; index--) stack.push(held[index]!);
    held.length = 0;
    value = undefined;
    if (!resumable.parked) continue;
    resumable.parked = false;
    if (memory.pending === 'fault') {
      stack.push(fault());
    } else if (memory.pending === 'interrupt') {
      irqDepth = stack.length;
      interrupted = memory.parked;
      memory.inIrq = true;
      memory.log.push('irq');
      const handler = (irq as { $?: Twin }).$;
      if (handler === undefined) throw new ModelError('irq has no twin');
      stack.push(handler());
    } else memory.grant();
  }
  throw new ModelError('it does not end');
}

// oxlint-disable-next-line require-yield -- what takes a fault is a suspended call like any other
function* fault(): Resumable {
  throw new RangeError('a fault');
}
