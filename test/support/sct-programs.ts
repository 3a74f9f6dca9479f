/**
 * The programs of the SCTBench collection (Thomson, Donaldson, Betts, "Concurrency testing using schedule bounding",
 * PPoPP 2014) that issue 3 names, told anew for the model machine: each has a bug that some interleavings show. What
 * their main thread did before it started the others is in the initial memory, and what it checked after joining them
 * is the check at the end. An assertion inside a flow ends the run with FAILED.
 */
import type { FlowBody, ModelProgram } from './model-machine.ts';

export interface SctProgram {
  readonly name: string;
  readonly program: ModelProgram;
}

/** Words of memory: each on its own, so that only the same variable conflicts. */
const word = (index: number): number => 0x1000 + index * 4;
const FAILED = 'an assertion failed';

function repeated<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

/** Bank account: the check's arithmetic is wrong, and shows when both sides are done before it looks. */
function account(): ModelProgram {
  const [LOCK, BALANCE, DEPOSITED, WITHDRAWN] = [word(1), word(2), word(3), word(4)];
  const [START, IN, OUT] = [10, 4, 3];
  const move = (amount: number, done: number): FlowBody =>
    function* (m) {
      yield m.acquire(LOCK);
      yield m.store(BALANCE, (yield m.load(BALANCE)) + amount);
      yield m.store(done, 1);
      yield m.release(LOCK);
    };
  return {
    initial: [[BALANCE, START]],
    flows: [
      function* (m) {
        yield m.acquire(LOCK);
        if ((yield m.load(DEPOSITED)) !== 0 && (yield m.load(WITHDRAWN)) !== 0)
          if ((yield m.load(BALANCE)) !== START - IN - OUT) m.fail(FAILED);
        yield m.release(LOCK);
      },
      move(IN, DEPOSITED),
      move(-OUT, WITHDRAWN),
    ],
  };
}

/** A driver stops between a request's look at the stopping flag and its count of itself as pending. */
function bluetooth(): ModelProgram {
  const [STOPPING, PENDING, EVENT, STOPPED, LOCK] = [word(1), word(2), word(3), word(4), word(5)];
  const decrement: FlowBody = function* (m) {
    yield m.acquire(LOCK);
    const pending = (yield m.load(PENDING)) - 1;
    yield m.store(PENDING, pending);
    yield m.release(LOCK);
    if (pending === 0) yield m.store(EVENT, 1);
  };
  return {
    initial: [[PENDING, 1]],
    flows: [
      function* (m) {
        if ((yield m.load(STOPPING)) !== 0) return;
        yield m.acquire(LOCK);
        yield m.store(PENDING, (yield m.load(PENDING)) + 1);
        yield m.release(LOCK);
        if ((yield m.load(STOPPED)) !== 0) m.fail(FAILED);
        yield* decrement(m);
      },
      function* (m) {
        yield m.store(STOPPING, 1);
        yield* decrement(m);
        yield m.await([EVENT], ([event]) => event !== 0);
        yield m.store(STOPPED, 1);
      },
    ],
  };
}

/** The receiver counts its own rounds and not what it received. */
function circularBuffer(): ModelProgram {
  const [LOCK, SEND, RECEIVE, HEAD, TAIL] = [word(1), word(2), word(3), word(4), word(5)];
  const slot = (index: number): number => word(16 + (index % 10));
  const ROUNDS = 7;
  return {
    initial: [[SEND, 1]],
    flows: [
      function* (m) {
        for (let round = 0; round < ROUNDS; round++) {
          yield m.acquire(LOCK);
          if ((yield m.load(SEND)) !== 0) {
            const head = yield m.load(HEAD);
            yield m.store(slot(head), round);
            yield m.store(HEAD, head + 1);
            yield m.store(SEND, 0);
            yield m.store(RECEIVE, 1);
          }
          yield m.release(LOCK);
        }
      },
      function* (m) {
        for (let round = 0; round < ROUNDS; round++) {
          yield m.acquire(LOCK);
          if ((yield m.load(RECEIVE)) !== 0) {
            const tail = yield m.load(TAIL);
            if ((yield m.load(slot(tail))) !== round) m.fail(FAILED);
            yield m.store(TAIL, tail + 1);
            yield m.store(RECEIVE, 0);
            yield m.store(SEND, 1);
          }
          yield m.release(LOCK);
        }
      },
    ],
  };
}

