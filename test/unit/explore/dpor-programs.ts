/** Programs whose traces can be counted, and programs by chance. */
import * as fc from 'fast-check';
import type { ModelOptions } from '../../support/model-machine.ts';
import { type FlowBody, ModelMachine, type ModelOps } from '../../support/model-machine.ts';
import { type ModelRequest, OWN_PENDING, type Startup } from '../../support/model-program.ts';
import { DporSearch } from '#explore/dpor';
import { enumerateAll } from '#explore/dpor-enumerate';
import { type RunResult, RunStop } from '#explore/executor';
import { Fingerprints } from '#explore/happens-before';
import { runSearch } from '#explore/search';
import { STARTUP_SIGNALS } from '#trace/operations';

const X = 0x100;
const word = (index: number): number => X + index * 4;

/** One operation of a program by chance. */
export type Toy =
  | { readonly op: 'load' | 'add' | 'swap'; readonly word: number }
  | { readonly op: 'store' | 'await' | 'fail-if'; readonly word: number; readonly value: number }
  | { readonly op: 'await2'; readonly word: number; readonly other: number; readonly value: number }
  | { readonly op: 'either'; readonly word: number; readonly other: number }
  | { readonly op: 'fence' | 'off' | 'on' }
  | { readonly op: 'lock'; readonly lock: number; readonly body: readonly Toy[] }
  | { readonly op: 'ipi'; readonly cpu: number }
  | { readonly op: 'startup'; readonly cpu: number; readonly what?: Startup }
  | { readonly op: 'await-for'; readonly word: number; readonly value: number; readonly time: number }
  | { readonly op: 'drop' }
  | { readonly op: 'leave'; readonly wants: number; readonly word: number; readonly value: number }
  | { readonly op: 'leave-or-start'; readonly wants: number }
  | { readonly op: 'adopt'; readonly fits: boolean }
  | { readonly op: 'take' }
  | { readonly op: 'load-part' | 'store-part'; readonly byte: number; readonly size: 1 | 2 }
  | { readonly op: 'load-bytes' | 'fill' | 'copy'; readonly word: number; readonly words: number };

export interface ToyProgram {
  readonly flows: readonly (readonly Toy[])[];
  readonly off?: readonly number[];
  readonly shut?: boolean;
  readonly handlers: readonly {
    readonly cpu: number;
    readonly pending: boolean;
    readonly preempts: readonly Toy[];
    /** As the kernel's reschedule interrupt: the handler looks whether a thread waits, and so does the thread when it begins. */
    readonly looks?: boolean;
    readonly body: readonly Toy[];
  }[];
}

const WORDS = 2;
const anyWord = fc.nat({ max: WORDS - 1 });
const value = fc.integer({ min: 1, max: 2 });

function plain(): fc.Arbitrary<Toy> {
  return fc.oneof(
    { weight: 4, arbitrary: fc.record({ op: fc.constant('load' as const), word: anyWord }) },
    { weight: 5, arbitrary: fc.record({ op: fc.constant('store' as const), word: anyWord, value }) },
    {
      weight: 2,
      arbitrary: fc.record({ op: fc.constantFrom('add' as const, 'swap' as const), word: anyWord }),
    },
    { weight: 1, arbitrary: fc.constant({ op: 'fence' as const }) },
  );
}

function waits(): fc.Arbitrary<Toy> {
  return fc.oneof(
    fc.record({ op: fc.constant('await' as const), word: anyWord, value: fc.integer({ min: 0, max: 2 }) }),
    fc.record({
      op: fc.constant('await2' as const),
      word: anyWord,
      other: anyWord,
      value: fc.integer({ min: 0, max: 3 }),
    }),
    fc.record({ op: fc.constant('either' as const), word: anyWord, other: anyWord }),
    fc.record({
      op: fc.constant('await-for' as const),
      word: anyWord,
      value: fc.integer({ min: 0, max: 2 }),
      time: fc.integer({ min: 1, max: 2 }),
    }),
  );
}

