/**
 * What each CPU of a machine at rest holds for KVM: the kernel's belief (online, its bit in cpus_hardware_enabled), the
 * vendor module's per-CPU pointer, and the registers that turn virtualisation on. Reads offline CPUs as well.
 */
// First, and before any single file of the kernel: this import decides every address.
import { CpuWord } from '#memory/layout';
import { MSR_NUMBERS, Msr } from '#memory/firmware';
import { per_cpu } from '#memory/percpu';
import { NULL, type Ptr } from '#memory/struct';
import { find_module } from '#kernel/module';
import { is_free_block, page, page_count, virt_addr_valid, virt_to_head_page } from '#kernel/page';
import { cpus_hardware_enabled } from '#kernel/kvm/kvm_main_hardware';
import { svm_cpu_data, svm_data } from '#kernel/kvm/svm_data';
import { vmxarea } from '#kernel/kvm/vmx_data';
import { cpu_isset, cpu_online } from '#smp/cpumask';
import type { Machine } from './machine.ts';

/** The vendor module's per-CPU pointer on one CPU. */
export interface PerCpuPointer {
  readonly name: 'svm_data' | 'vmxarea';
  /** Hex; 0x0 = NULL. */
  readonly value: string;
  /** The CPU whose data it points to; null for NULL, and for a pointer whose object was given back. */
  readonly owner: number | null;
}

/** One CPU. Registers are hex strings; null = this CPU has no such register. */
export type KvmCpuState = {
  readonly cpu: number;
  readonly online: boolean;
  /** Its bit in cpus_hardware_enabled: "attempted", not "succeeded" (spec 5.1). False while kvm is not loaded. */
  readonly hardwareEnabled: boolean;
  readonly perCpuPointer: PerCpuPointer;
} & (
  | { readonly efer: string | null; readonly vm_hsave_pa: string | null }
  | { readonly feature_control: string | null; readonly cr4: string; readonly inVmxRoot: boolean }
);

function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

/** What an MSR holds, or null on a CPU that lacks it. */
function msrOf(machine: Machine, cpu: number, msr: number): string | null {
  const registers = machine.bus.registersOf(cpu);
  const slot = MSR_NUMBERS.indexOf(msr);
  const isPresent = (registers.get(CpuWord.MSR_PRESENT + (slot >>> 5)) & (1 << (slot & 31))) !== 0;
  return isPresent ? hex(registers.get64(CpuWord.MSRS + slot * 2)) : null;
}

/** True if the memory at an address is allocated. */
function isAllocated(address: Ptr): boolean {
  if (address === NULL || !virt_addr_valid(address)) return false;
  const head = virt_to_head_page(address);
  return !is_free_block(page.at(head)) && page_count(head) > 0;
}

function svmPointer(cpu: number, possible: number): PerCpuPointer {
  const { value } = per_cpu(svm_data, cpu);
  const says = isAllocated(value) ? svm_cpu_data.at(value).cpu : -1;
  // A freed object is poisoned: what it says is no CPU.
  return { name: 'svm_data', value: hex(value), owner: says >= 0 && says < possible ? says : null };
}

function vmxPointer(cpu: number): PerCpuPointer {
  const { value } = per_cpu(vmxarea, cpu);
  // free_kvm_area leaves the pointers as they are: after unloading they dangle (spec 4.4).
  const isLive = find_module('kvm-intel') !== NULL && isAllocated(value);
  return { name: 'vmxarea', value: hex(value), owner: isLive ? cpu : null };
}

/** Every possible CPU, ascending. The machine must be at rest. */
export function kvmState(machine: Machine): KvmCpuState[] {
  const { possible, vendor } = machine.config;
  return machine.look(() => {
    const isLoaded = find_module('kvm') !== NULL;
    return Array.from({ length: possible }, (_, cpu): KvmCpuState => {
      const registers = machine.bus.registersOf(cpu);
      const belief = {
        cpu,
        online: cpu_online(cpu),
        hardwareEnabled: isLoaded && cpu_isset(cpu, cpus_hardware_enabled),
      };
      if (vendor === 'amd') {
        return {
          ...belief,
          efer: msrOf(machine, cpu, Msr.EFER),
          vm_hsave_pa: msrOf(machine, cpu, Msr.VM_HSAVE_PA),
          perCpuPointer: svmPointer(cpu, possible),
        };
      }
      return {
        ...belief,
        feature_control: msrOf(machine, cpu, Msr.FEATURE_CONTROL),
        cr4: hex(registers.get(CpuWord.CR4) >>> 0),
        inVmxRoot: registers.get(CpuWord.IN_VMX_ROOT) !== 0,
        perCpuPointer: vmxPointer(cpu),
      };
    });
  });
}

/** What svm_hardware_enable writes into a CPU's svm_cpu_data. */
export interface SvmCpuData {
  readonly asid_generation: bigint;
  readonly max_asid: number;
  readonly next_asid: number;
}

/** Undefined on a CPU that has none. The machine must be at rest. */
export function svmCpuData(machine: Machine, cpu: number): SvmCpuData | undefined {
  return machine.look(() => {
    const { value } = per_cpu(svm_data, cpu);
    if (!isAllocated(value)) return undefined;
    const { asid_generation, max_asid, next_asid } = svm_cpu_data.at(value);
    return { asid_generation, max_asid, next_asid };
  });
}