/** Two locks, taken in two orders. */
function deadlock01(): ModelProgram {
  const [A, B, COUNTER] = [word(1), word(2), word(3)];
  const both = (first: number, second: number, change: number): FlowBody =>
    function* (m) {
      yield m.acquire(first);
      yield m.acquire(second);
      yield m.store(COUNTER, (yield m.load(COUNTER)) + change);
      yield m.release(second);
      yield m.release(first);
    };
  return { flows: [both(A, B, 1), both(B, A, -1)] };
}

/** Fails when the last flow finds what both others did. */
function lazy01(): ModelProgram {
  const [LOCK, DATA] = [word(1), word(2)];
  const add = (amount: number): FlowBody =>
    function* (m) {
      yield m.acquire(LOCK);
      yield m.store(DATA, (yield m.load(DATA)) + amount);
      yield m.release(LOCK);
    };
  return {
    flows: [
      function* (m) {
        yield m.acquire(LOCK);
        if ((yield m.load(DATA)) >= 3) m.fail(FAILED);
        yield m.release(LOCK);
      },
      add(1),
      add(2),
    ],
  };
}

/** A queue between two flows that take turns by flags; the consumer compares with the slot of its own round. */
function queue(): ModelProgram {
  const [LOCK, MAY_ENQUEUE, MAY_DEQUEUE, HEAD, TAIL] = [word(1), word(2), word(3), word(4), word(5)];
  const SIZE = 5;
  const slot = (index: number): number => word(16 + (index % SIZE));
  const stored = (index: number): number => word(32 + index);
  const enqueue = function* (m: Parameters<FlowBody>[0], value: number): ReturnType<FlowBody> {
    const tail = yield m.load(TAIL);
    yield m.store(slot(tail), value);
    yield m.store(TAIL, tail + 1);
  };
  return {
    initial: [[MAY_ENQUEUE, 1]],
    flows: [
      function* (m) {
        yield m.acquire(LOCK);
        yield* enqueue(m, 100);
        yield m.store(stored(0), 100);
        yield m.release(LOCK);
        for (let round = 1; round < SIZE; round++) {
          yield m.acquire(LOCK);
          if ((yield m.load(MAY_ENQUEUE)) !== 0) {
            yield* enqueue(m, 100 + round);
            yield m.store(stored(round), 100 + round);
            yield m.store(MAY_ENQUEUE, 0);
            yield m.store(MAY_DEQUEUE, 1);
          }
          yield m.release(LOCK);
        }
      },
      function* (m) {
        for (let round = 0; round < SIZE; round++) {
          yield m.acquire(LOCK);
          if ((yield m.load(MAY_DEQUEUE)) !== 0) {
            const head = yield m.load(HEAD);
            if ((yield m.load(slot(head))) !== (yield m.load(stored(round)))) m.fail(FAILED);
            yield m.store(HEAD, head + 1);
            yield m.store(MAY_DEQUEUE, 0);
            yield m.store(MAY_ENQUEUE, 1);
          }
          yield m.release(LOCK);
        }
      },
    ],
  };
}

/** Setters write a then b; one checker must see both or neither, and sees the first setter half-way. */
function reorder(setters: number): ModelProgram {
  const [A, B] = [word(1), word(2)];
  const set: FlowBody = function* (m) {
    yield m.store(A, 1);
    yield m.store(B, -1);
  };
  return {
    flows: [
      ...repeated(setters, () => set),
      function* (m) {
        if ((yield m.load(A)) === 0 && (yield m.load(B)) === 0) return;
        if ((yield m.load(A)) === 1 && (yield m.load(B)) === -1) return;
        m.fail(FAILED);
      },
    ],
  };
}

/** One push raises a flag, and the other side takes it as leave to pop for ever. */
function stack(): ModelProgram {
  const [LOCK, TOP, FLAG] = [word(1), word(2), word(3)];
  const slot = (index: number): number => word(16 + index);
  const SIZE = 5;
  return {
    flows: [
      function* (m) {
        for (let round = 0; round < SIZE; round++) {
          yield m.acquire(LOCK);
          const top = yield m.load(TOP);
          yield m.store(slot(top), round);
          yield m.store(TOP, top + 1);
          yield m.store(FLAG, 1);
          yield m.release(LOCK);
        }
      },
      function* (m) {
        for (let round = 0; round < SIZE; round++) {
          yield m.acquire(LOCK);
          if ((yield m.load(FLAG)) !== 0) {
            const top = yield m.load(TOP);
            if (top === 0) m.fail(FAILED);
            else {
              yield m.load(slot(top - 1));
              yield m.store(TOP, top - 1);
            }
          }
          yield m.release(LOCK);
        }
      },
    ],
  };
}

