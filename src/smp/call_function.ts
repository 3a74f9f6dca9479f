/**
 * Cross calls: run a function on other CPUs. @linux arch/x86/kernel/smp_32.c, smpcommon_32.c, kernel/softirq.c, as of 2.6.24 (spec 6.1-6.5)
 *
 * There is one slot for the whole machine, guarded by call_lock: at most one cross call is in flight. The initiator
 * spins without a limit. An offline target is left out and the call still answers 0.
 *
 * Leaves out: the uniprocessor build.
 */
import { __set_bit, atomic_t } from '#memory/atomic';
import { bus } from '#memory/bus';
import { vmlinux } from '#memory/image';
import { type Ptr, type StructView, ptr, smp_mb, struct, u32 } from '#memory/struct';
import { AccessKind } from '#trace/events';
import { type KernelFunction, call_pointer, kernel_function } from '#memory/symbols';
import { type Vector, arch } from './arch.ts';
import {
  NR_CPUS,
  cpu_clear,
  cpu_online_map,
  cpumask_t,
  cpus_and,
  cpus_clear,
  cpus_copy,
  cpus_equal,
  cpus_weight,
  first_cpu,
  next_cpu,
} from './cpumask.ts';
import { irq_enter, irq_exit } from './hardirq.ts';
import { irqs_disabled, local_irq_disable, local_irq_enable, preempt_disable } from './irqflags.ts';
import { get_cpu, put_cpu } from './percpu.ts';
import { WARN_ON } from './printk.ts';
import { preempt_enable } from './sched.ts';
import { smp_processor_id } from './smp_processor_id.ts';
import { spin_lock, spin_lock_irq, spin_unlock, spin_unlock_irq, spinlock_t } from './spinlock.ts';
import { is_i386 } from './subarch.ts';

/** A function that a cross call can run: one pointer argument, no result. */
export type CallFunction = KernelFunction<[info: Ptr], unknown>;

export const CALL_FUNCTION_VECTOR: Vector = 2;

/**
 * On the initiator's stack. `func`, `info` and `wait` are written before call_data is published and only read then;
 * the counters belong to everybody.
 */
export const call_data_struct = struct('call_data_struct', {
  func: ptr,
  info: ptr,
  wait: u32,
  started: atomic_t,
  finished: atomic_t,
});

const STARTED = call_data_struct.offsetof('started');
const FINISHED = call_data_struct.offsetof('finished');

/** Guards call_data and whatever it points to. A CPU comes online under it too, so that counts and receivers agree (6.7). */
export const call_lock = vmlinux.DEFINE('call_lock', spinlock_t);
/** The slot. Guarded by call_lock; targets read it while the initiator holds the lock for them. */
export const call_data = vmlinux.DEFINE('call_data', ptr);

/** A starting CPU sets its online bit between these two; the second leaves interrupts on. */
export const lock_ipi_call_lock = kernel_function('lock_ipi_call_lock', (): void => {
  spin_lock_irq(call_lock);
});

export const unlock_ipi_call_lock = kernel_function('unlock_ipi_call_lock', (): void => {
  spin_unlock_irq(call_lock);
});

/** An interrupt to each CPU of `mask`, whether the kernel calls it online or not: what its local APIC makes of it is its own affair. */
export function send_IPI_mask(mask: cpumask_t, vector: Vector): void {
  for (let cpu = first_cpu(mask); cpu < NR_CPUS; cpu = next_cpu(cpu, mask)) arch.sendIpi(cpu, vector);
}

/**
 * Runs `func(info)` on every online CPU of `mask` but this one.
 * The caller has interrupts on: with them off, two initiators wait for each other for ever (6.6).
 * @returns 0, always
 */
