/**
 * Text of /proc/cpuinfo: each CPU as its own CPUID describes it.
 *
 * @linux arch/x86/kernel/cpu/proc.c, as of 2.6.24
 * Leaves out: lines about what the processors here do not have (frequency, caches, bugs), and flags found otherwise than by
 * CPUID. The model's name stands where CPUID would have a brand string.
 */
import { bus } from '#memory/bus';
import { CpuWord, cpuBlock } from '#memory/layout';
import { kernel_function } from '#memory/symbols';
import { NR_CPUS, first_online_cpu, next_online_cpu } from '#smp/cpumask';
import { boot_cpu_data } from '../processor.ts';

const LEAF_WORDS = 5;

/** What a CPU's own CPUID answers; a look into its block, as the kernel took one when the CPU started. */
function cpuid_of(cpu: number, leaf: number, register: number): number {
  const block = cpuBlock(bus.layout, cpu);
  const count = bus.loadLocal32(block + CpuWord.CPUID_COUNT * 4);
  for (let index = 0; index < count; index++) {
    const at = block + (CpuWord.CPUID + index * LEAF_WORDS) * 4;
    if (bus.loadLocal32(at) >>> 0 === leaf) return bus.loadLocal32(at + register * 4) >>> 0;
  }
  return 0;
}

const EAX = 1;
const ECX = 3;
const EDX = 4;

/** Names of the bits of leaf 1 EDX, 0x80000001 EDX, leaf 1 ECX and 0x80000001 ECX, as the kernel of that time knew them; `-` has none. */
const FLAGS_1_EDX =
  'fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts acpi mmx fxsr sse sse2 ss ht tm ia64 pbe';
const FLAGS_EXT_EDX =
  '- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm 3dnowext 3dnow';
const FLAGS_1_ECX =
  'pni - - monitor ds_cpl vmx smx est tm2 ssse3 cid - - cx16 xtpr pdcm - - dca sse4_1 sse4_2 - - popcnt';
const FLAGS_EXT_ECX =
  'lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs sse5 skinit wdt';

function flags_of(bits: number, names: string): string {
  let text = '';
  let bit = 0;
  for (const name of names.split(' ')) {
    if (name !== '-' && ((bits >>> bit) & 1) !== 0) text += ` ${name}`;
    bit += 1;
  }
  return text;
}

function model_name(family: number, model: number): string {
  if (family === 0xf && model === 0x68) return 'AMD Turion(tm) 64 X2 Mobile Technology TL-60';
  if (family === 0x10) return 'AMD Phenom(tm) 8650 Triple-Core Processor';
  if (family === 6 && model === 23) return 'Intel(R) Xeon(R) CPU           X5482';
  return 'unknown';
}

function show_cpuinfo(cpu: number): string {
  const signature = cpuid_of(cpu, 1, EAX);
  const base = (signature >>> 8) & 0xf;
  const family = base === 0xf ? base + ((signature >>> 20) & 0xff) : base;
  const extended = base === 0xf || base === 6 ? ((signature >>> 16) & 0xf) << 4 : 0;
  const model = ((signature >>> 4) & 0xf) + extended;
  const flags =
    flags_of(cpuid_of(cpu, 1, EDX), FLAGS_1_EDX) +
    flags_of(cpuid_of(cpu, 0x80000001, EDX), FLAGS_EXT_EDX) +
    flags_of(cpuid_of(cpu, 1, ECX), FLAGS_1_ECX) +
    flags_of(cpuid_of(cpu, 0x80000001, ECX), FLAGS_EXT_ECX);
  const physical_bits = cpuid_of(cpu, 0x80000008, EAX) & 0xff;
  return (
    `processor\t: ${cpu}\n` +
    `vendor_id\t: ${boot_cpu_data.x86_vendor_id}\n` +
    `cpu family\t: ${family}\n` +
    `model\t\t: ${model}\n` +
    `model name\t: ${model_name(family, model)}\n` +
    `stepping\t: ${signature & 0xf}\n` +
    `fpu\t\t: yes\n` +
    `cpuid level\t: ${cpuid_of(cpu, 0, EAX)}\n` +
    `wp\t\t: yes\n` +
    `flags\t\t:${flags}\n` +
    `address sizes\t: ${physical_bits} bits physical, 48 bits virtual\n\n`
  );
}

export const proc_cpuinfo = kernel_function('c_show', (): string => {
  let text = '';
  for (let cpu = first_online_cpu(); cpu < NR_CPUS; cpu = next_online_cpu(cpu)) text += show_cpuinfo(cpu);
  return text;
});