function locked(): fc.Arbitrary<Toy> {
  return fc.record({
    op: fc.constant('lock' as const),
    lock: fc.nat({ max: 1 }),
    body: fc.array(fc.oneof({ weight: 3, arbitrary: plain() }, { weight: 1, arbitrary: nested() }), {
      maxLength: 2,
    }),
  });
}

function nested(): fc.Arbitrary<Toy> {
  return fc.record({
    op: fc.constant('lock' as const),
    lock: fc.nat({ max: 1 }),
    body: fc.array(plain(), { maxLength: 1 }),
  });
}

function operations(toy: Toy): number {
  return toy.op === 'lock' ? 2 + toy.body.reduce((sum, one) => sum + operations(one), 0) : 1;
}

function size({ flows, handlers }: ToyProgram): number {
  return [...flows.flat(), ...handlers.flatMap(({ body, preempts }) => [...body, ...preempts])].reduce(
    (sum, toy) => sum + operations(toy),
    0,
  );
}

/** Programs of at most `most` operations over two or three flows; with `failing`, some end the run at what they read. */
export function anyProgram(most: number, withInterrupts: boolean, failing = 0): fc.Arbitrary<ToyProgram> {
  const main = fc.oneof(
    {
      weight: failing,
      arbitrary: fc.record({ op: fc.constant('fail-if' as const), word: anyWord, value: fc.nat({ max: 2 }) }),
    },
    { weight: 8, arbitrary: plain() },
    { weight: 2, arbitrary: locked() },
    { weight: 2, arbitrary: waits() },
    ...(withInterrupts
      ? [
          { weight: 1, arbitrary: fc.constantFrom<Toy>({ op: 'off' }, { op: 'on' }) },
          { weight: 2, arbitrary: fc.constantFrom<Toy>({ op: 'ipi', cpu: 0 }, { op: 'startup', cpu: 0 }) },
          { weight: 1, arbitrary: fc.constant<Toy>({ op: 'drop' }) },
        ]
      : []),
  );
  const flow = fc.array(main, { minLength: 1, maxLength: 4 });
  const handler = fc.record({
    cpu: fc.constant(0),
    pending: fc.boolean(),
    body: fc.array(plain(), { minLength: 1, maxLength: 2 }),
    preempts: fc.oneof(
      fc.constant([]),
      fc.array(fc.oneof({ weight: 3, arbitrary: plain() }, { weight: 1, arbitrary: locked() }), {
        maxLength: 2,
      }),
    ),
  });
  return fc
    .record({
      flows: fc.array(flow, { minLength: 2, maxLength: 3 }),
      handlers: withInterrupts ? fc.array(handler, { minLength: 1, maxLength: 1 }) : fc.constant([]),
    })
    .filter((program) => size(program) <= most);
}

const LOOK: Toy = { op: 'load', word: 4 };

/**
 * Programs in which CPUs interrupt each other: up to two handlers, on two CPUs, that may let interrupts in and raise others, and
 * what they let in waits, too.
 */
export function anyBusyProgram(most: number): fc.Arbitrary<ToyProgram> {
  const raises = fc.record({ op: fc.constant('ipi' as const), cpu: fc.nat({ max: 1 }) });
  const main = fc.oneof(
    { weight: 5, arbitrary: plain() },
    { weight: 1, arbitrary: locked() },
    { weight: 3, arbitrary: waits() },
    { weight: 3, arbitrary: raises },
    { weight: 1, arbitrary: fc.constantFrom<Toy>({ op: 'off' }, { op: 'on' }, { op: 'drop' }) },
  );
  // The handler of CPU 0 may raise CPU 1's; round and round they would never end.
  const raisesOn = { weight: 1, arbitrary: fc.constant<Toy>({ op: 'ipi', cpu: 1 }) };
  const handler = (cpu: number): fc.Arbitrary<ToyProgram['handlers'][number]> => {
    const on = cpu === 0 ? [raisesOn] : [];
    const inHandler = fc.oneof(
      { weight: 4, arbitrary: plain() },
      { weight: 1, arbitrary: fc.constant<Toy>({ op: 'on' }) },
      ...on,
    );
    const onTop = fc.oneof(
      { weight: 3, arbitrary: plain() },
      { weight: 1, arbitrary: locked() },
      { weight: 2, arbitrary: waits() },
      ...on,
    );
    return fc.record({
      cpu: fc.constant(cpu),
      looks: fc.constant(true),
      pending: fc.boolean(),
      body: fc.array(inHandler, { maxLength: 2 }),
      preempts: fc.oneof(fc.constant([]), fc.array(onTop, { minLength: 1, maxLength: 2 })),
    });
  };
  return fc
    .record({
      flows: fc.array(fc.array(main, { minLength: 1, maxLength: 3 }), { minLength: 2, maxLength: 2 }),
      // Every CPU has a handler, so that every interrupt has one.
      handlers: fc.tuple(handler(0), handler(1)).map((both) => [...both]),
    })
    .filter((program) => size(program) <= most);
}