/** Three flows hand a value on; the fourth expects that they went in the order of the ring. */
function tokenRing(): ModelProgram {
  const LOCK = word(1);
  const [X1, X2, X3] = [word(2), word(3), word(4)];
  const [DONE1, DONE2, DONE3] = [word(5), word(6), word(7)];
  const pass = (from: number, to: number, done: number, change: (x: number) => number): FlowBody =>
    function* (m) {
      yield m.acquire(LOCK);
      yield m.store(to, change(yield m.load(from)));
      yield m.store(done, 1);
      yield m.release(LOCK);
    };
  return {
    initial: [
      [X1, 1],
      [X2, 2],
      [X3, 1],
    ],
    flows: [
      pass(X3, X1, DONE1, (x) => (x + 1) % 4),
      pass(X1, X2, DONE2, (x) => x),
      pass(X2, X3, DONE3, (x) => x),
      function* (m) {
        yield m.acquire(LOCK);
        if ((yield m.load(DONE1)) !== 0 && (yield m.load(DONE2)) !== 0 && (yield m.load(DONE3)) !== 0) {
          const x1 = yield m.load(X1);
          if ((yield m.load(X2)) !== x1 || (yield m.load(X3)) !== x1) m.fail(FAILED);
        }
        yield m.release(LOCK);
      },
    ],
  };
}

/** Two values kept in step under two locks, taken one after the other. */
function twostage(): ModelProgram {
  const [LOCK1, LOCK2, DATA1, DATA2] = [word(1), word(2), word(3), word(4)];
  return {
    flows: [
      function* (m) {
        yield m.acquire(LOCK1);
        yield m.store(DATA1, 1);
        yield m.release(LOCK1);
        yield m.acquire(LOCK2);
        yield m.store(DATA2, (yield m.load(DATA1)) + 1);
        yield m.release(LOCK2);
      },
      function* (m) {
        yield m.acquire(LOCK1);
        const one = yield m.load(DATA1);
        yield m.release(LOCK1);
        if (one === 0) return;
        yield m.acquire(LOCK2);
        const two = yield m.load(DATA2);
        yield m.release(LOCK2);
        if (two !== one + 1) m.fail(FAILED);
      },
    ],
  };
}

/** One flow guards the data with one lock, seven with another. */
function wronglock(): ModelProgram {
  const [RIGHT, WRONG, DATA] = [word(1), word(2), word(3)];
  const count: FlowBody = function* (m) {
    yield m.acquire(WRONG);
    yield m.store(DATA, (yield m.load(DATA)) + 1);
    yield m.release(WRONG);
  };
  return {
    flows: [
      function* (m) {
        yield m.acquire(RIGHT);
        const before = yield m.load(DATA);
        yield m.store(DATA, (yield m.load(DATA)) + 1);
        if ((yield m.load(DATA)) !== before + 1) m.fail(FAILED);
        yield m.release(RIGHT);
      },
      ...repeated(7, () => count),
    ],
  };
}

/** append() asks the length under the lock, and copies that many characters under the lock again; between, they go. */
function stringbuffer(): ModelProgram {
  const [LOCK_TO, LOCK_FROM, COUNT_TO, COUNT_FROM] = [word(1), word(2), word(3), word(4)];
  return {
    initial: [[COUNT_FROM, 3]],
    flows: [
      function* (m) {
        yield m.acquire(LOCK_TO);
        yield m.acquire(LOCK_FROM);
        const length = yield m.load(COUNT_FROM);
        yield m.release(LOCK_FROM);
        const room = yield m.load(COUNT_TO);
        yield m.acquire(LOCK_FROM);
        if (length > (yield m.load(COUNT_FROM))) m.fail(FAILED);
        yield m.release(LOCK_FROM);
        yield m.store(COUNT_TO, room + length);
        yield m.release(LOCK_TO);
      },
      function* (m) {
        yield m.acquire(LOCK_FROM);
        yield m.store(COUNT_FROM, 0);
        yield m.release(LOCK_FROM);
      },
    ],
  };
}

/**
 * Work-stealing queue: the owner pushes and pops at the tail, a thief takes from the head under the lock. The thief
 * looks at the tail before it has announced itself at the head, so both may take the last item.
 */