export const native_smp_call_function_mask = kernel_function(
  'native_smp_call_function_mask',
  (mask: cpumask_t, func: Ptr, info: Ptr, wait: number): number => {
    WARN_ON(irqs_disabled(), 'native_smp_call_function_mask: called with interrupts off, can deadlock');
    spin_lock(call_lock);

    const allbutself = cpumask_t.at(bus.allocateStack(cpumask_t.size, 4));
    cpus_copy(allbutself, cpu_online_map);
    cpu_clear(smp_processor_id(), allbutself);
    const targets = cpumask_t.at(bus.allocateStack(cpumask_t.size, 4));
    cpus_and(targets, mask, allbutself);
    const cpus = cpus_weight(targets);
    if (cpus === 0) {
      spin_unlock(call_lock);
      return 0;
    }

    const data = call_data_struct.at(bus.allocateStack(call_data_struct.size, 4));
    data.func = func;
    data.info = info;
    data.wait = wait;
    const started = data.addr + STARTED;
    const finished = data.addr + FINISHED;
    bus.store32Marked(started, 0, AccessKind.ONCE);
    if (wait !== 0) bus.store32Marked(finished, 0, AccessKind.ONCE);
    call_data.value = data.addr;
    // The slot before the interrupt: pairs with the target's read of call_data in smp_call_function_interrupt.
    smp_mb();

    if (cpus_equal(targets, allbutself)) send_IPI_allbutself(allbutself);
    else send_IPI_mask(targets, CALL_FUNCTION_VECTOR);

    bus.waitUntil(started, () => bus.load32Marked(started, AccessKind.ONCE) === cpus);
    if (wait !== 0) bus.waitUntil(finished, () => bus.load32Marked(finished, AccessKind.ONCE) === cpus);
    spin_unlock(call_lock);
    return 0;
  },
);

/** The broadcast shorthand. The local APICs of CPUs that are off ignore it, so it reaches the online map. */
function send_IPI_allbutself(allbutself: cpumask_t): void {
  send_IPI_mask(allbutself, CALL_FUNCTION_VECTOR);
}

/** `smp_ops`: on real hardware the native function, a hypervisor may put its own here. */
const smp_ops_t = struct('smp_ops', { smp_call_function_mask: ptr });
export const smp_ops = vmlinux.DEFINE('smp_ops', smp_ops_t, {
  smp_call_function_mask: native_smp_call_function_mask.addr,
});

export const smp_call_function_mask = kernel_function(
  'smp_call_function_mask',
  (mask: cpumask_t, func: CallFunction, info: Ptr, wait: number): number =>
    call_pointer(smp_ops.smp_call_function_mask, mask, func.addr, info, wait) as number,
);

/**
 * Runs `func(info)` on one CPU, which may be this one: then with interrupts off, and with interrupts **on** afterwards,
 * whatever they were (6.2).
 * @param _nonatomic ignored, as in 2.6.24
 * @returns 0 also when the CPU is offline and nothing was called
 */
export const smp_call_function_single = kernel_function(
  'smp_call_function_single',
  (cpu: number, func: CallFunction, info: Ptr, _nonatomic: number, wait: number): number => {
    const me = get_cpu();
    if (!is_i386())
      WARN_ON(irqs_disabled(), 'smp_call_function_single: called with interrupts off, can deadlock');
    let result = 0;
    if (cpu === me) {
      local_irq_disable();
      func(info);
      local_irq_enable();
    } else {
      const mask = cpumask_t.at(bus.allocateStack(cpumask_t.size, 4));
      cpus_clear(mask);
      __set_bit(cpu, mask.addr);
      result = call_pointer(smp_ops.smp_call_function_mask, mask, func.addr, info, wait) as number;
    }
    put_cpu();
    return result;
  },
);

/** Runs `func(info)` on all online CPUs but this one. */
export const smp_call_function = kernel_function(
  'smp_call_function',
  (func: CallFunction, info: Ptr, _nonatomic: number, wait: number): number =>
    smp_call_function_mask(cpu_online_map, func, info, wait),
);

/** Runs `func(info)` on all online CPUs: the others first, then this one with interrupts off (6.4). */
export const on_each_cpu = kernel_function(
  'on_each_cpu',
  (func: CallFunction, info: Ptr, retry: number, wait: number): number => {
    preempt_disable();
    const result = smp_call_function(func, info, retry, wait);
    local_irq_disable();
    func(info);
    local_irq_enable();
    preempt_enable();
    return result;
  },
);

/** The target's side, interrupts off. Without `wait` the slot may vanish once `started` is counted: copy first. */
export const smp_call_function_interrupt = kernel_function('smp_call_function_interrupt', (): void => {
  const data = call_data_struct.at(call_data.value);
  const { func, info, wait, addr } = data;
  // The copies before the count: pairs with the initiator's wait for `started`, after which it may return.
  smp_mb();
  bus.add32(addr + STARTED, 1);
  irq_enter();
  call_pointer(func, info);
  irq_exit();
  if (wait !== 0) {
    // What func did before the count: pairs with the initiator's wait for `finished`.
    smp_mb();
    bus.add32(addr + FINISHED, 1);
  }
});

export type call_data_struct = StructView<typeof call_data_struct>;