/** Programs whose flows change CPUs: they ask for another, on which some flow has nothing to do, or stay for a reason. */
export function anyMovingProgram(most: number, withInterrupts: boolean): fc.Arbitrary<ToyProgram> {
  const wants = fc.constantFrom(7, 7, 6, 5, 3, 2, 4, 1);
  const leaves = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        op: fc.constant('leave' as const),
        wants,
        word: anyWord,
        value: fc.integer({ min: 0, max: 3 }),
      }),
    },
    {
      weight: withInterrupts ? 2 : 0,
      arbitrary: fc.record({ op: fc.constant('leave-or-start' as const), wants }),
    },
  );
  const takes = fc.oneof(
    { weight: 3, arbitrary: fc.record({ op: fc.constant('adopt' as const), fits: fc.boolean() }) },
    { weight: 1, arbitrary: fc.constant<Toy>({ op: 'take' }) },
  );
  const raises = fc.oneof(
    fc.record({ op: fc.constant('ipi' as const), cpu: fc.nat({ max: 1 }) }),
    fc.record({ op: fc.constant('startup' as const), cpu: fc.nat({ max: 2 }) }),
  );
  const main = fc.oneof(
    { weight: 5, arbitrary: plain() },
    { weight: 1, arbitrary: locked() },
    { weight: 1, arbitrary: waits() },
    { weight: 3, arbitrary: leaves },
    { weight: 4, arbitrary: takes },
    { weight: withInterrupts ? 4 : 0, arbitrary: raises },
  );
  const handler = (cpu: number): fc.Arbitrary<ToyProgram['handlers'][number]> =>
    fc.record({
      cpu: fc.constant(cpu),
      looks: fc.constant(true),
      pending: fc.constant(false),
      body: fc.array(plain(), { maxLength: 1 }),
      preempts: fc.oneof(
        { weight: 2, arbitrary: fc.constant([]) },
        {
          weight: 1,
          arbitrary: fc.array(fc.oneof(plain(), leaves), { minLength: 1, maxLength: 2 }),
        },
      ),
    });
  return fc
    .record({
      flows: fc.array(fc.array(main, { minLength: 1, maxLength: 4 }), { minLength: 2, maxLength: 3 }),
      handlers: withInterrupts ? fc.tuple(handler(0), handler(1)).map((both) => [...both]) : fc.constant([]),
    })
    .filter((program) => size(program) <= most && moves(program))
    .map((program) => ({
      ...program,
      // What comes on top of a flow that has not begun would move without it.
      shut: true,
      flows: program.flows.map((flow) => flow.map((toy) => within(toy, program.flows.length))),
    }));
}

function moves({ flows, handlers }: ToyProgram): boolean {
  const all = [...flows.flat(), ...handlers.flatMap(({ preempts }) => preempts)];
  return (
    all.some(({ op }) => op.startsWith('leave')) && all.some(({ op }) => op === 'adopt' || op === 'take')
  );
}

/** What a program with fewer CPUs may ask for. */
function within(toy: Toy, cpus: number): Toy {
  return toy.op === 'startup' || toy.op === 'ipi' ? { ...toy, cpu: toy.cpu % cpus } : toy;
}

