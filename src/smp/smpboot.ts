/**
 * Starting and stopping a CPU. @linux arch/x86/kernel/smpboot_32.c, smpboot_64.c, process_32.c, process_64.c, as of 2.6.24 (spec 7.5, 7.6)
 * Where the two x86 kernels differ, `is_i386()` says which this is.
 *
 * Leaves out: TSC synchronisation, sibling maps, NUMA, the APIC's wiring.
 */
import { EBUSY, EINVAL, EIO, ENOSYS } from '#base/errno';
import { bus } from '#memory/bus';
import { vmlinux } from '#memory/image';
import { per_cpu, per_cpu_ptr } from '#memory/percpu';
import { READ_ONCE, WRITE_ONCE, u32 } from '#memory/struct';
import { type KernelFunction, kernel_function } from '#memory/symbols';
import { EventType, Milestone } from '#trace/events';
import { arch } from './arch.ts';
import { lock_ipi_call_lock, unlock_ipi_call_lock } from './call_function.ts';
import {
  NR_CPUS,
  cpu_clear,
  cpu_isset,
  cpu_online,
  cpu_online_map,
  cpu_present,
  cpu_set,
  cpumask_t,
} from './cpumask.ts';
import { irqs_disabled, local_irq_disable, local_irq_enable, preempt_disable } from './irqflags.ts';
import { KERN_ERR, KERN_INFO, WARN_ON, panic, printk } from './printk.ts';
import { rq_has_work, schedule, wait_event, wait_event_timeout } from './sched.ts';
import { smp_processor_id } from './smp_processor_id.ts';
import { spin_lock, spin_unlock, spinlock_t } from './spinlock.ts';
import { is_i386 } from './subarch.ts';

/** Values of `cpu_state`. */
const CPU_STATE_ONLINE = 0x0002;
const CPU_STATE_UP_PREPARE = 0x0003;
const CPU_STATE_DEAD = 0x0007;

/** The booter has called this CPU. Set by the booter. */
const cpu_callout_map = vmlinux.DEFINE('cpu_callout_map', cpumask_t);
/** This CPU has answered. Set by the CPU itself. */
const cpu_callin_map = vmlinux.DEFINE('cpu_callin_map', cpumask_t);
/** i386: this CPU may go on to the idle loop. Set by the booter. */
const smp_commenced_mask = vmlinux.DEFINE('smp_commenced_mask', cpumask_t);
/** Written by the CPU itself and, before it starts, by the booter; read by __cpu_die. */
const cpu_state = vmlinux.DEFINE_PER_CPU('cpu_state', u32);
/** x86-64: guards the vector tables, which have to be whole when the online bit is set. */
const vector_lock = vmlinux.DEFINE('vector_lock', spinlock_t);

const CALLIN_POLLS = 50_000;
const CALLIN_POLL_US = 100;
const CALLOUT_WAIT_US = 2_000_000;
const STARTUP_VECTOR = 0x9f;

/** The idle loop. Comes back only when this CPU has gone offline and is dead. */
export const cpu_idle = kernel_function('cpu_idle', (): void => {
  do idle_wait();
  while (idle_work());
});

/** The idle loop's first half: until this CPU has something to do. */
export function idle_wait(): void {
  bus.waitUntil(0, idle_is_over, true);
}

/** Whether an idle CPU has something to do. */
export function idle_is_over(): boolean {
  return rq_has_work() || arch.offline() || arch.orphans();
}

/** The idle loop's second half. False if this CPU is dead now. */
export function idle_work(): boolean {
  if (arch.offline()) {
    play_dead();
    return false;
  }
  // Preemption stays off: what gets this CPU is picked here, with a look at whether it still is one.
  if (rq_has_work()) {
    schedule();
    if (arch.offline() || !arch.orphansNow()) return true;
  }
  // The CPU got for the one given away may be dead.
  return !(arch.adopt() && arch.offline());
}

/** The CPU's last steps: after this only INIT and SIPI reach it. */
export const play_dead = kernel_function('play_dead', (): void => {
  const cpu = smp_processor_id();
  if (is_i386()) forget_boot_bits(cpu);
  arch.wbinvd();
  bus.emit(EventType.HOTPLUG, Milestone.DEAD, cpu, 0, 0);
  local_irq_disable();
  arch.shutdown();
  // From here the booter may start this CPU again. Pairs with the poll in __cpu_die.
  WRITE_ONCE(per_cpu(cpu_state, cpu), 'value', CPU_STATE_DEAD);
});

function forget_boot_bits(cpu: number): void {
  cpu_clear(cpu, cpu_callout_map);
  cpu_clear(cpu, cpu_callin_map);
  if (is_i386()) cpu_clear(cpu, smp_commenced_mask);
}

/** The CPU's own tables and registers. */
const cpu_init = kernel_function('cpu_init', (): void => {
  arch.sgdt();
});

/** Says hello to the booter; gives up if the booter never called. */
const smp_callin = kernel_function('smp_callin', (): void => {
  const cpu = smp_processor_id();
  const word = cpu_callout_map.bits.addressOf(cpu >>> 5);
  if (!bus.waitUntilTimeout(word, () => cpu_isset(cpu, cpu_callout_map), CALLOUT_WAIT_US)) {
    panic(`smp_callin: CPU${cpu} started up but did not get a callout!`);
  }
  bus.dropInterrupts();
  bus.emit(EventType.HOTPLUG, Milestone.CALLIN, cpu, 0, 0);
  cpu_set(cpu, cpu_callin_map);
});

function set_online(cpu: number): void {
  cpu_set(cpu, cpu_online_map);
  bus.emit(EventType.HOTPLUG, Milestone.ONLINE_BIT_SET, cpu, 0, 0);
}

