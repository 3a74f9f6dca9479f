import { describe, expect, it } from 'vitest';
import { MSR_NUMBERS } from '#memory/firmware';
import { Instruction, Milestone, Outcome } from '#trace/events';
import { dmesgLines, placeLog } from '#report/dmesg';
import { findingLines } from '#report/finding';
import { hotplugAction, instructionText, milestoneText, msrName, resultText } from '#report/names';
import { type CpuHolds, ranges, stateMatrix, stateSentence, stateSummary } from '#report/state-table';
import { loading, log, modelOf } from './trace.ts';

describe('names', () => {
  it('knows every MSR that a machine has', () => {
    expect(MSR_NUMBERS.filter((msr) => msrName(msr).startsWith('0x'))).toEqual([]);
  });

  it('knows every instruction and milestone', () => {
    for (const instruction of Object.values(Instruction)) {
      expect(instructionText(instruction, 0n, Outcome.SUCCESS)).not.toMatch(/^instruction/);
    }
    for (const milestone of Object.values(Milestone))
      expect(milestoneText(milestone, 3)).not.toMatch(/^milestone/);
  });

  it.each([
    [Outcome.SUCCESS, 'vmxon 0x5000'],
    [Outcome.VMFAIL_INVALID, 'vmxon 0x5000 -> VMfailInvalid'],
    [Outcome.FAULT_UD, 'vmxon 0x5000 -> #UD'],
  ])('an instruction says how it ended (outcome %i)', (outcome, text) => {
    expect(instructionText(Instruction.VMXON, 0x5000n, outcome)).toBe(text);
  });

  it.each([
    [0, ''],
    [1, ''],
    [0xfffffff4, ' = -ENOMEM'],
    [-16, ' = -EBUSY'],
    [0xc0100000, ''],
  ])('a result is shown only if it is an error number (%i)', (value, text) => {
    expect(resultText(value)).toBe(text);
  });

  it('a frozen hotplug action keeps its name', () => {
    expect(hotplugAction(0x12)).toBe('CPU_ONLINE|FROZEN');
  });
});

describe('dmesg', () => {
  it('places a record where its printk is in the trace', () => {
    expect(dmesgLines(placeLog(modelOf(loading, { log })))).toEqual([
      '[    18] cpu1 svm_cpu_init: svm_data is NULL on 1',
    ]);
  });

  it('says that it does not know the place of a record whose event was lost', () => {
    expect(dmesgLines(placeLog(modelOf([], { log })))[0]).toMatch(/^\[ {5}\?\] cpu1/);
  });
});

describe('findingLines', () => {
  it('an oops: title, CPU, detail, call trace', () => {
    const finding = {
      kind: 'oops',
      title: 'BUG: null',
      cpu: 2,
      stack: ['inner', 'outer'],
      detail: 'read of 4',
    };
    expect(findingLines(finding)).toEqual([
      'BUG: null',
      'CPU: 2  kind: oops',
      ' read of 4',
      'Call Trace:',
      ' inner',
      ' outer',
      '---[ end trace ]---',
    ]);
  });

  it('a warning is cut out, a panic does not end', () => {
    const finding = { title: 'x', cpu: 0, stack: [] };
    expect(findingLines({ ...finding, kind: 'warning' })[0]).toBe('------------[ cut here ]------------');
    expect(findingLines({ ...finding, kind: 'panic' })).toEqual(['x', 'CPU: 0  kind: panic']);
  });
});

const on: CpuHolds = {
  cpu: 0,
  online: true,
  hardwareEnabled: true,
  efer: '0x1d01',
  vm_hsave_pa: '0x38000',
  perCpuPointer: { name: 'svm_data', value: '0x37000', owner: 0 },
};
/** What kvm-54 leaves of a CPU that went and came back. */
const back: CpuHolds = {
  ...on,
  cpu: 1,
  efer: '0xd01',
  vm_hsave_pa: '0x0',
  perCpuPointer: { name: 'svm_data', value: '0x0', owner: null },
};

describe('state tables', () => {
  it('the matrix has two lines for each CPU and a column for each stage', () => {
    const stages = [
      { title: 'after load', cpus: [on, { ...on, cpu: 1 }] },
      { title: 'after online', cpus: [on, back] },
    ];
    expect(stateMatrix(stages)).toEqual([
      '      after load             after online',
      'cpu 0 on, bit, svm_data      on, bit, svm_data',
      '      EFER 1d01 HSAVE 38000  EFER 1d01 HSAVE 38000',
      'cpu 1 on, bit, svm_data      on, bit, NULL',
      '      EFER 1d01 HSAVE 38000  EFER d01 HSAVE 0',
    ]);
  });

  it('the matrix says that it does not know what nobody could look at', () => {
    const stages = [
      { title: 'after load', cpus: [on] },
      { title: 'after unload', cpus: [] },
    ];
    expect(stateMatrix(stages)[1]).toBe('cpu 0 on, bit, svm_data      ?');
  });

  it('a sentence says what the bit and the register disagree about', () => {
    expect(stateSentence(back)).toBe(
      'CPU 1 is online, enabled bit set, svm_data is NULL, EFER 0xd01: virtualisation is off',
    );
  });

  it('the summary puts CPUs that hold the same on one line', () => {
    const many = [on, { ...on, cpu: 2 }, { ...on, cpu: 3 }, back];
    expect(stateSummary(many)).toEqual([
      'cpu 0,2-3: online, virtualisation on, svm_data',
      'cpu 1: online, virtualisation off, bit set all the same, no svm_data',
    ]);
  });

  it('intel: VMX root operation is what counts, a pointer to what was given back is stale', () => {
    const intel: CpuHolds = {
      cpu: 0,
      online: true,
      hardwareEnabled: false,
      feature_control: '0x5',
      cr4: '0x26e0',
      inVmxRoot: false,
      perCpuPointer: { name: 'vmxarea', value: '0x9000', owner: null },
    };
    expect(stateMatrix([{ title: 'x', cpus: [intel] }]).slice(1)).toEqual([
      'cpu 0 on, no bit, stale',
      '      CR4 26e0 FC 5',
    ]);
  });

  it.each([
    [[0, 1, 2, 5], '0-2,5'],
    [[], ''],
    [[3], '3'],
  ])('ranges of %j', (numbers, text) => {
    expect(ranges(numbers)).toBe(text);
  });
});
