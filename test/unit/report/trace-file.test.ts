/** Trace files: what a view makes of one is what it would have made of the trace itself. */
import { describe, expect, it } from 'vitest';
import { AccessKind } from '#trace/events';
import { encodeTrace } from '#trace/format';
import { OpType } from '#trace/operations';
import type { Operation, Step } from '#trace/steps';
import { callTree } from '#report/call-tree';
import { type RunPictureInput, runPicture, tracePicture } from '#report/picture';
import { readTraceFile, writeRunFile, writeTraceFile } from '#report/trace-file';
import { loading, log, modelOf } from './trace.ts';

const nothing = (): undefined => undefined;

const told = {
  model: modelOf(loading, { log, findings: [{ kind: 'oops', title: 'NULL', cpu: 1, stack: ['kmalloc'] }] }),
  title: 'a load',
  facts: [['CPUs', '2']] as const,
  command: 'smplab boot',
};

const COUNTER = 0x6000;

function operation(type: OpType, over: Partial<Operation>): Operation {
  return {
    type,
    kind: AccessKind.PLAIN,
    flags: 0,
    address: COUNTER,
    size: 4,
    read: 0,
    written: 0,
    site: 0,
    ...over,
  };
}

function step(index: number, actor: number, first: Operation): Step {
  return {
    index,
    actor,
    visible: false,
    enabledLow: 1 << actor,
    enabledHigh: 0,
    operations: [first],
    facts: [],
  };
}

/** A lost update: both read, both write; and a third step that never came. */
const lost: RunPictureInput = {
  run: {
    steps: [
      step(0, 0, operation(OpType.LOAD, { read: 0 })),
      step(1, 4, operation(OpType.LOAD, { read: 0 })),
      step(2, 0, operation(OpType.STORE, { read: 0, written: 1 })),
      step(3, 4, operation(OpType.STORE, { read: 1, written: 1 })),
    ],
    waiting: [],
    unreached: [step(4, 8, operation(OpType.LOAD, { read: 1 }))],
    traced: [],
    cpus: 3,
    names: {
      variable: (address) => (address === COUNTER ? 'counter' : 'other'),
      symbol: () => 'the laboratory',
    },
    symbols: nothing,
    printed: [],
    log: [],
    findings: [{ kind: 'check', title: 'lost' }],
  },
  decisive: [{ first: 1, second: 2, outcome: 'passes' }],
  findings: [{ kind: 'check', title: 'lost', cpu: -1, stack: [] }],
  facts: [['scenario', 'lost']],
  command: 'smplab replay smp1:x',
};

describe('a trace file', () => {
  it('of a machine gives the same tree and the same picture, with no machine at hand', () => {
    const file = readTraceFile(writeTraceFile(told), nothing);
    if (file.kind !== 'trace') throw new Error('expected a trace');
    expect(callTree(file.input.model)).toEqual(callTree(told.model));
    expect(tracePicture(file.input)).toEqual(tracePicture(told));
  });

  it('of a run gives the same picture, decisive pairs and all', () => {
    const file = readTraceFile(writeRunFile(lost), nothing);
    if (file.kind !== 'run') throw new Error('expected a run');
    const picture = runPicture(file.input);
    expect(picture).toEqual(runPicture(lost));
    expect(picture.pairs).toMatchObject([{ letter: 'a', first: 1, second: 2 }]);
    expect(picture.drawings[0]?.rows.map(({ cpu, text }) => `${cpu} ${text}`)).toEqual([
      '0 reads counter: 0',
      '1 reads counter: 0',
      '0 counter = 1 (was 0)',
      '1 counter = 1 (was 1)',
      '2 [not yet: reads counter: 1]',
    ]);
  });

  it('without names is read with those of this version', () => {
    const bytes = encodeTrace({ cpus: 2, events: loading, lost: 3 });
    const file = readTraceFile(bytes, told.model.symbols);
    expect(file).toMatchObject({ kind: 'trace', input: { model: { lost: 3 } } });
    expect(file.kind === 'trace' && callTree(file.input.model).join('\n')).toContain('svm_init()');
  });

  it('is refused with any one byte changed', () => {
    const bytes = writeRunFile(lost);
    for (const at of bytes.keys()) {
      const changed = bytes.slice();
      changed[at]! ^= 0x41;
      expect(() => readTraceFile(changed, nothing), `byte ${at}`).toThrow(/trace/);
    }
  });

  it.each([
    { name: 'nothing', about: {} },
    { name: 'a run without steps', about: { ...JSON.parse(aboutOf()), run: { steps: 1 } } },
    { name: 'steps of no run', about: { ...JSON.parse(aboutOf()), kind: 'trace' } },
  ])('is refused where it says of itself $name', ({ about }) => {
    const bytes = encodeTrace({ cpus: 3, events: [], lost: 0, about: about as object });
    expect(() => readTraceFile(bytes, nothing)).toThrow(/the trace is damaged/);
  });

  it('is refused with an event of a CPU that there is not', () => {
    const bytes = encodeTrace({ cpus: 1, events: loading, lost: 0 });
    expect(() => readTraceFile(bytes, nothing)).toThrow('an event is of CPU 1, and there are 1');
  });
});

/** What the file of the run says about itself. */
function aboutOf(): string {
  const bytes = writeRunFile(lost);
  const length = new DataView(bytes.buffer).getUint32(28, true);
  return new TextDecoder().decode(bytes.subarray(40, 40 + length));
}
