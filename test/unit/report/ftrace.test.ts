import { describe, expect, it } from 'vitest';
import { EventType } from '#trace/events';
import { ftraceText } from '#report/ftrace';
import { call, end, event, loading, log, modelOf } from './trace.ts';

describe('ftraceText', () => {
  it('is function_graph: leaves on one line, brackets around the rest, arrows around interrupts', () => {
    const lines = ftraceText(modelOf(loading, { log }));
    expect(lines[0]).toBe('# tracer: function_graph');
    expect(lines.slice(4)).toEqual([
      '  1)        1  |  sys_init_module() {',
      '  1)        2  |    svm_init() {',
      '  1)        3  |      kmalloc(32 bytes);',
      '  1)        5  |      kmalloc(64 bytes);',
      '  1)        7  |      /* call-function IPI to CPU 0 */',
      '  0)   ==========> |',
      '  0)        9  |    smp_call_function_interrupt() {',
      '  0)       10  |      hardware_enable() {',
      '  0)       11  |        /* rdmsr EFER 0xd01 */',
      '  0)       12  |        /* wrmsr EFER 0xd01 -> 0x1d01 */',
      '  0)       13  |      } /* hardware_enable */',
      '  0)       14  |    } /* smp_call_function_interrupt */',
      '  0)   <========== |',
      '  1)       16  |      hardware_enable() {',
      '  1)       17  |        /* cpuid 0x8000000a */',
      '  1)       18  |        /* "svm_cpu_init: svm_data is NULL on 1" */',
      '  1)       19  |      } /* hardware_enable */',
      '  1)       20  |    } /* svm_init */',
      '  1)       21  |  } /* sys_init_module */',
    ]);
  });

  it('says in its head that a sequence number stands where ftrace has a time', () => {
    expect(ftraceText(modelOf([])).join('\n')).toContain('SEQUENCE');
  });

  it('draws a rule where a CPU changes its task', () => {
    const events = [
      event(1, EventType.TASK, { b: 9, c: 1 }),
      call(2, 'svm_init', 0),
      end(3, 'svm_init', 0),
      event(4, EventType.TASK, { b: 9, c: 0 }),
    ];
    const text = ftraceText(modelOf(events)).join('\n');
    expect(text).toContain('  1)  <idle>-0 => task-9');
    expect(text).toContain('  1)  task-9 => <idle>-0');
  });

  it('says how many events were lost', () => {
    expect(ftraceText(modelOf([], { lost: 2 })).at(-1)).toBe('# 2 events lost');
  });
});
