import { describe, expect, it } from 'vitest';
import { EventType, Instruction, Outcome } from '#trace/events';
import { callTree } from '#report/call-tree';
import { ansi } from '#report/paint';
import { call, end, event, loading, log, modelOf } from './trace.ts';

describe('callTree', () => {
  it('shows each event in machine order, a column for each CPU, interrupts nested, registers by name', () => {
    expect(callTree(modelOf(loading, { log }))).toEqual([
      '   seq  cpu  ctx',
      '     1  . 1  ...  sys_init_module() = -ENOMEM',
      '     2  . 1  ...    svm_init() = -ENOMEM',
      '     3  . 1  ...      kmalloc(32 bytes)',
      '     5  . 1  ...      kmalloc(64 bytes)',
      '     7  . 1  ...      call-function IPI to CPU 0',
      '     8  0 .  d..  <call-function interrupt>',
      '     9  0 .  d..    smp_call_function_interrupt()',
      '    10  0 .  dh.      hardware_enable()',
      '    11  0 .  d..        rdmsr EFER 0xd01',
      '    12  0 .  d..        wrmsr EFER 0xd01 -> 0x1d01',
      '    16  . 1  ...      hardware_enable()',
      '    17  . 1  ...        cpuid 0x8000000a',
      '    18  . 1  ...        "svm_cpu_init: svm_data is NULL on 1"',
    ]);
  });

  it('below: shows what happens on all CPUs while a function runs, and indents from there', () => {
    const lines = callTree(modelOf(loading), { below: 'svm_init', bare: true });
    expect(lines[0]).toBe('     2  . 1  ...  svm_init() = -ENOMEM');
    expect(lines).toContain('    12  0 .  d..        wrmsr EFER 0xd01 -> 0x1d01');
    expect(lines.some((line) => line.includes('sys_init_module'))).toBe(false);
  });

  it('below: a register keeps what it held before the part that is shown', () => {
    const later = [...loading, call(30, 'hardware_enable', 2, { cpu: 0, pid: 9 })];
    later.push(event(31, EventType.MSR_WRITE, { cpu: 0, depth: 3, a: 0xc0000080, b: 0xd01, pid: 9 }));
    const part = modelOf(later.slice(-2), { earlier: loading });
    expect(callTree(part, { bare: true }).at(-1)).toContain('wrmsr EFER 0x1d01 -> 0xd01');
  });

  it.each([
    ['an INIT it takes', Instruction.INIT, Outcome.SUCCESS, 0, 'wrmsr EFER 0xd01'],
    ['a RESET that another CPU tells of', Instruction.RESET, Outcome.SUCCESS, 1, 'wrmsr EFER 0xd01'],
    ['an INIT that stays pending', Instruction.INIT, Outcome.BLOCKED, 0, 'wrmsr EFER 0x1d01 -> 0xd01'],
  ])('what a register held is forgotten with %s', (_what, instruction, outcome, cpu, says) => {
    const later = [...loading, call(30, 'hardware_enable', 2, { cpu: 0, pid: 9 })];
    later.push(event(31, EventType.INSTRUCTION, { cpu, depth: 3, a: instruction, b: 0, d: outcome, pid: 9 }));
    later.push(event(32, EventType.MSR_WRITE, { cpu: 0, depth: 3, a: 0xc0000080, b: 0xd01, pid: 9 }));
    expect(callTree(modelOf(later), { bare: true }).at(-1)?.endsWith(says)).toBe(true);
    const part = modelOf(later.slice(-1), { earlier: later.slice(0, -1) });
    expect(callTree(part, { bare: true }).at(-1)?.endsWith(says)).toBe(true);
  });

  it('below: empty for a function that was not called', () => {
    expect(callTree(modelOf(loading), { below: 'vmx_init' })).toEqual([]);
  });

  it('fold: hides what a function calls, but not the interrupts that land there', () => {
    const events = [
      call(1, 'svm_init', 0),
      call(2, 'kmalloc', 1),
      event(3, EventType.IRQ_ENTRY, { depth: 2, a: 2 }),
      call(4, 'smp_call_function_interrupt', 2),
      end(5, 'smp_call_function_interrupt', 2),
      event(6, EventType.IRQ_EXIT, { depth: 2, a: 2 }),
      end(7, 'kmalloc', 1),
      end(8, 'svm_init', 0),
    ];
    const lines = callTree(modelOf(events), { fold: new Set(['svm_init']), bare: true });
    expect(lines.map((line) => line.slice(18))).toEqual([
      'svm_init()',
      '  <call-function interrupt>',
      '    smp_call_function_interrupt()',
    ]);
    const partly = callTree(modelOf(events), { fold: new Set(['kmalloc']), bare: true });
    expect(partly.map((line) => line.slice(18))).toEqual([
      'svm_init()',
      '  kmalloc(0 bytes)',
      '    <call-function interrupt>',
      '      smp_call_function_interrupt()',
    ]);
  });

  it('omit and show: what is called moves up', () => {
    const lines = callTree(modelOf(loading), { omit: new Set(['svm_init']), bare: true });
    expect(lines[1]).toBe('     3  . 1  ...    kmalloc(32 bytes)');
    const few = callTree(modelOf(loading), { show: new Set(['kmalloc']), bare: true });
    expect(few[0]).toBe('     3  . 1  ...  kmalloc(32 bytes)');
  });

  it('collapse: a run of calls of one function is one line', () => {
    const lines = callTree(modelOf(loading), { collapse: 2, bare: true });
    expect(lines[2]).toBe('     3  . 1  ...      kmalloc(32 bytes) ... (64 bytes)  2 calls');
    expect(callTree(modelOf(loading), { collapse: 3, bare: true })[2]).toContain('kmalloc(32 bytes)');
  });

  it('a stack that was cut off does not indent what comes after', () => {
    const events = [call(1, 'sys_init_module', 0), call(2, 'svm_init', 1), call(3, 'kmalloc', 0)];
    expect(callTree(modelOf(events), { bare: true }).at(-1)).toBe('     3  . 1  ...  kmalloc(0 bytes)');
  });

  it('a task that an idle CPU runs begins at the left', () => {
    const events = [
      call(1, 'cpu_idle', 0),
      event(2, EventType.TASK, { depth: 1, b: 9, c: 1 }),
      call(3, 'svm_init', 1),
      end(4, 'svm_init', 1),
      event(5, EventType.TASK, { depth: 1, b: 9, c: 0 }),
      event(6, EventType.IRQ_ENTRY, { depth: 1, a: 1 }),
    ];
    const lines = callTree(modelOf(events), { bare: true }).map((line) => line.slice(18));
    expect(lines).toEqual(['cpu_idle()', 'svm_init()', '<reschedule interrupt>']);
  });

  it('many CPUs: a number instead of columns', () => {
    const lines = callTree(modelOf([call(1, 'svm_init', 0, { cpu: 63 })], { cpus: 64 }), { bare: true });
    expect(lines).toEqual(['     1  cpu  63  ...  svm_init()']);
  });

  it('says how many events are missing', () => {
    expect(callTree(modelOf(loading, { lost: 3 })).at(-1)).toBe('(3 events did not fit and are missing)');
  });

  it('colour: only if it is asked for, and the words stay the same', () => {
    const plain = callTree(modelOf(loading, { log }));
    const coloured = callTree(modelOf(loading, { log }), { paint: ansi });
    expect(plain.join('')).not.toContain('\u001B');
    expect(coloured.join('')).toContain('\u001B[');
    // oxlint-disable-next-line no-control-regex -- the colours are what is looked for
    expect(coloured.map((line) => line.replaceAll(/\u001B\[\d+m/g, ''))).toEqual(plain);
  });

  it('width: a longer line is cut and says so', () => {
    const lines = callTree(modelOf(loading, { log }), { width: 40, bare: true });
    expect(Math.max(...lines.map(({ length }) => length))).toBe(40);
    expect(lines.at(-1)).toMatch(/\.\.\.$/);
  });
});
