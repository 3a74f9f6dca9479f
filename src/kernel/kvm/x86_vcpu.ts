/**
 * A vCPU's life and its loop: made, set up, run, thrown away (spec 5.7, 5.8).
 *
 * @linux drivers/kvm/x86.c, as of kvm-54
 * Leaves out: interrupts for the guest, pending PIO and MMIO, the signal mask, emulation, CPUID tables (a guest's CPUID
 * answers zeros).
 */
import { EINTR } from '#base/errno';
import { test_and_clear_bit } from '#memory/atomic';
import { type Ptr, addressOf } from '#memory/struct';
import { call_pointer, kernel_function } from '#memory/symbols';
import { local_irq_disable, local_irq_enable, preempt_disable } from '#smp/irqflags';
import { BUG_ON } from '#smp/printk';
import { current_task, preempt_enable, yield_cpu } from '#smp/sched';
import { interrupt_window } from './asm.ts';
import { KVM_EXIT_HLT, KVM_EXIT_INTR, type kvm_regs, kvm_run } from './kvm_abi.ts';
import {
  KVM_REQ_TLB_FLUSH,
  VCPU_REGS_R8,
  VCPU_REGS_RAX,
  VCPU_REGS_RBP,
  VCPU_REGS_RBX,
  VCPU_REGS_RCX,
  VCPU_REGS_RDI,
  VCPU_REGS_RDX,
  VCPU_REGS_RSI,
  VCPU_REGS_RSP,
  type kvm,
  type kvm_vcpu,
} from './kvm.ts';
import { vcpu_load, vcpu_put } from './kvm_main_vcpu.ts';
import { kvm_mmu_reload, kvm_mmu_setup, kvm_mmu_unload } from './mmu.ts';
import { kvm_arch_vcpu_free, kvm_load_guest_fpu, x86_ops } from './x86.ts';

export const kvm_arch_vcpu_create = kernel_function(
  'kvm_arch_vcpu_create',
  (vm: kvm, id: number): Ptr => call_pointer(x86_ops().vcpu_create, vm.addr, id) as Ptr,
);

export const kvm_arch_vcpu_reset = kernel_function(
  'kvm_arch_vcpu_reset',
  (vcpu: kvm_vcpu): number => call_pointer(x86_ops().vcpu_reset, vcpu.addr) as number,
);

/** Frees the vCPU if it fails; the caller, who does not know, destroys it again (spec 5.8). */
export const kvm_arch_vcpu_setup = kernel_function('kvm_arch_vcpu_setup', (vcpu: kvm_vcpu): number => {
  // FXSAVE wants sixteen bytes of alignment: that is what the vCPUs' own slab cache is for.
  BUG_ON((vcpu.host_fx_image.addr & 0xf) !== 0, 'kvm_arch_vcpu_setup');

  vcpu_load(vcpu);
  let r = kvm_arch_vcpu_reset(vcpu);
  if (r === 0) r = kvm_mmu_setup(vcpu);
  vcpu_put(vcpu);
  if (r < 0) {
    kvm_arch_vcpu_free(vcpu);
    return r;
  }
  return 0;
});

export const kvm_arch_vcpu_destroy = kernel_function('kvm_arch_vcpu_destroy', (vcpu: kvm_vcpu): void => {
  vcpu_load(vcpu);
  kvm_mmu_unload(vcpu);
  vcpu_put(vcpu);

  kvm_arch_vcpu_free(vcpu);
});

/** Between two entries, where the task may be rescheduled: the preemption notifier puts the vCPU down meanwhile. */
export const kvm_resched = kernel_function('kvm_resched', (_vcpu: kvm_vcpu): void => {
  yield_cpu();
});

/** One entry into the guest and what comes of it: > 0 go on, 0 back to user space, < 0 an error. */
function enter_guest(vcpu: kvm_vcpu, run: kvm_run): number {
  const reload = kvm_mmu_reload(vcpu);
  if (reload !== 0) return reload;

  preempt_disable();
  call_pointer(x86_ops().prepare_guest_switch, vcpu.addr);
  kvm_load_guest_fpu(vcpu);
  local_irq_disable();

  if (current_task().signal_pending !== 0) {
    local_irq_enable();
    preempt_enable();
    run.exit_reason = KVM_EXIT_INTR;
    vcpu.stat.signal_exits += 1;
    return -EINTR;
  }

  // guest_mode before the requests: pairs with who sets a request and then looks whether an interrupt is needed. Plain in
  // kvm-54, with interrupts off as the only protection: an IPI sent now arrives as soon as the guest is entered.
  vcpu.guest_mode = 1;
  if (vcpu.requests !== 0 && test_and_clear_bit(KVM_REQ_TLB_FLUSH, addressOf(vcpu, 'requests'))) {
    call_pointer(x86_ops().tlb_flush, vcpu.addr);
  }
  call_pointer(x86_ops().run, vcpu.addr, run.addr);
  vcpu.guest_mode = 0;
  local_irq_enable();
  interrupt_window();
  vcpu.stat.exits += 1;
  preempt_enable();

  return call_pointer(x86_ops().handle_exit, run.addr, vcpu.addr) as number;
}

