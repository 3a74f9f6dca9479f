/**
 * What the processor is, and its control registers.
 *
 * @linux include/asm-x86/processor.h, include/asm-x86/system.h, arch/x86/kernel/{setup_64,cpu/common}.c, as of 2.6.24
 * Leaves out: everything of cpuinfo that KVM does not ask for, and every other CPU's.
 */
import { vmlinux } from '#memory/image';
import { type Ptr, type StructView, char, struct, u32 } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { type CpuidResult, arch } from '#smp/arch';
import { do_general_protection } from './traps.ts';

export const X86_VENDOR_INTEL = 0;
export const X86_VENDOR_AMD = 2;
export const X86_VENDOR_UNKNOWN = 0xff;

export const X86_CR0_PE = 0x00000001;
export const X86_CR0_NE = 0x00000020;
export const X86_CR0_PG = 0x80000000;
export const X86_CR4_VMXE = 0x00002000;

const cpuinfo_x86 = struct('cpuinfo_x86', {
  x86_vendor: u32,
  x86: u32,
  x86_model: u32,
  x86_mask: u32,
  /** highest standard CPUID leaf */
  cpuid_level: u32,
  extended_cpuid_level: u32,
  /** CR4 as every CPU that starts takes it over; any CPU writes */
  mmu_cr4_features: u32,
  x86_vendor_id: char(16),
});
export type cpuinfo_x86 = StructView<typeof cpuinfo_x86>;

/** Of the boot CPU, whichever CPU asks. Immutable after boot, but for mmu_cr4_features. */
export const boot_cpu_data = vmlinux.DEFINE('boot_cpu_data', cpuinfo_x86);

/** A leaf on the executing CPU. */
export function cpuid(leaf: number): CpuidResult {
  return arch.cpuid(leaf);
}

export function cpuid_eax(leaf: number): number {
  return arch.cpuid(leaf).eax;
}

export function cpuid_ebx(leaf: number): number {
  return arch.cpuid(leaf).ebx;
}

export function cpuid_ecx(leaf: number): number {
  return arch.cpuid(leaf).ecx;
}

export function cpuid_edx(leaf: number): number {
  return arch.cpuid(leaf).edx;
}

/** Four bytes of a register as text. */
function text_of(register: number): string {
  const at = (shift: number): string => String.fromCharCode((register >>> shift) & 0xff);
  return at(0) + at(8) + at(16) + at(24);
}

function vendor_of(id: string): number {
  if (id === 'GenuineIntel') return X86_VENDOR_INTEL;
  return id === 'AuthenticAMD' ? X86_VENDOR_AMD : X86_VENDOR_UNKNOWN;
}

/** Boot, on the boot CPU. */
export const identify_boot_cpu = kernel_function('identify_boot_cpu', (): void => {
  const { eax, ebx, ecx, edx } = arch.cpuid(0);
  const id = text_of(ebx) + text_of(edx) + text_of(ecx);
  boot_cpu_data.x86_vendor_id = id;
  boot_cpu_data.x86_vendor = vendor_of(id);
  boot_cpu_data.cpuid_level = eax;
  boot_cpu_data.extended_cpuid_level = arch.cpuid(0x80000000).eax;
  const signature = arch.cpuid(1).eax;
  const family = (signature >>> 8) & 0xf;
  const model = (signature >>> 4) & 0xf;
  const extended = family === 0xf || family === 0x6 ? ((signature >>> 16) & 0xf) << 4 : 0;
  boot_cpu_data.x86 = family === 0xf ? family + ((signature >>> 20) & 0xff) : family;
  boot_cpu_data.x86_model = model + extended;
  boot_cpu_data.x86_mask = signature & 0xf;
});

export function read_cr0(): number {
  return arch.readCr0();
}

export function read_cr4(): number {
  return arch.readCr4();
}

/** A bit the processor does not have, or may not lose in VMX operation, is an oops. */
export function write_cr4(value: number): void {
  if (!arch.writeCr4(value)) do_general_protection(`mov to cr4 of 0x${(value >>> 0).toString(16)}`);
}

/** Sets bits in this CPU's CR4, and in those of CPUs that start later. */
export function set_in_cr4(mask: number): void {
  boot_cpu_data.mmu_cr4_features |= mask;
  write_cr4(read_cr4() | mask);
}

export function clear_in_cr4(mask: number): void {
  boot_cpu_data.mmu_cr4_features &= ~mask;
  write_cr4(read_cr4() & ~mask);
}

/** Base of this CPU's GDT (SGDT). */
export function store_gdt(): Ptr {
  return arch.sgdt();
}

export function wbinvd(): void {
  arch.wbinvd();
}
