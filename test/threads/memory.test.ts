/**
 * A stress run goes on for hours, so what one operation leaves behind on a heap is a leak. Objects are counted, after a full
 * collection: neither time nor resident memory, of which the engine takes as much as it likes.
 */
import v8 from 'node:v8';
import type { Worker } from 'node:worker_threads';
import { beforeAll, describe, expect, it } from 'vitest';
import { Machine, createPool } from 'smplab';
import { insmod, succeeds, valueOf } from '../support/kvm-machine.ts';

const CPUS = 3;
const CALLS = 150;
const CYCLES = 2;
/** Half of what a leak of one object a call would leave. Some objects come and go with whoever looks. */
const LEFT_AT_MOST = CALLS / 2;

/** A heap snapshot as far as it is looked at. Nodes are numbers in rows of so many. */
interface HeapSnapshot {
  readonly snapshot: {
    readonly meta: {
      readonly node_fields: readonly string[];
      readonly node_types: readonly [readonly string[]];
    };
  };
  readonly nodes: readonly number[];
}

/** What kernel code could leave behind. Compiled code, which comes as functions get warm, is another matter. */
const KEPT_BY_PROGRAMS = new Set(['object', 'closure', 'string', 'concatenated string', 'regexp', 'bigint']);

async function objectsOf(thread: Worker): Promise<number> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of await thread.getHeapSnapshot()) chunks.push(Buffer.from(chunk as string));
  const { snapshot, nodes } = JSON.parse(Buffer.concat(chunks).toString()) as HeapSnapshot;
  const { node_fields: fields, node_types: types } = snapshot.meta;
  let count = 0;
  for (let at = fields.indexOf('type'); at < nodes.length; at += fields.length)
    if (KEPT_BY_PROGRAMS.has(types[0][nodes[at]!]!)) count += 1;
  return count;
}

type QueryObjects = (constructor: unknown, options: { readonly format: 'count' }) => number;
/** From Node 20.13 on: collects, and counts what is left. */
const { queryObjects } = v8 as unknown as { readonly queryObjects?: QueryObjects };

/** What there was before a round of calls, and what after it. */
interface Counted {
  readonly host: readonly number[];
  readonly thread: readonly number[];
}

/** Takes CPUs off and on, in many calls. */
async function hotplug(machine: Machine): Promise<void> {
  for (let call = 0; call < CALLS; call++) {
    const args = [1 + (call % (CPUS - 1)), CYCLES];
    expect(valueOf(await machine.call('hotplug_torture', { args }))).toBe(0);
  }
}

/** Two rounds: the first brings what is made once. */
async function countTwice(): Promise<Counted> {
  const pool = createPool();
  const machine = await Machine.powerOn({ cpus: CPUS, vendor: 'amd' }, { pool });
  const host: number[] = [];
  const thread: number[] = [];
  try {
    await succeeds('kvm', insmod(machine, 'kvm'));
    await succeeds('kvm-amd', insmod(machine, 'kvm-amd'));
    for (let round = 0; round < 2; round++) {
      await hotplug(machine);
      // The one that makes the calls, and one that goes off and on.
      const numbers = [machine.threadOf(0), machine.threadOf(1)];
      const threads = pool.threads.filter(({ threadId }) => numbers.includes(threadId));
      const objects = await Promise.all(threads.map(objectsOf));
      thread.push(objects.reduce((sum, one) => sum + one, 0));
      if (queryObjects !== undefined) host.push(queryObjects(Object, { format: 'count' }));
    }
  } finally {
    await machine.powerOff();
    await pool.close();
  }
  return { host, thread };
}

describe('taking CPUs off and on again and again', () => {
  let counted: Counted;
  beforeAll(async () => {
    counted = await countTwice();
  });

  it.skipIf(queryObjects === undefined)('leaves nothing on the heap of the host', () => {
    const [before, after] = counted.host;
    expect(after! - before!).toBeLessThan(LEFT_AT_MOST);
  });

  it('leaves nothing on the heaps of CPU threads', () => {
    const [before, after] = counted.thread;
    expect(after! - before!).toBeLessThan(LEFT_AT_MOST);
  });
});