/** Runs the guest until user space has to do something. */
export const __vcpu_run = kernel_function('__vcpu_run', (vcpu: kvm_vcpu, run: kvm_run): number => {
  let r = enter_guest(vcpu, run);
  while (r > 0) {
    kvm_resched(vcpu);
    r = enter_guest(vcpu, run);
  }
  run.cr8 = vcpu.cr8;
  run.apic_base = vcpu.apic_base;
  return r;
});

export const kvm_arch_vcpu_ioctl_run = kernel_function(
  'kvm_arch_vcpu_ioctl_run',
  (vcpu: kvm_vcpu): number => {
    vcpu_load(vcpu);
    const r = __vcpu_run(vcpu, kvm_run.at(vcpu.run));
    vcpu_put(vcpu);
    return r;
  },
);

/** The guest executed HLT: without an in-kernel APIC that is user space's affair. */
export const kvm_emulate_halt = kernel_function('kvm_emulate_halt', (vcpu: kvm_vcpu): number => {
  vcpu.stat.halt_exits += 1;
  kvm_run.at(vcpu.run).exit_reason = KVM_EXIT_HLT;
  return 0;
});

/** No table was set, so there is no entry for any leaf. */
export const kvm_emulate_cpuid = kernel_function('kvm_emulate_cpuid', (vcpu: kvm_vcpu): void => {
  call_pointer(x86_ops().cache_regs, vcpu.addr);
  vcpu.regs.set(VCPU_REGS_RAX, 0n);
  vcpu.regs.set(VCPU_REGS_RBX, 0n);
  vcpu.regs.set(VCPU_REGS_RCX, 0n);
  vcpu.regs.set(VCPU_REGS_RDX, 0n);
  call_pointer(x86_ops().decache_regs, vcpu.addr);
});

/** Place in kvm_regs.gpr to place in kvm_vcpu.regs. */
const REGISTER_ORDER: readonly number[] = Object.freeze([
  VCPU_REGS_RAX,
  VCPU_REGS_RBX,
  VCPU_REGS_RCX,
  VCPU_REGS_RDX,
  VCPU_REGS_RSI,
  VCPU_REGS_RDI,
  VCPU_REGS_RSP,
  VCPU_REGS_RBP,
  ...Array.from({ length: 8 }, (_nothing, index) => VCPU_REGS_R8 + index),
]);

export const kvm_arch_vcpu_ioctl_get_regs = kernel_function(
  'kvm_arch_vcpu_ioctl_get_regs',
  (vcpu: kvm_vcpu, regs: kvm_regs): number => {
    vcpu_load(vcpu);
    call_pointer(x86_ops().cache_regs, vcpu.addr);
    for (let i = 0; i < REGISTER_ORDER.length; i++) regs.gpr.set(i, vcpu.regs.get(REGISTER_ORDER[i]!));
    regs.rip = vcpu.rip;
    regs.rflags = call_pointer(x86_ops().get_rflags, vcpu.addr) as bigint;
    vcpu_put(vcpu);
    return 0;
  },
);

export const kvm_arch_vcpu_ioctl_set_regs = kernel_function(
  'kvm_arch_vcpu_ioctl_set_regs',
  (vcpu: kvm_vcpu, regs: kvm_regs): number => {
    vcpu_load(vcpu);
    for (let i = 0; i < REGISTER_ORDER.length; i++) vcpu.regs.set(REGISTER_ORDER[i]!, regs.gpr.get(i));
    vcpu.rip = regs.rip;
    call_pointer(x86_ops().set_rflags, vcpu.addr, regs.rflags);
    call_pointer(x86_ops().decache_regs, vcpu.addr);
    vcpu_put(vcpu);
    return 0;
  },
);
