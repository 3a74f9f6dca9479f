/** Small traces by hand: a machine of two CPUs and a few symbols. */
import { ContextFlag, EventType, Instruction, type TraceEvent } from '#trace/events';
import type { TraceModel } from '#report/model';

const NAMES = [
  'sys_init_module',
  'svm_init',
  'hardware_enable',
  'smp_call_function_interrupt',
  'kmalloc',
  'cpu_idle',
];

export function address(name: string): number {
  return 0xc0100000 + NAMES.indexOf(name) * 16;
}

export function event(sequence: number, type: EventType, over: Partial<TraceEvent> = {}): TraceEvent {
  return { sequence, type, cpu: 1, context: 0, depth: 0, pid: 7, a: 0, b: 0, c: 0, d: 0, ...over };
}

export function call(
  sequence: number,
  name: string,
  depth: number,
  over: Partial<TraceEvent> = {},
): TraceEvent {
  return event(sequence, EventType.FUNCTION_ENTRY, { a: address(name), depth, ...over });
}

export function end(
  sequence: number,
  name: string,
  depth: number,
  over: Partial<TraceEvent> = {},
): TraceEvent {
  return event(sequence, EventType.FUNCTION_EXIT, { a: address(name), depth, ...over });
}

export function modelOf(events: readonly TraceEvent[], over: Partial<TraceModel> = {}): TraceModel {
  const symbols = (at: number): string | undefined => NAMES[(at - 0xc0100000) / 16];
  return { events, symbols, cpus: 2, lost: 0, ...over };
}

const EFER = 0xc0000080;
const onCpu0 = { cpu: 0, pid: 0, context: ContextFlag.IRQS_OFF };

/** A module load on CPU 1 that enables both CPUs, CPU 0 by interrupt; CPU 1 allocates twice before. */
export const loading: readonly TraceEvent[] = [
  call(1, 'sys_init_module', 3),
  call(2, 'svm_init', 4),
  call(3, 'kmalloc', 5, { b: 32 }),
  end(4, 'kmalloc', 5, { b: 0x5000 }),
  call(5, 'kmalloc', 5, { b: 64 }),
  end(6, 'kmalloc', 5, { b: 0x6000 }),
  event(7, EventType.IPI_SEND, { depth: 5, a: 2, b: 0 }),
  event(8, EventType.IRQ_ENTRY, { ...onCpu0, depth: 2, a: 2 }),
  call(9, 'smp_call_function_interrupt', 2, onCpu0),
  call(10, 'hardware_enable', 3, { ...onCpu0, context: ContextFlag.IRQS_OFF | ContextFlag.HARDIRQ }),
  event(11, EventType.MSR_READ, { ...onCpu0, depth: 4, a: EFER, b: 0xd01 }),
  event(12, EventType.MSR_WRITE, { ...onCpu0, depth: 4, a: EFER, b: 0x1d01 }),
  end(13, 'hardware_enable', 3, onCpu0),
  end(14, 'smp_call_function_interrupt', 2, onCpu0),
  event(15, EventType.IRQ_EXIT, { ...onCpu0, depth: 2, a: 2 }),
  call(16, 'hardware_enable', 5),
  event(17, EventType.INSTRUCTION, { depth: 6, a: Instruction.CPUID, b: 0x8000000a }),
  event(18, EventType.PRINTK, { depth: 6, a: 0, b: 3 }),
  end(19, 'hardware_enable', 5),
  end(20, 'svm_init', 4, { b: 0xfffffff4 }), // -ENOMEM
  end(21, 'sys_init_module', 3, { b: 0xfffffff4 }),
];

export const log = [{ record: 0, cpu: 1, level: 3, text: 'svm_cpu_init: svm_data is NULL on 1' }];
