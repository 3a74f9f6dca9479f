/**
 * Where a VMCS is: which CPU has it, and how it gets from one to another (spec 4.8).
 *
 * A processor keeps what it likes of a VMCS until VMCLEAR on that very processor. So a vCPU that moves sends an interrupt
 * to where it was, and waits: the one cross call that happens while a task is switched in.
 *
 * @linux drivers/kvm/vmx.c, as of kvm-54
 * Leaves out: segment registers and the MSRs that a guest beyond real mode would have switched.
 */
import { per_cpu } from '#memory/percpu';
import { NULL, type Ptr } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { on_each_cpu, smp_call_function_single } from '#smp/call_function';
import { raw_smp_processor_id } from '#smp/irqflags';
import { KERN_ERR, printk } from '#smp/printk';
import { is_i386 } from '#smp/subarch';
import { rdmsrl } from '../msr.ts';
import { __pa } from '../page_alloc.ts';
import { store_gdt } from '../processor.ts';
import { VMCS_FIELD, asm_vmclear, asm_vmptrld, rdtscll } from './asm.ts';
import { GDT_ENTRY_BYTES, GDT_ENTRY_TSS, GDT_ENTRY_TSS_I386 } from './kvm.ts';
import { MSR_IA32_SYSENTER_ESP } from './msr_index.ts';
import {
  current_vmcs,
  format_pointer,
  to_vmx,
  vcpu_vmx,
  vmcs_read64,
  vmcs_write64,
  vmcs_writel,
} from './vmx_data.ts';
import { free_vmcs } from './vmx_setup.ts';
import { kvm_migrate_apic_timer } from './x86.ts';

export const vmcs_clear = kernel_function('vmcs_clear', (region: Ptr): void => {
  const phys_addr = __pa(region);
  if (!asm_vmclear(region, phys_addr)) {
    printk(KERN_ERR, `kvm: vmclear fail: ${format_pointer(region)}/${phys_addr.toString(16)}`);
  }
});

/** On whatever CPU: if that has the VMCS, it has it no longer. Runs in an interrupt, or with interrupts off. */
export const __vcpu_clear = kernel_function('__vcpu_clear', (arg: Ptr): void => {
  const vmx = vcpu_vmx.at(arg);
  const cpu = raw_smp_processor_id();
  if (vmx.vcpu.cpu === cpu) vmcs_clear(vmx.vmcs);
  const mine = per_cpu(current_vmcs, cpu);
  if (mine.value === vmx.vmcs) mine.value = NULL;
  vmx.vcpu.host_tsc = rdtscll();
});

/** Takes the VMCS off the CPU it was on last, and waits for that. */
export const vcpu_clear = kernel_function('vcpu_clear', (vmx: vcpu_vmx): void => {
  if (vmx.vcpu.cpu === -1) return;
  // If that CPU is this one, interrupts are on when this returns: also in CPU_DYING, where nobody wants them (spec 5.2).
  smp_call_function_single(vmx.vcpu.cpu, __vcpu_clear, vmx.addr, 0, 1);
  vmx.launched = 0;
});

/** Where the TSS is that TR of this CPU points to: its place in the GDT stands for it. */
function read_tr_base(gdt: Ptr): bigint {
  return BigInt(gdt + (is_i386() ? GDT_ENTRY_TSS_I386 : GDT_ENTRY_TSS) * GDT_ENTRY_BYTES);
}

/** This CPU is to run the vCPU, preemption off. */
export const vmx_vcpu_load = kernel_function('vmx_vcpu_load', (vcpu: Ptr, cpu: number): void => {
  const vmx = to_vmx(vcpu);
  const phys_addr = __pa(vmx.vmcs);

  if (vmx.vcpu.cpu !== cpu) {
    vcpu_clear(vmx);
    kvm_migrate_apic_timer(vmx.vcpu);
  }

  const mine = per_cpu(current_vmcs, cpu);
  if (mine.value !== vmx.vmcs) {
    mine.value = vmx.vmcs;
    if (!asm_vmptrld(phys_addr)) {
      printk(KERN_ERR, `kvm: vmptrld ${format_pointer(vmx.vmcs)}/${phys_addr.toString(16)} fail`);
    }
  }

  if (vmx.vcpu.cpu !== cpu) {
    vmx.vcpu.cpu = cpu;
    // What the processor takes up after an exit is this CPU's own.
    const gdt = store_gdt();
    vmcs_writel(VMCS_FIELD.HOST_TR_BASE, read_tr_base(gdt));
    vmcs_writel(VMCS_FIELD.HOST_GDTR_BASE, BigInt(gdt));
    vmcs_writel(VMCS_FIELD.HOST_IA32_SYSENTER_ESP, rdmsrl(MSR_IA32_SYSENTER_ESP));
    // The guest's time must not run backwards because this CPU's counter is behind the last one's.
    const delta = vmx.vcpu.host_tsc - rdtscll();
    vmcs_write64(VMCS_FIELD.TSC_OFFSET, vmcs_read64(VMCS_FIELD.TSC_OFFSET) + delta);
  }
});

export const vmx_save_host_state = kernel_function('vmx_save_host_state', (vcpu: Ptr): void => {
  const vmx = to_vmx(vcpu);
  if (vmx.host_state_loaded !== 0) return;
  vmx.host_state_loaded = 1;
});

export const vmx_load_host_state = kernel_function('vmx_load_host_state', (vmx: vcpu_vmx): void => {
  if (vmx.host_state_loaded === 0) return;
  vmx.vcpu.stat.host_state_reload += 1;
  vmx.host_state_loaded = 0;
});

/** The VMCS stays where it is: whoever runs next on this CPU may be the same vCPU. */
export const vmx_vcpu_put = kernel_function('vmx_vcpu_put', (vcpu: Ptr): void => {
  vmx_load_host_state(to_vmx(vcpu));
});

export const vmx_vcpu_decache = kernel_function('vmx_vcpu_decache', (vcpu: Ptr): void => {
  vcpu_clear(to_vmx(vcpu));
});

/** Every CPU is asked, for the page must be nobody's when it is given back. */
export const vmx_free_vmcs = kernel_function('vmx_free_vmcs', (vmx: vcpu_vmx): void => {
  if (vmx.vmcs === NULL) return;
  on_each_cpu(__vcpu_clear, vmx.addr, 0, 1);
  free_vmcs(vmx.vmcs);
  vmx.vmcs = NULL;
});
