/**
 * Intel VMX on the machine's side: is it there, what can it do, and each CPU's VMXON region (spec 4.2-4.5).
 *
 * Everything is done by the CPU that loads the module, for the CPUs online at that moment; only the comparison of
 * capabilities runs on each.
 *
 * @linux drivers/kvm/vmx.c, as of kvm-54
 * Leaves out: EPT, VPID and the TRUE controls, which came later.
 */
import { EIO, ENOMEM } from '#base/errno';
import { per_cpu } from '#memory/percpu';
import { stack_alloc } from '#memory/stack';
import { NULL, type Ptr, array, memset, s32, u32, variableAt } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { NR_CPUS, first_online_cpu, next_online_cpu } from '#smp/cpumask';
import { raw_smp_processor_id } from '#smp/irqflags';
import { smp_processor_id } from '#smp/smp_processor_id';
import { KERN_ERR, printk } from '#smp/printk';
import { is_i386 } from '#smp/subarch';
import { rdmsrl } from '../msr.ts';
import { GFP_KERNEL, PAGE_SIZE, alloc_pages_node, free_pages, page_address } from '../page_alloc.ts';
import { cpuid_ecx } from '../processor.ts';
import { vmcs } from './asm.ts';
import {
  MSR_IA32_FEATURE_CONTROL,
  MSR_IA32_FEATURE_CONTROL_LOCKED,
  MSR_IA32_FEATURE_CONTROL_VMXON_ENABLED,
  MSR_IA32_VMX_BASIC,
  MSR_IA32_VMX_ENTRY_CTLS,
  MSR_IA32_VMX_EXIT_CTLS,
  MSR_IA32_VMX_PINBASED_CTLS,
  MSR_IA32_VMX_PROCBASED_CTLS,
  MSR_IA32_VMX_PROCBASED_CTLS2,
} from './msr_index.ts';
import {
  CPU_BASED_ACTIVATE_SECONDARY_CONTROLS,
  CPU_BASED_CR8_LOAD_EXITING,
  CPU_BASED_CR8_STORE_EXITING,
  CPU_BASED_HLT_EXITING,
  CPU_BASED_MOV_DR_EXITING,
  CPU_BASED_TPR_SHADOW,
  CPU_BASED_USE_IO_BITMAPS,
  CPU_BASED_USE_TSC_OFFSETING,
  PIN_BASED_EXT_INTR_MASK,
  PIN_BASED_NMI_EXITING,
  SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES,
  SECONDARY_EXEC_WBINVD_EXITING,
  VM_EXIT_HOST_ADDR_SPACE_SIZE,
  vmcs_config,
  vmcs_config_t,
  vmxarea,
} from './vmx_data.ts';

const CPUID_1_ECX_VMX = 1 << 5;

export const cpu_has_kvm_support = kernel_function('cpu_has_kvm_support', (): number =>
  (cpuid_ecx(1) & CPUID_1_ECX_VMX) !== 0 ? 1 : 0,
);

/** Locked without VMXON is a no. Not locked is a yes: vmx_hardware_enable will enable and lock it. */
export const vmx_disabled_by_bios = kernel_function('vmx_disabled_by_bios', (): number => {
  const both = MSR_IA32_FEATURE_CONTROL_LOCKED | MSR_IA32_FEATURE_CONTROL_VMXON_ENABLED;
  return (rdmsrl(MSR_IA32_FEATURE_CONTROL) & both) === MSR_IA32_FEATURE_CONTROL_LOCKED ? 1 : 0;
});

/**
 * The controls of one kind that KVM will use: what it must have, what it would like, and what the processor insists on.
 * @returns the control word, or -EIO if the processor lacks something of `ctl_min`
 */
