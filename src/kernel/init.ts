/**
 * From reset to the idle loop. @linux init/main.c, arch/x86/kernel/setup_percpu, as of 2.6.24
 * Leaves out: everything a machine without devices does not need.
 */
import { bus } from '#memory/bus';
import { MACHINE_BLOCK, MachineWord, PERCPU_BYTES, PERCPU_TEMPLATE } from '#memory/layout';
import { __per_cpu_offset } from '#memory/percpu';
import { memcpy } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { cpu_up } from '#smp/cpu';
import {
  NR_CPUS,
  cpu_online,
  cpu_possible_map,
  cpu_present_map,
  cpu_set,
  first_cpu,
  next_cpu,
  num_online_cpus,
} from '#smp/cpumask';
import { local_irq_enable, preempt_disable } from '#smp/irqflags';
import { KERN_INFO, KERN_NOTICE, panic, printk } from '#smp/printk';
import { migration_init } from '#smp/migration';
import { user_thread } from '#smp/sched';
import { cpu_idle, smp_prepare_boot_cpu } from '#smp/smpboot';
import { mem_init } from './page_alloc.ts';
import { identify_boot_cpu } from './processor.ts';
import { do_basic_setup } from './services.ts';
import { kmem_cache_init } from './slab.ts';

/** Gives every possible CPU its copy of the per-CPU template, and fills __per_cpu_offset (spec 6.9). */
const setup_per_cpu_areas = kernel_function('setup_per_cpu_areas', (): void => {
  const { perCpuAreas } = bus.layout;
  for (let cpu = first_cpu(cpu_possible_map); cpu < NR_CPUS; cpu = next_cpu(cpu, cpu_possible_map)) {
    const area = perCpuAreas + cpu * PERCPU_BYTES;
    memcpy(area, PERCPU_TEMPLATE, PERCPU_BYTES);
    bus.storeLocal32(__per_cpu_offset.addressOf(cpu), area - PERCPU_TEMPLATE);
  }
});

function machine_word(word: number): number {
  return bus.loadLocal32(MACHINE_BLOCK + word * 4);
}

/** The firmware's tables say which CPUs there can be, and which there are. */
const find_cpus = kernel_function('prefill_possible_map', (): void => {
  const { nrPossible } = bus.layout;
  for (let cpu = 0; cpu < nrPossible; cpu++) {
    cpu_set(cpu, cpu_possible_map);
    const present = machine_word(MachineWord.PRESENT + (cpu >>> 5));
    if ((present & (1 << (cpu & 31))) !== 0) cpu_set(cpu, cpu_present_map);
  }
});

/** Brings up the other CPUs, as many as `maxcpus` lets. */
const smp_init = kernel_function('smp_init', (): void => {
  const max_cpus = machine_word(MachineWord.MAX_CPUS);
  for (let cpu = first_cpu(cpu_present_map); cpu < NR_CPUS; cpu = next_cpu(cpu, cpu_present_map)) {
    if (num_online_cpus() >= max_cpus) break;
    if (!cpu_online(cpu)) cpu_up(cpu);
  }
  printk(KERN_INFO, `Brought up ${num_online_cpus()} CPUs`);
});

/** The first task. */
const kernel_init = kernel_function('kernel_init', (): number => {
  migration_init();
  do_basic_setup();
  smp_init();
  return 0;
});

/** The boot CPU's first kernel code. Ends in the idle loop. */
export const start_kernel = kernel_function('start_kernel', (): void => {
  printk(KERN_NOTICE, 'Linux version 2.6.24 (smplab)');
  find_cpus();
  setup_per_cpu_areas();
  smp_prepare_boot_cpu();
  identify_boot_cpu();
  mem_init();
  kmem_cache_init();
  local_irq_enable();
  preempt_disable();
  const init = user_thread(kernel_init.addr, 0, 0);
  // Linux does not look, and idles for ever without its first task: here that is a report.
  if (init < 0) panic(`start_kernel: no first task: ${init}`);
  cpu_idle();
});
