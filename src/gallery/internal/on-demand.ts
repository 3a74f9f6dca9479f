/**
 * Virtualization on with the first VM and off with the last, after "KVM: Activate Virtualization On Demand" (10474ae8945c,
 * 2.6.33). Loading the module enables nobody, and a CPU that comes online is enabled only while there is a VM.
 *
 * Upstream counts under kvm_lock and broadcasts under it. The walk over all VMs that kvm-54 makes where a CPU is switched off
 * wants that lock in an interrupt, and was gone by then.
 */
import {
  NULL,
  type Ptr,
  type kvm,
  READ_ONCE,
  hardware_disable,
  hardware_enable,
  kvm_lock,
  old_func,
  on_each_cpu,
  shared,
  spin_lock,
  spin_unlock,
} from 'smplab';
import { noWalkOverVms } from './livepatches.ts';

/** VMs. Guarded by kvm_lock; a CPU that comes online looks without it. */
export const kvm_usage_count = shared('kvm_usage_count');

/** Must hold kvm_lock. */
export function enable_all_locked(): void {
  kvm_usage_count.value += 1;
  if (kvm_usage_count.value === 1) on_each_cpu(hardware_enable, NULL, 0, 1);
}

export function hardware_enable_all(): void {
  spin_lock(kvm_lock);
  enable_all_locked();
  spin_unlock(kvm_lock);
}

export function hardware_disable_all(): void {
  spin_lock(kvm_lock);
  kvm_usage_count.value -= 1;
  if (kvm_usage_count.value === 0) on_each_cpu(hardware_disable, NULL, 0, 1);
  spin_unlock(kvm_lock);
}

export const enabledOnDemand = {
  ...noWalkOverVms,
  hardware_enable(junk: Ptr): void {
    if (READ_ONCE(kvm_usage_count, 'value') !== 0) old_func('hardware_enable')(junk);
  },
  kvm_create_vm(): unknown {
    hardware_enable_all();
    return old_func('kvm_create_vm')();
  },
  kvm_destroy_vm(vm: kvm): void {
    old_func('kvm_destroy_vm')(vm);
    hardware_disable_all();
  },
};