export const adjust_vmx_controls = kernel_function(
  'adjust_vmx_controls',
  (ctl_min: number, ctl_opt: number, msr: number): number => {
    const value = rdmsrl(msr);
    const vmx_msr_low = Number(BigInt.asUintN(32, value));
    const vmx_msr_high = Number(value >> 32n);
    let ctl = ctl_min | ctl_opt;
    ctl &= vmx_msr_high; // a 0 in the high word: must be 0
    ctl |= vmx_msr_low; // a 1 in the low word: must be 1
    return (ctl_min & ~ctl) !== 0 ? -EIO : ctl >>> 0;
  },
);

function primary_controls(): number {
  const min =
    CPU_BASED_HLT_EXITING |
    CPU_BASED_USE_IO_BITMAPS |
    CPU_BASED_MOV_DR_EXITING |
    CPU_BASED_USE_TSC_OFFSETING |
    (is_i386() ? 0 : CPU_BASED_CR8_LOAD_EXITING | CPU_BASED_CR8_STORE_EXITING);
  const opt = CPU_BASED_TPR_SHADOW | CPU_BASED_ACTIVATE_SECONDARY_CONTROLS;
  const ctl = adjust_vmx_controls(min, opt, MSR_IA32_VMX_PROCBASED_CTLS);
  // With a TPR shadow the processor keeps CR8 itself.
  if (ctl < 0 || is_i386() || (ctl & CPU_BASED_TPR_SHADOW) === 0) return ctl;
  return (ctl & ~(CPU_BASED_CR8_LOAD_EXITING | CPU_BASED_CR8_STORE_EXITING)) >>> 0;
}

const VMX_BASIC_SIZE_MASK = 0x1fff;
const VMX_BASIC_32_BIT_ADDRESSES = 1 << 16;
const VMX_BASIC_MEMORY_TYPE_SHIFT = 18;
const MEMORY_TYPE_WRITE_BACK = 6;

function get_order(size: number): number {
  let order = 0;
  while (PAGE_SIZE << order < size) order++;
  return order;
}

/** Asks this CPU what it can do. Nothing is stored unless everything will do. */
export const setup_vmcs_config = kernel_function('setup_vmcs_config', (vmcs_conf: vmcs_config_t): number => {
  const pin = adjust_vmx_controls(
    PIN_BASED_EXT_INTR_MASK | PIN_BASED_NMI_EXITING,
    0,
    MSR_IA32_VMX_PINBASED_CTLS,
  );
  if (pin < 0) return -EIO;

  let cpu_based = primary_controls();
  if (cpu_based < 0) return -EIO;

  let cpu_based_2nd = 0;
  if ((cpu_based & CPU_BASED_ACTIVATE_SECONDARY_CONTROLS) !== 0) {
    const opt2 = SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES | SECONDARY_EXEC_WBINVD_EXITING;
    cpu_based_2nd = adjust_vmx_controls(0, opt2, MSR_IA32_VMX_PROCBASED_CTLS2);
    if (cpu_based_2nd < 0) return -EIO;
  }
  if (is_i386() && (cpu_based_2nd & SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES) === 0) {
    cpu_based = (cpu_based & ~CPU_BASED_TPR_SHADOW) >>> 0;
  }

  const vmexit = adjust_vmx_controls(is_i386() ? 0 : VM_EXIT_HOST_ADDR_SPACE_SIZE, 0, MSR_IA32_VMX_EXIT_CTLS);
  if (vmexit < 0) return -EIO;
  const vmentry = adjust_vmx_controls(0, 0, MSR_IA32_VMX_ENTRY_CTLS);
  if (vmentry < 0) return -EIO;

  const basic = rdmsrl(MSR_IA32_VMX_BASIC);
  const vmx_msr_high = Number(basic >> 32n);
  // IA-32 SDM vol. 3: a region is never larger than a page.
  if ((vmx_msr_high & VMX_BASIC_SIZE_MASK) > PAGE_SIZE) return -EIO;
  if (!is_i386() && (vmx_msr_high & VMX_BASIC_32_BIT_ADDRESSES) !== 0) return -EIO;
  if (((vmx_msr_high >>> VMX_BASIC_MEMORY_TYPE_SHIFT) & 15) !== MEMORY_TYPE_WRITE_BACK) return -EIO;

  vmcs_conf.size = vmx_msr_high & VMX_BASIC_SIZE_MASK;
  vmcs_conf.order = get_order(vmcs_config.size); // the global one's size, whosever order this is
  vmcs_conf.revision_id = Number(BigInt.asUintN(32, basic));
  vmcs_conf.pin_based_exec_ctrl = pin;
  vmcs_conf.cpu_based_exec_ctrl = cpu_based;
  vmcs_conf.cpu_based_2nd_exec_ctrl = cpu_based_2nd;
  vmcs_conf.vmexit_ctrl = vmexit;
  vmcs_conf.vmentry_ctrl = vmentry;
  return 0;
});