function workStealing(): ModelProgram {
  const [LOCK, HEAD, TAIL] = [word(1), word(2), word(3)];
  const slot = (index: number): number => word(16 + index);
  const taken = (item: number): number => word(32 + item);
  const ITEMS = 4;
  type Machine = Parameters<FlowBody>[0];
  const use = function* (m: Machine, index: number): ReturnType<FlowBody> {
    const item = yield m.load(slot(index));
    yield m.store(taken(item), (yield m.load(taken(item))) + 1);
  };
  const push = function* (m: Machine, item: number): ReturnType<FlowBody> {
    const tail = yield m.load(TAIL);
    yield m.store(slot(tail), item);
    yield m.store(TAIL, tail + 1);
  };
  const pop = function* (m: Machine): ReturnType<FlowBody> {
    const tail = (yield m.load(TAIL)) - 1;
    yield m.store(TAIL, tail);
    if ((yield m.load(HEAD)) <= tail) {
      yield* use(m, tail);
      return;
    }
    yield m.store(TAIL, tail + 1);
    yield m.acquire(LOCK);
    yield m.store(TAIL, tail);
    const found = (yield m.load(HEAD)) <= tail;
    if (!found) yield m.store(TAIL, tail + 1);
    yield m.release(LOCK);
    if (found) yield* use(m, tail);
  };
  const steal = function* (m: Machine): ReturnType<FlowBody> {
    yield m.acquire(LOCK);
    const head = yield m.load(HEAD);
    const found = head < (yield m.load(TAIL));
    if (found) yield m.store(HEAD, head + 1);
    yield m.release(LOCK);
    if (found) yield* use(m, head);
  };
  return {
    flows: [
      function* (m) {
        for (let item = 0; item < ITEMS; item += 2) {
          yield* push(m, item);
          yield* push(m, item + 1);
          yield* pop(m);
        }
        yield* pop(m);
        yield* pop(m);
      },
      function* (m) {
        yield* steal(m);
        yield* steal(m);
      },
    ],
    check: (memory) =>
      repeated(ITEMS, (item) => memory.load(taken(item))).some((times) => times > 1)
        ? 'an item was taken twice'
        : undefined,
  };
}

/**
 * KVM's double enable as a bare program: CPU 0 registers and then enables every CPU that is online; CPUs 1 and 2 come
 * online, and enable themselves if somebody has registered. Nobody holds the flag between looking at it and setting
 * it.
 */
function doubleEnable(): ModelProgram {
  const REGISTERED = word(1);
  const [online, enabled, count] = [8, 16, 24].map(
    (base) =>
      (cpu: number): number =>
        word(base + cpu),
  ) as [(cpu: number) => number, (cpu: number) => number, (cpu: number) => number];
  const CPUS = 3;
  type Machine = Parameters<FlowBody>[0];
  const enable = function* (m: Machine, cpu: number): ReturnType<FlowBody> {
    if ((yield m.load(enabled(cpu))) !== 0) return;
    yield m.store(enabled(cpu), 1);
    yield m.store(count(cpu), (yield m.load(count(cpu))) + 1);
  };
  const hotplug = (cpu: number): FlowBody =>
    function* (m) {
      yield m.store(online(cpu), 1);
      if ((yield m.load(REGISTERED)) !== 0) yield* enable(m, cpu);
    };
  return {
    initial: [[online(0), 1]],
    flows: [
      function* (m) {
        yield m.store(REGISTERED, 1);
        for (let cpu = 0; cpu < CPUS; cpu++) if ((yield m.load(online(cpu))) !== 0) yield* enable(m, cpu);
      },
      hotplug(1),
      hotplug(2),
    ],
    check: (memory) => {
      const wrong = repeated(CPUS, (cpu) => cpu).filter(
        (cpu) => memory.load(online(cpu)) === 1 && memory.load(count(cpu)) !== 1,
      );
      return wrong.length === 0 ? undefined : `CPU ${wrong.join(', ')} not enabled exactly once`;
    },
  };
}

export const sctPrograms: readonly SctProgram[] = [
  { name: 'account', program: account() },
  { name: 'bluetooth_driver', program: bluetooth() },
  { name: 'circular_buffer', program: circularBuffer() },
  { name: 'deadlock01', program: deadlock01() },
  { name: 'lazy01', program: lazy01() },
  { name: 'queue', program: queue() },
  { name: 'reorder_3', program: reorder(2) },
  { name: 'reorder_4', program: reorder(3) },
  { name: 'reorder_5', program: reorder(4) },
  { name: 'reorder_10', program: reorder(9) },
  { name: 'stack', program: stack() },
  { name: 'token_ring', program: tokenRing() },
  { name: 'twostage', program: twostage() },
  { name: 'wronglock', program: wronglock() },
  { name: 'stringbuffer', program: stringbuffer() },
  { name: 'work_stealing_queue', program: workStealing() },
  { name: 'double_enable', program: doubleEnable() },
];
