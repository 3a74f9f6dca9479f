/**
 * AMD SVM: the module's entry and exit, and what turns a CPU's virtualisation on and off (spec 1.1, 3.6-3.8).
 *
 * @linux drivers/kvm/svm.c, as of kvm-54
 * Leaves out: see svm_vcpu.ts for guests.
 */
import { __get_cpu_var } from '#memory/percpu';
import { NULL, type Ptr, s32, variableAt } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { per_cpu } from '#smp/percpu';
import { raw_smp_processor_id } from '#smp/irqflags';
import { KERN_ERR, printk } from '#smp/printk';
import { is_i386 } from '#smp/subarch';
import { declare_module } from '../module.ts';
import { rdmsrl, wrmsrl } from '../msr.ts';
import { __free_page, page_to_phys } from '../page_alloc.ts';
import { cpuid, store_gdt } from '../processor.ts';
import { kfree } from '../slab.ts';
import { GDT_ENTRY_BYTES, GDT_ENTRY_TSS, GDT_ENTRY_TSS_I386, kvm_x86_ops_t } from './kvm.ts';
import { kvm_amd_ko, kvm_ko } from './kvm_ko.ts';
import { kvm_exit, kvm_init } from './kvm_main.ts';
import { MSR_EFER, MSR_EFER_SVME_MASK, MSR_VM_HSAVE_PA, SVM_CPUID_FUNC } from './msr_index.ts';
import { svm_cpu_data, svm_data, svm_features, vcpu_svm } from './svm_data.ts';
import { has_svm, is_disabled, svm_hardware_setup, svm_hardware_unsetup } from './svm_setup.ts';
import {
  svm_cache_regs,
  svm_create_vcpu,
  svm_decache_regs,
  svm_flush_tlb,
  svm_free_vcpu,
  svm_get_rflags,
  svm_handle_exit,
  svm_prepare_guest_switch,
  svm_set_rflags,
  svm_set_tss_addr,
  svm_vcpu_decache,
  svm_vcpu_load,
  svm_vcpu_put,
  svm_vcpu_reset,
  svm_vcpu_run,
} from './svm_vcpu.ts';

/**
 * On the CPU concerned, interrupts off. A CPU without data (offline at load, or disabled before) stays as it is and only
 * says so: the caller has marked it enabled already. The log names another function than this one, as in kvm-54.
 */
export const svm_hardware_enable = kernel_function('svm_hardware_enable', (_garbage: Ptr): void => {
  const me = raw_smp_processor_id();
  if (has_svm() === 0) {
    printk(KERN_ERR, `svm_cpu_init: err EOPNOTSUPP on ${me}`);
    return;
  }
  const address = per_cpu(svm_data, me).value;
  if (address === NULL) {
    printk(KERN_ERR, `svm_cpu_init: svm_data is NULL on ${me}`);
    return;
  }

  const data = svm_cpu_data.at(address);
  const { ebx, edx } = cpuid(SVM_CPUID_FUNC);
  data.asid_generation = 1n;
  data.max_asid = ebx - 1;
  data.next_asid = data.max_asid + 1; // used up: the first guest starts a new generation and flushes
  svm_features.value = edx;

  const gdt = store_gdt();
  data.tss_desc = gdt + (is_i386() ? GDT_ENTRY_TSS_I386 : GDT_ENTRY_TSS) * GDT_ENTRY_BYTES;

  // Faults on a CPU whose BIOS disabled SVM: only the loading CPU was asked (spec B.7).
  const efer = rdmsrl(MSR_EFER);
  wrmsrl(MSR_EFER, efer | MSR_EFER_SVME_MASK);

  wrmsrl(MSR_VM_HSAVE_PA, page_to_phys(data.save_area));
});

/**
 * On the CPU concerned, interrupts off. Gives the CPU's data back, so that a CPU that goes offline and returns finds none
 * (spec 3.7; moved to hardware_unsetup in 2.6.27).
 */
export const svm_hardware_disable = kernel_function('svm_hardware_disable', (_garbage: Ptr): void => {
  const mine = __get_cpu_var(svm_data);
  const address = mine.value;
  if (address === NULL) return;

  wrmsrl(MSR_VM_HSAVE_PA, 0n);
  const efer = rdmsrl(MSR_EFER);
  wrmsrl(MSR_EFER, efer & ~MSR_EFER_SVME_MASK);
  mine.value = NULL;
  __free_page(svm_cpu_data.at(address).save_area);
  kfree(address);
});

/** Every CPU is as good as any other. Answers through the pointer: 0. */
export const svm_check_processor_compat = kernel_function('svm_check_processor_compat', (rtn: Ptr): void => {
  variableAt(s32, rtn).value = 0;
});

export const svm_x86_ops = kvm_amd_ko.DEFINE('svm_x86_ops', kvm_x86_ops_t, {
  cpu_has_kvm_support: has_svm.addr,
  disabled_by_bios: is_disabled.addr,
  hardware_setup: svm_hardware_setup.addr,
  hardware_unsetup: svm_hardware_unsetup.addr,
  check_processor_compatibility: svm_check_processor_compat.addr,
  hardware_enable: svm_hardware_enable.addr,
  hardware_disable: svm_hardware_disable.addr,
  vcpu_create: svm_create_vcpu.addr,
  vcpu_free: svm_free_vcpu.addr,
  vcpu_reset: svm_vcpu_reset.addr,
  prepare_guest_switch: svm_prepare_guest_switch.addr,
  vcpu_load: svm_vcpu_load.addr,
  vcpu_put: svm_vcpu_put.addr,
  vcpu_decache: svm_vcpu_decache.addr,
  cache_regs: svm_cache_regs.addr,
  decache_regs: svm_decache_regs.addr,
  get_rflags: svm_get_rflags.addr,
  set_rflags: svm_set_rflags.addr,
  tlb_flush: svm_flush_tlb.addr,
  run: svm_vcpu_run.addr,
  handle_exit: svm_handle_exit.addr,
  set_tss_addr: svm_set_tss_addr.addr,
});

export const svm_init = kernel_function('svm_init', (): number =>
  kvm_init(svm_x86_ops.addr, vcpu_svm.size, THIS_MODULE.addr),
);

export const svm_exit = kernel_function('svm_exit', (): void => {
  kvm_exit();
});

export const THIS_MODULE = declare_module(kvm_amd_ko, {
  init: svm_init,
  exit: svm_exit,
  depends: [kvm_ko.name],
});