/** A CPU's first kernel code. Ends in the idle loop, and returns when the CPU has died. */
export const start_secondary: KernelFunction<[], void> = kernel_function('start_secondary', (): void => {
  come_online();
  cpu_idle();
});

/** From reset to the online map. */
export function come_online(): void {
  const cpu = smp_processor_id();
  cpu_init();
  preempt_disable();
  smp_callin();
  if (is_i386()) {
    const word = smp_commenced_mask.bits.addressOf(cpu >>> 5);
    bus.waitUntil(word, () => cpu_isset(cpu, smp_commenced_mask));
    lock_ipi_call_lock();
    set_online(cpu);
    // Interrupts come on with the unlock: from here the CPU takes cross calls, and can be scheduled on.
    unlock_ipi_call_lock();
    WRITE_ONCE(per_cpu(cpu_state, cpu), 'value', CPU_STATE_ONLINE);
  } else {
    lock_ipi_call_lock();
    spin_lock(vector_lock);
    set_online(cpu);
    WRITE_ONCE(per_cpu(cpu_state, cpu), 'value', CPU_STATE_ONLINE);
    spin_unlock(vector_lock);
    unlock_ipi_call_lock();
  }
  local_irq_enable();
}

/** INIT, two STARTUPs, and up to 5 s of patience. */
const do_boot_cpu = kernel_function('do_boot_cpu', (cpu: number): number => {
  printk(KERN_INFO, `Booting processor ${cpu}/${cpu}`);
  wakeup_secondary_cpu(cpu);
  bus.emit(EventType.HOTPLUG, Milestone.CALLOUT, cpu, 0, 0);
  cpu_set(cpu, cpu_callout_map);
  const word = cpu_callin_map.bits.addressOf(cpu >>> 5);
  const called_in = wait_event_timeout(
    word,
    () => cpu_isset(cpu, cpu_callin_map),
    CALLIN_POLLS * CALLIN_POLL_US,
  );
  if (called_in) return 0;
  printk(KERN_ERR, `Not responding: CPU ${cpu}`);
  cpu_clear(cpu, cpu_callout_map);
  return -EIO;
});

const wakeup_secondary_cpu = kernel_function('wakeup_secondary_cpu', (cpu: number): void => {
  arch.sendInit(cpu);
  arch.sendStartup(cpu, STARTUP_VECTOR);
  arch.sendStartup(cpu, STARTUP_VECTOR);
});

/**
 * Starts a CPU and waits until it is in the online map, without a limit once it has called in.
 * @returns 0; -EIO if it never called in; on x86-64 -EINVAL for a CPU without an APIC, -ENOSYS if it had called in already
 */
export const __cpu_up = kernel_function('__cpu_up', (cpu: number): number => {
  WARN_ON(irqs_disabled(), '__cpu_up: interrupts are off');
  if (!is_i386()) {
    if (cpu >= NR_CPUS || !cpu_present(cpu)) return -EINVAL;
    if (cpu_isset(cpu, cpu_callin_map)) return -ENOSYS;
  }
  WRITE_ONCE(per_cpu(cpu_state, cpu), 'value', CPU_STATE_UP_PREPARE);
  const error = do_boot_cpu(cpu);
  if (error !== 0) return error;
  if (is_i386()) cpu_set(cpu, smp_commenced_mask);
  wait_event(cpu_online_map.bits.addressOf(cpu >>> 5), () => cpu_online(cpu));
  return 0;
});

/** How long a dying CPU lets interrupts that are on their way arrive. */
const DRAIN_US = 1000;

/** On the dying CPU, the machine stopped: leave the map. Refused for CPU 0. */
export const __cpu_disable = kernel_function('__cpu_disable', (): number => {
  const cpu = smp_processor_id();
  if (cpu === 0) return -EBUSY;
  bus.dropInterrupts();
  local_irq_enable();
  bus.waitUntilTimeout(0, () => false, DRAIN_US);
  local_irq_disable();
  if (is_i386()) {
    remove_cpu_from_maps(cpu);
  } else {
    spin_lock(vector_lock);
    remove_cpu_from_maps(cpu);
    spin_unlock(vector_lock);
  }
  return 0;
});

function remove_cpu_from_maps(cpu: number): void {
  cpu_clear(cpu, cpu_online_map);
  bus.emit(EventType.HOTPLUG, Milestone.ONLINE_BIT_CLEARED, cpu, 0, 0);
  if (!is_i386()) forget_boot_bits(cpu);
}

const DIE_POLLS = 10;
const DIE_POLL_US = 100_000;

/** Waits for the CPU's last word, about a second, and then goes on without it. */
export const __cpu_die = kernel_function('__cpu_die', (cpu: number): void => {
  const word = per_cpu_ptr(cpu_state, cpu);
  const died = (): boolean => READ_ONCE(per_cpu(cpu_state, cpu), 'value') === CPU_STATE_DEAD;
  if (wait_event_timeout(word, died, DIE_POLLS * DIE_POLL_US)) {
    printk(KERN_INFO, `CPU ${cpu} is now offline`);
  } else {
    printk(KERN_ERR, `CPU ${cpu} didn't die...`);
  }
});

/** The boot CPU is up before there is anybody to say so. */
export const smp_prepare_boot_cpu = kernel_function('smp_prepare_boot_cpu', (): void => {
  const cpu = smp_processor_id();
  cpu_set(cpu, cpu_online_map);
  cpu_set(cpu, cpu_callout_map);
  cpu_set(cpu, cpu_callin_map);
  WRITE_ONCE(per_cpu(cpu_state, cpu), 'value', CPU_STATE_ONLINE);
});