/** A region for VMXON or for a VMCS, on the CPU's node; NULL if there is no memory. */
export const alloc_vmcs_cpu = kernel_function('alloc_vmcs_cpu', (cpu: number): Ptr => {
  const node = cpu_to_node(cpu);
  const pages = alloc_pages_node(node, GFP_KERNEL, vmcs_config.order);
  if (pages === NULL) return NULL;
  const region = page_address(pages);
  memset(region, 0, vmcs_config.size);
  vmcs.at(region).revision_id = vmcs_config.revision_id;
  return region;
});

/** All memory is one node's. */
function cpu_to_node(_cpu: number): number {
  return 0;
}

export const alloc_vmcs = kernel_function('alloc_vmcs', (): Ptr => alloc_vmcs_cpu(raw_smp_processor_id()));

/** NULL is fine. */
export const free_vmcs = kernel_function('free_vmcs', (region: Ptr): void => {
  free_pages(region, vmcs_config.order);
});

/** The regions of the CPUs that are online **now**. The pointers are left as they are. */
export const free_kvm_area = kernel_function('free_kvm_area', (): void => {
  for (let cpu = first_online_cpu(); cpu < NR_CPUS; cpu = next_online_cpu(cpu)) {
    free_vmcs(per_cpu(vmxarea, cpu).value);
  }
});

export const alloc_kvm_area = kernel_function('alloc_kvm_area', (): number => {
  for (let cpu = first_online_cpu(); cpu < NR_CPUS; cpu = next_online_cpu(cpu)) {
    const region = alloc_vmcs_cpu(cpu);
    if (region === NULL) {
      free_kvm_area();
      return -ENOMEM;
    }
    per_cpu(vmxarea, cpu).value = region;
  }
  return 0;
});

export const hardware_setup = kernel_function('hardware_setup', (): number => {
  if (setup_vmcs_config(vmcs_config) < 0) return -EIO;
  return alloc_kvm_area();
});

export const hardware_unsetup = kernel_function('hardware_unsetup', (): void => {
  free_kvm_area();
});

const CONFIG_WORDS = vmcs_config_t.size / u32.size;

function same_config(left: Ptr, right: Ptr): boolean {
  const a = array(u32, CONFIG_WORDS).at(left);
  const b = array(u32, CONFIG_WORDS).at(right);
  for (let word = 0; word < CONFIG_WORDS; word++) {
    if (a.get(word) !== b.get(word)) return false;
  }
  return true;
}

/**
 * Runs on each CPU by cross call: can this one do what the loading CPU can? The answer goes through the pointer, one
 * place for all CPUs; they are asked one after the other.
 * If the CPU lacks something altogether, the copy compared is whatever the stack held.
 */
export const vmx_check_processor_compat = kernel_function('vmx_check_processor_compat', (rtn: Ptr): void => {
  const vmcs_conf = stack_alloc(vmcs_config_t);
  const answer = variableAt(s32, rtn);
  answer.value = 0;
  if (setup_vmcs_config(vmcs_conf) < 0) answer.value = -EIO;
  if (!same_config(vmcs_config.addr, vmcs_conf.addr)) {
    printk(KERN_ERR, `kvm: CPU ${smp_processor_id()} feature inconsistency!`);
    answer.value = -EIO;
  }
});
