/**
 * Intel VMX: the module's entry and exit, and what turns a CPU's virtualisation on and off (spec 1.2, 4.6, 4.7).
 *
 * kvm-54 has two static functions named hardware_enable, and two named hardware_disable: kvm_main's, and these. Symbols are
 * unique here, so these are vmx_hardware_enable and vmx_hardware_disable.
 *
 * @linux drivers/kvm/vmx.c, as of kvm-54
 * Leaves out: see vmx_vcpu.ts for guests.
 */
import { ENOMEM } from '#base/errno';
import { clear_bit } from '#memory/atomic';
import { per_cpu } from '#memory/percpu';
import { NULL, type Ptr, memset } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { raw_smp_processor_id } from '#smp/irqflags';
import { declare_module } from '../module.ts';
import { rdmsrl, wrmsrl } from '../msr.ts';
import {
  GFP_KERNEL,
  PAGE_SIZE,
  __GFP_HIGHMEM,
  __free_page,
  __pa,
  alloc_page,
  kmap,
  kunmap,
} from '../page_alloc.ts';
import { X86_CR4_VMXE, read_cr4, write_cr4 } from '../processor.ts';
import { asm_vmxoff, asm_vmxon } from './asm.ts';
import { kvm_x86_ops_t } from './kvm.ts';
import { kvm_intel_ko, kvm_ko } from './kvm_ko.ts';
import { kvm_exit, kvm_init } from './kvm_main.ts';
import { kvm_mmu_set_nonpresent_ptes } from './mmu.ts';
import {
  MSR_IA32_FEATURE_CONTROL,
  MSR_IA32_FEATURE_CONTROL_LOCKED,
  MSR_IA32_FEATURE_CONTROL_VMXON_ENABLED,
} from './msr_index.ts';
import { bypass_guest_pf, vcpu_vmx, vmx_io_bitmap_a, vmx_io_bitmap_b, vmxarea } from './vmx_data.ts';
import {
  cpu_has_kvm_support,
  hardware_setup,
  hardware_unsetup,
  vmx_check_processor_compat,
  vmx_disabled_by_bios,
} from './vmx_setup.ts';
import {
  vcpu_load_rsp_rip,
  vmx_create_vcpu,
  vcpu_put_rsp_rip,
  vmx_flush_tlb,
  vmx_free_vcpu,
  vmx_get_rflags,
  vmx_handle_exit,
  vmx_set_rflags,
  vmx_set_tss_addr,
  vmx_vcpu_reset,
  vmx_vcpu_run,
} from './vmx_vcpu.ts';
import { vmx_save_host_state, vmx_vcpu_decache, vmx_vcpu_load, vmx_vcpu_put } from './vmx_vmcs.ts';

/**
 * hardware_enable in kvm-54. On the CPU concerned, interrupts off. Whether VMXON succeeded is not looked at: a CPU that
 * came online after loading has no region, and VMXON with the address of NULL fails in silence (spec B.7).
 */
export const vmx_hardware_enable = kernel_function('vmx_hardware_enable', (_garbage: Ptr): void => {
  const cpu = raw_smp_processor_id();
  const phys_addr = __pa(per_cpu(vmxarea, cpu).value);

  const old = rdmsrl(MSR_IA32_FEATURE_CONTROL);
  const both = MSR_IA32_FEATURE_CONTROL_LOCKED | MSR_IA32_FEATURE_CONTROL_VMXON_ENABLED;
  // Faults on a CPU whose BIOS locked VMXON out: only the loading CPU was asked (spec B.7).
  if ((old & both) !== both) wrmsrl(MSR_IA32_FEATURE_CONTROL, old | both);

  write_cr4(read_cr4() | X86_CR4_VMXE); // this register only: not what a CPU gets when it is brought up
  asm_vmxon(phys_addr);
});

/** hardware_disable in kvm-54. CR4.VMXE stays set (cleared since 2.6.26). */
export const vmx_hardware_disable = kernel_function('vmx_hardware_disable', (_garbage: Ptr): void => {
  asm_vmxoff();
});

export const vmx_x86_ops = kvm_intel_ko.DEFINE('vmx_x86_ops', kvm_x86_ops_t, {
  cpu_has_kvm_support: cpu_has_kvm_support.addr,
  disabled_by_bios: vmx_disabled_by_bios.addr,
  hardware_setup: hardware_setup.addr,
  hardware_unsetup: hardware_unsetup.addr,
  check_processor_compatibility: vmx_check_processor_compat.addr,
  hardware_enable: vmx_hardware_enable.addr,
  hardware_disable: vmx_hardware_disable.addr,
  vcpu_create: vmx_create_vcpu.addr,
  vcpu_free: vmx_free_vcpu.addr,
  vcpu_reset: vmx_vcpu_reset.addr,
  prepare_guest_switch: vmx_save_host_state.addr,
  vcpu_load: vmx_vcpu_load.addr,
  vcpu_put: vmx_vcpu_put.addr,
  vcpu_decache: vmx_vcpu_decache.addr,
  cache_regs: vcpu_load_rsp_rip.addr,
  decache_regs: vcpu_put_rsp_rip.addr,
  get_rflags: vmx_get_rflags.addr,
  set_rflags: vmx_set_rflags.addr,
  tlb_flush: vmx_flush_tlb.addr,
  run: vmx_vcpu_run.addr,
  handle_exit: vmx_handle_exit.addr,
  set_tss_addr: vmx_set_tss_addr.addr,
});

/** Present bit and reserved bits: an empty entry whose fault is told apart by its error code. */
const TRAP_NONPRESENT_PTE = BigInt.asUintN(64, ~0xffen);

export const vmx_init = kernel_function('vmx_init', (): number => {
  vmx_io_bitmap_a.value = alloc_page(GFP_KERNEL | __GFP_HIGHMEM);
  if (vmx_io_bitmap_a.value === NULL) return -ENOMEM;

  let r: number;
  out: {
    vmx_io_bitmap_b.value = alloc_page(GFP_KERNEL | __GFP_HIGHMEM);
    if (vmx_io_bitmap_b.value === NULL) {
      r = -ENOMEM;
      break out;
    }

    // The guest may write to the debug port itself: it is often used to wait a little.
    const iova_a = kmap(vmx_io_bitmap_a.value);
    memset(iova_a, 0xff, PAGE_SIZE);
    clear_bit(0x80, iova_a);
    kunmap(vmx_io_bitmap_a.value);
    const iova_b = kmap(vmx_io_bitmap_b.value);
    memset(iova_b, 0xff, PAGE_SIZE);
    kunmap(vmx_io_bitmap_b.value);

    out1: {
      r = kvm_init(vmx_x86_ops.addr, vcpu_vmx.size, THIS_MODULE.addr);
      if (r !== 0) break out1;
      // /dev/kvm is there already: a VM made by now has the old patterns (spec 1.2).
      if (bypass_guest_pf.value !== 0) kvm_mmu_set_nonpresent_ptes(TRAP_NONPRESENT_PTE, 0n);
      return 0;
    }
    __free_page(vmx_io_bitmap_b.value);
  }
  __free_page(vmx_io_bitmap_a.value);
  return r;
});

export const vmx_exit = kernel_function('vmx_exit', (): void => {
  __free_page(vmx_io_bitmap_b.value);
  __free_page(vmx_io_bitmap_a.value);
  kvm_exit();
});

export const THIS_MODULE = declare_module(kvm_intel_ko, {
  init: vmx_init,
  exit: vmx_exit,
  depends: [kvm_ko.name],
});
