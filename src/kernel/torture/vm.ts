/**
 * Virtual machines come and go: a program of user space makes one, runs its vCPU now on this CPU, now on that, and closes it.
 * The guest exits a number of times and halts (kvm/asm.ts).
 */
import { EIO, ENOMEM } from '#base/errno';
import { stack_alloc } from '#memory/stack';
import { NULL, type Ptr, s32, struct, u32 } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { cpu_possible_map, cpu_set, cpumask_t, cpus_clear } from '#smp/cpumask';
import { set_cpus_allowed } from '#smp/sched';
import { sys_close, sys_ioctl, sys_mmap } from '../file.ts';
import {
  KVM_CREATE_VCPU,
  KVM_CREATE_VM,
  KVM_EXIT_HLT,
  KVM_RUN,
  KVM_SET_REGS,
  KVM_SET_TSS_ADDR,
  kvm_regs,
  kvm_run,
} from '../kvm/kvm_abi.ts';
import { sys_open } from '../open.ts';
import { GFP_KERNEL, __GFP_NOWARN, __GFP_ZERO, __get_free_pages, free_page } from '../page_alloc.ts';
import {
  smptorture_ko,
  torture_count,
  torture_count_here,
  torture_now,
  torture_random,
  torture_stopping,
  torture_tally,
} from './smptorture.ts';

const VM_CREATE = 8;
const VM_RUN = 9;
const VM_MIGRATE = 10;
const VM_DESTROY = 11;

const TSS_ADDR = 0xfffbd000;
/** User space's RSI in kvm_regs: how often the guest exits before it halts. */
const RSI = 4;
const EXITS_MAX = 40;
/** Runs of one VM. */
const RUNS_MAX = 8;

/** VMs that were made, and closed again. Any CPU adds. */
export const torture_vms_made = smptorture_ko.DEFINE('torture_vms_made', u32);
export const torture_vms_closed = smptorture_ko.DEFINE('torture_vms_closed', u32);

function finish(kind: number, result: number, begin: number): number {
  torture_count(kind, result < 0 ? result : 0, torture_now() - begin);
  torture_count_here();
  return result;
}

/** A VM with one vCPU. @returns the vCPU's descriptor or an error; what was opened is closed again then */
const create_guest = kernel_function('vm_torture_create', (dev: number): number => {
  const vm = sys_ioctl(dev, KVM_CREATE_VM, 0);
  if (vm < 0) return vm;
  let error = sys_ioctl(vm, KVM_SET_TSS_ADDR, TSS_ADDR);
  if (error >= 0) error = sys_ioctl(vm, KVM_CREATE_VCPU, 0);
  // The vCPU's file keeps the VM.
  sys_close(vm);
  return error;
});

/** Lets the guest run until it halts. @returns 0, or -EIO if it came back for another reason */
const run_guest = kernel_function('vm_torture_run', (slot: number, vcpu: number, page: Ptr): number => {
  const regs = kvm_regs.at(page);
  regs.gpr.set(RSI, BigInt(torture_random(slot, EXITS_MAX)));
  let error = sys_ioctl(vcpu, KVM_SET_REGS, page);
  if (error === 0) error = sys_ioctl(vcpu, KVM_RUN, 0);
  if (error < 0) return error;
  const shared = sys_mmap(vcpu, 0);
  return shared > 0 && kvm_run.at(shared).exit_reason === KVM_EXIT_HLT ? 0 : -EIO;
});

/** The running task goes to one of the first `cpus` CPUs, and from there wherever it is taken. -EINVAL: that one is off. */
const go_elsewhere = kernel_function('vm_torture_migrate', (slot: number, cpus: number): number => {
  const only = stack_alloc(cpumask_t);
  cpus_clear(only);
  cpu_set(torture_random(slot, cpus), only);
  const error = set_cpus_allowed(only);
  set_cpus_allowed(cpu_possible_map);
  return error;
});

/** The life of one VM. @returns operations made */
const one_vm = kernel_function('vm_torture_one', (slot: number, cpus: number, page: Ptr): number => {
  let begin = torture_now();
  const dev = sys_open(0, 0, 0, '/dev/kvm');
  const vcpu = dev < 0 ? dev : create_guest(dev);
  finish(VM_CREATE, vcpu, begin);
  let made = 1;
  if (vcpu >= 0) {
    torture_tally(torture_vms_made.addr, 1);
    for (let left = 1 + torture_random(slot, RUNS_MAX); left > 0 && !torture_stopping(); left--) {
      begin = torture_now();
      finish(VM_RUN, run_guest(slot, vcpu, page), begin);
      begin = torture_now();
      finish(VM_MIGRATE, go_elsewhere(slot, cpus), begin);
      made += 2;
    }
    begin = torture_now();
    finish(VM_DESTROY, sys_close(vcpu), begin);
    torture_tally(torture_vms_closed.addr, 1);
    made += 1;
  }
  if (dev >= 0) sys_close(dev);
  return made;
});

/** Of vm_torture_hold: the host calls, one at a time. */
const torture_held = struct('torture_held', { page: u32, dev: s32, vm: s32, vcpu: s32 });
const held = smptorture_ko.DEFINE('torture_held', torture_held);

/** Everything that a caller ever has at a time, and a guest that has run; until vm_torture_drop. */
export const vm_torture_hold = kernel_function('vm_torture_hold', (): number => {
  held.page = __get_free_pages(GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN, 0);
  if (held.page === NULL) return -ENOMEM;
  held.dev = sys_open(0, 0, 0, '/dev/kvm');
  held.vm = held.dev < 0 ? held.dev : sys_ioctl(held.dev, KVM_CREATE_VM, 0);
  if (held.vm < 0) return held.vm;
  sys_ioctl(held.vm, KVM_SET_TSS_ADDR, TSS_ADDR);
  held.vcpu = sys_ioctl(held.vm, KVM_CREATE_VCPU, 0);
  return held.vcpu < 0 ? held.vcpu : run_guest(0, held.vcpu, held.page);
});

export const vm_torture_drop = kernel_function('vm_torture_drop', (): number => {
  for (const fd of [held.vcpu, held.vm, held.dev]) if (fd > 0) sys_close(fd);
  if (held.page !== NULL) free_page(held.page);
  return 0;
});

/** A caller makes VMs and throws them away, about `ops` operations. */
export const vm_torture = kernel_function('vm_torture', (slot: number, ops: number, cpus: number): number => {
  const page = __get_free_pages(GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN, 0);
  if (page === NULL) {
    torture_count(VM_CREATE, -ENOMEM, 0);
    return 1;
  }
  let made = 0;
  while (made < ops && !torture_stopping()) made += one_vm(slot, cpus, page);
  free_page(page);
  return made;
});