/** Programs that use parts of words, and many at once, beside whole ones. */
export function anySizedProgram(most: number): fc.Arbitrary<ToyProgram> {
  const part = fc.record({
    op: fc.constantFrom('load-part' as const, 'store-part' as const, 'store-part' as const),
    byte: fc.nat({ max: 3 }),
    size: fc.constantFrom(1 as const, 2 as const),
  });
  const bytes = fc.record({
    op: fc.constantFrom('load-bytes' as const, 'fill' as const, 'copy' as const),
    word: anyWord,
    words: fc.integer({ min: 1, max: 2 }),
  });
  const main = fc.oneof(
    { weight: 4, arbitrary: part },
    { weight: 3, arbitrary: bytes },
    { weight: 4, arbitrary: plain() },
    { weight: 1, arbitrary: waits() },
    { weight: 1, arbitrary: locked() },
  );
  const flow = fc.array(main, { minLength: 1, maxLength: 3 });
  return fc
    .record({ flows: fc.array(flow, { minLength: 2, maxLength: 3 }), handlers: fc.constant([]) })
    .filter((program) => size(program) <= most);
}

/** Programs in which CPU 1 is off, and another starts it, perhaps in pieces, perhaps again. */
export function anyStartingProgram(most: number): fc.Arbitrary<ToyProgram> {
  const starts = fc.record({
    op: fc.constant('startup' as const),
    cpu: fc.constant(1),
    what: fc.constantFrom<Startup>('both', 'both', 'init', 'sipi', 'sipi'),
  });
  const raises = fc.record({ op: fc.constant('ipi' as const), cpu: fc.nat({ max: 1 }) });
  const main = fc.oneof(
    { weight: 4, arbitrary: plain() },
    { weight: 1, arbitrary: locked() },
    { weight: 2, arbitrary: waits() },
    { weight: 2, arbitrary: raises },
    { weight: 1, arbitrary: fc.constantFrom<Toy>({ op: 'off' }, { op: 'on' }, { op: 'drop' }) },
  );
  const starter = fc.oneof({ weight: 2, arbitrary: main }, { weight: 3, arbitrary: starts });
  const late = fc.oneof(
    { weight: 3, arbitrary: main },
    { weight: 2, arbitrary: fc.constant<Toy>({ op: 'on' }) },
  );
  const body = fc.array(plain(), { minLength: 1, maxLength: 2 });
  const handler = (cpu: number): fc.Arbitrary<ToyProgram['handlers'][number]> =>
    fc.record({ cpu: fc.constant(cpu), pending: fc.constant(false), body, preempts: fc.constant([]) });
  return fc
    .record({
      flows: fc.tuple(
        fc.array(starter, { minLength: 1, maxLength: 4 }),
        fc.array(late, { minLength: 1, maxLength: 3 }),
        fc.array(starter, { minLength: 0, maxLength: 2 }),
      ),
      off: fc.constant([1]),
      handlers: fc.tuple(handler(0), handler(1)).map((both) => [...both]),
    })
    .filter((program) => size(program) <= most);
}

