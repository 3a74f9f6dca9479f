/**
 * Virtual CPUs, as far as common code knows them: taking one up and putting it down, the preemption notifier that does so
 * behind a task's back, and the two cross calls between running vCPUs (spec 5.5, 5.7).
 *
 * Lock order: vcpu->mutex is taken under no other lock, except by trylock under kvm_lock.
 *
 * @linux drivers/kvm/kvm_main.c, as of kvm-54
 * Leaves out: wait queues of halted vCPUs (they belong to the in-kernel APIC).
 */
import { ENOMEM } from '#base/errno';
import { test_and_set_bit } from '#memory/atomic';
import { stack_alloc } from '#memory/stack';
import { NULL, type Ptr, addressOf, ptr } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { smp_call_function_mask, smp_call_function_single } from '#smp/call_function';
import { cpu_set, cpumask_t, cpus_clear, cpus_empty } from '#smp/cpumask';
import { preempt_disable, raw_smp_processor_id } from '#smp/irqflags';
import { mutex_lock, mutex_unlock } from '#smp/mutex';
import { get_cpu, put_cpu } from '#smp/percpu';
import { preempt_enable, preempt_ops } from '#smp/sched';
import { GFP_KERNEL, __GFP_ZERO, alloc_page, free_page, page_address } from '../page_alloc.ts';
import { preempt_notifier_register, preempt_notifier_unregister } from '../preempt_notifier.ts';
import { KVM_MAX_VCPUS, KVM_REQ_TLB_FLUSH, type kvm, kvm_vcpu, vcpu_slot } from './kvm.ts';
import { kvm_ko } from './kvm_ko.ts';
import { kvm_arch_vcpu_init, kvm_arch_vcpu_load, kvm_arch_vcpu_put, kvm_arch_vcpu_uninit } from './x86.ts';

/** A slab cache of the vendor's size and of FXSAVE's alignment. Not reset when it is destroyed. */
export const kvm_vcpu_cache = kvm_ko.DEFINE('kvm_vcpu_cache', ptr);

/** Assigned by kvm_init only after /dev/kvm is there, and never reset. */
export const kvm_preempt_ops = kvm_ko.DEFINE('kvm_preempt_ops', preempt_ops);

/** The vCPU is this task's, and loaded on this CPU, until vcpu_put; the notifier follows the task around meanwhile. */
export const vcpu_load = kernel_function('vcpu_load', (vcpu: kvm_vcpu): void => {
  mutex_lock(vcpu.mutex);
  const cpu = get_cpu();
  preempt_notifier_register(vcpu.preempt_notifier);
  kvm_arch_vcpu_load(vcpu, cpu);
  put_cpu();
});

export const vcpu_put = kernel_function('vcpu_put', (vcpu: kvm_vcpu): void => {
  preempt_disable();
  kvm_arch_vcpu_put(vcpu);
  preempt_notifier_unregister(vcpu.preempt_notifier);
  preempt_enable();
  mutex_unlock(vcpu.mutex);
});

/** The task runs again, on `cpu`. Preemption is off and interrupts are on: a cross call is allowed. */
export const kvm_sched_in = kernel_function('kvm_sched_in', (pn: Ptr, cpu: number): void => {
  kvm_arch_vcpu_load(kvm_vcpu.container(pn, 'preempt_notifier'), cpu);
});

/** The task leaves its CPU. Interrupts are off: no cross call may be made here, and none is. */
export const kvm_sched_out = kernel_function('kvm_sched_out', (pn: Ptr, _next: Ptr): void => {
  kvm_arch_vcpu_put(kvm_vcpu.container(pn, 'preempt_notifier'));
});

/** What a remote CPU does to acknowledge: being interrupted is all that was wanted. */
export const ack_flush = kernel_function('ack_flush', (_completed: Ptr): void => {});

/**
 * Makes every vCPU flush its TLB before it enters the guest again, and those that are in the guest leave it.
 * Pairs with __vcpu_run, which sets guest_mode before it looks at the requests.
 */
export const kvm_flush_remote_tlbs = kernel_function('kvm_flush_remote_tlbs', (vm: kvm): void => {
  const cpus = stack_alloc(cpumask_t);
  cpus_clear(cpus);
  for (let i = 0; i < KVM_MAX_VCPUS; ++i) {
    const slot = vcpu_slot(vm, i);
    if (slot === NULL) continue;
    const vcpu = kvm_vcpu.at(slot);
    if (test_and_set_bit(KVM_REQ_TLB_FLUSH, addressOf(vcpu, 'requests'))) continue;
    const { cpu } = vcpu;
    if (cpu !== -1 && cpu !== raw_smp_processor_id()) cpu_set(cpu, cpus);
  }
  if (cpus_empty(cpus)) return;
  vm.stat.remote_tlb_flush += 1;
  smp_call_function_mask(cpus, ack_flush, NULL, 1);
});

/** As ack_flush. */
export const vcpu_kick_intr = kernel_function('vcpu_kick_intr', (_info: Ptr): void => {});

/** Makes a vCPU leave the guest, if it is there. Does not wait. */
export const kvm_vcpu_kick = kernel_function('kvm_vcpu_kick', (vcpu: kvm_vcpu): void => {
  // Read before guest_mode: the vCPU may be elsewhere by the time the interrupt arrives, and then needs none.
  const ipi_pcpu = vcpu.cpu;
  if (vcpu.guest_mode !== 0) smp_call_function_single(ipi_pcpu, vcpu_kick_intr, vcpu.addr, 0, 0);
});

/** The part of a new vCPU that is the same for both vendors. */
export const kvm_vcpu_init = kernel_function(
  'kvm_vcpu_init',
  (vcpu: kvm_vcpu, vm: kvm, id: number): number => {
    vcpu.cpu = -1;
    vcpu.kvm = vm.addr;
    vcpu.vcpu_id = id;

    const page = alloc_page(GFP_KERNEL | __GFP_ZERO);
    if (page === NULL) return -ENOMEM;
    vcpu.run = page_address(page);

    const r = kvm_arch_vcpu_init(vcpu);
    if (r < 0) {
      free_page(vcpu.run);
      return r;
    }
    return 0;
  },
);

export const kvm_vcpu_uninit = kernel_function('kvm_vcpu_uninit', (vcpu: kvm_vcpu): void => {
  kvm_arch_vcpu_uninit(vcpu);
  free_page(vcpu.run);
});