function* perform(m: ModelOps, body: readonly Toy[], flow: number): Generator<ModelRequest, void, number> {
  for (const toy of body) {
    if (toy.op === 'load') yield m.load(word(toy.word));
    else if (toy.op === 'add') yield m.rmw(word(toy.word), (before) => before + 1);
    else if (toy.op === 'swap') yield m.rmw(word(toy.word), () => 2);
    else if (toy.op === 'store') yield m.store(word(toy.word), toy.value);
    else if (toy.op === 'await') yield m.await(word(toy.word), ([seen]) => seen === toy.value);
    else if (toy.op === 'await2') {
      yield m.await([word(toy.word), word(toy.other)], ([a = 0, b = 0]) => a + b === toy.value);
    } else if (toy.op === 'either') yield m.await([word(toy.word), word(toy.other)], ([a, b]) => a === b);
    else if (toy.op === 'fail-if') {
      if ((yield m.load(word(toy.word))) === toy.value)
        m.fail(`flow ${flow}: ${body.indexOf(toy)} of ${body.length}`);
    } else if (toy.op === 'fence') yield m.fence();
    else if (toy.op === 'ipi') yield m.ipi(toy.cpu);
    else if (toy.op === 'startup') yield m.startup(toy.cpu, toy.what);
    else if (toy.op === 'drop') yield m.drop();
    else if (toy.op === 'leave' || toy.op === 'leave-or-start') {
      yield m.irqs(false);
      yield m.offer(toy.wants);
      if (toy.op === 'leave') yield m.standBy(word(toy.word), ([seen]) => seen === toy.value);
      else yield m.standBy(OWN_PENDING, ([pending = 0]) => (pending & STARTUP_SIGNALS) !== 0);
      yield m.irqs(true);
    } else if (toy.op === 'adopt' || toy.op === 'take') {
      if (toy.op === 'adopt') yield m.orphans(toy.fits);
      yield m.irqs(false);
      yield m.take();
      // As on the machine: what goes on on the other CPU makes a step before interrupts come.
      yield m.fence();
      yield m.irqs(true);
    } else if (toy.op === 'await-for')
      yield m.awaitFor(toy.time, word(toy.word), ([seen]) => seen === toy.value);
    else if (toy.op === 'load-part') yield m.loadPart(X + toy.byte * toy.size, toy.size);
    else if (toy.op === 'store-part') yield m.storePart(X + toy.byte * toy.size, toy.size, toy.byte + 1);
    else if (toy.op === 'load-bytes') yield m.loadBytes(word(toy.word), toy.words * 4);
    else if (toy.op === 'fill') yield m.fill(word(toy.word), 1, toy.words * 4);
    else if (toy.op === 'copy') yield m.copy(word(toy.word), word(1 - toy.word), toy.words * 4);
    else if (toy.op === 'off' || toy.op === 'on') yield m.irqs(toy.op === 'on');
    else if (toy.op === 'lock') {
      yield m.acquire(word(8 + toy.lock));
      yield* perform(m, toy.body, flow);
      yield m.release(word(8 + toy.lock));
    }
  }
}

export function machineOf(program: ToyProgram, memoryModel: 'sc' | 'tso', onlyShared = false): ModelMachine {
  const flow = (body: readonly Toy[], index: number): FlowBody =>
    function* (m) {
      yield* perform(m, body, index);
    };
  const options: ModelOptions = {
    flows: program.flows.map(flow),
    ...(program.off === undefined ? {} : { off: program.off }),
    ...(program.shut === undefined ? {} : { shut: program.shut }),
    interrupts: program.handlers.map(({ cpu, pending, body, preempts, looks = false }) => ({
      cpu,
      pending,
      handler: flow(looks ? [LOOK, ...body] : body, -1),
      ...(preempts.length === 0 ? {} : { preempts: flow(looks ? [LOOK, ...preempts] : preempts, -1) }),
    })),
    memoryModel,
    onlyShared,
  };
  return new ModelMachine(options);
}

/** What a search of everything found. */
export interface Found {
  readonly states: Set<string>;
  readonly traces: Set<string>;
  /** Traces met by more than one run. */
  twice: number;
}

const fingerprints = new Fingerprints();

export function note(found: Found, { stop, finalState, log }: RunResult): void {
  if (stop === RunStop.COVERED || stop === RunStop.DIVERGED) return;
  found.states.add(`${stop} ${finalState}`);
  const trace = fingerprints.of(log).join(':');
  if (found.traces.has(trace)) found.twice++;
  found.traces.add(trace);
}

export function nothing(): Found {
  return { states: new Set(), traces: new Set(), twice: 0 };
}

export function byForce(machine: ModelMachine, runsMax = 200_000): Found & { isComplete: boolean } {
  let found = nothing();
  const { isComplete } = enumerateAll(
    machine,
    (result) => note(found, result),
    () => {
      found = nothing();
    },
    runsMax,
  );
  return { ...found, isComplete };
}

export function byDpor(
  machine: ModelMachine,
  search: DporSearch = new DporSearch(),
): Found & { search: DporSearch } {
  let found = nothing();
  let { restarts, redundant } = search;
  runSearch(search, machine, (result) => {
    if (search.restarts > restarts) {
      ({ restarts } = search);
      found = nothing();
    } else if (search.redundant === redundant) note(found, result);
    ({ redundant } = search);
    return false;
  });
  return { ...found, search };
}
