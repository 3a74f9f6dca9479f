/**
 * Fixes that more than one entry needs. Each is as small as the protocol allows: kernel symbols and what replaces them.
 */
import {
  MSR_EFER,
  MSR_EFER_SVME_MASK,
  MSR_VM_HSAVE_PA,
  NOTIFY_OK,
  NULL,
  __free_page,
  __get_cpu_var,
  __raw_notifier_call_chain,
  call,
  call_pointer,
  cpu_add_remove_lock,
  cpu_chain,
  cpu_possible_map,
  first_cpu,
  hardware_enable,
  kfree,
  kvm_x86_ops,
  kvm_x86_ops_t,
  mutex_lock,
  mutex_unlock,
  next_cpu,
  type notifier_block,
  old_func,
  per_cpu,
  type Ptr,
  raw_notifier_chain_register,
  raw_notifier_chain_unregister,
  rdmsrl,
  smp_processor_id,
  svm_cpu_data,
  svm_data,
  wrmsrl,
} from 'smplab';

/**
 * No CPU comes or goes while KVM loads or unloads. After "CPU hotplug: Provide lockless versions of callback registration
 * functions" and the KVM patch of that series (3.15): the initialiser takes the outermost hotplug lock itself, and
 * registers under it.
 */
export const hotplugExcluded = {
  kvm_init(opaque: Ptr, vcpu_size: number, module: Ptr): unknown {
    mutex_lock(cpu_add_remove_lock);
    const result = old_func('kvm_init')(opaque, vcpu_size, module);
    mutex_unlock(cpu_add_remove_lock);
    return result;
  },
  kvm_exit(): void {
    mutex_lock(cpu_add_remove_lock);
    old_func('kvm_exit')();
    mutex_unlock(cpu_add_remove_lock);
  },
  // Only kvm_init and kvm_exit call these two once the machine is up, and they hold the lock now.
  register_cpu_notifier: (nb: notifier_block): number => raw_notifier_chain_register(cpu_chain, nb),
  unregister_cpu_notifier(nb: notifier_block): void {
    raw_notifier_chain_unregister(cpu_chain, nb);
  },
};

/** Each possible CPU, whether it is on or not. */
function for_each_possible_cpu(body: (cpu: number) => void): void {
  for (let cpu = first_cpu(cpu_possible_map); cpu < CPUS_END; cpu = next_cpu(cpu, cpu_possible_map))
    body(cpu);
}
const CPUS_END = 256;

function free_svm_data(cpu: number): void {
  const slot = per_cpu(svm_data, cpu);
  const address = slot.value;
  if (address === NULL) return;
  slot.value = NULL;
  __free_page(svm_cpu_data.at(address).save_area);
  kfree(address);
}

/**
 * Every possible CPU has its svm_data from loading to unloading. After 0da1db75a2f (2.6.27: not freed by disabling) and
 * 3230bb47072 (2.6.33: allocated for possible CPUs, not for those online).
 */
export const svmDataForPossibleCpus = {
  svm_hardware_setup(): number {
    let result = old_func('svm_hardware_setup')() as number;
    if (result !== 0) return result;
    for (let cpu = first_cpu(cpu_possible_map); cpu < CPUS_END; cpu = next_cpu(cpu, cpu_possible_map))
      if (result === 0 && per_cpu(svm_data, cpu).value === NULL) result = call('svm_cpu_init', cpu) as number;
    if (result !== 0) call('svm_hardware_unsetup');
    return result;
  },
  svm_hardware_disable(): void {
    if (__get_cpu_var(svm_data).value === NULL) return;
    wrmsrl(MSR_VM_HSAVE_PA, 0n);
    wrmsrl(MSR_EFER, rdmsrl(MSR_EFER) & ~MSR_EFER_SVME_MASK);
  },
  svm_hardware_unsetup(): void {
    for_each_possible_cpu(free_svm_data);
    old_func('svm_hardware_unsetup')();
  },
};

/**
 * The file system of KVM's files is there before /dev/kvm is, and goes again if loading fails. As in the order of
 * 2b0128127373 (6.2): registering the device is the last thing that initialisation does.
 */
export const anonInodesFirst = {
  kvm_init(opaque: Ptr, vcpu_size: number, module: Ptr): unknown {
    let result = old_func('kvm_init_anon_inodes')() as number;
    if (result !== 0) return result;
    result = old_func('kvm_init')(opaque, vcpu_size, module) as number;
    if (result !== 0) call('kvm_exit_anon_inodes');
    return result;
  },
  // Done already, where the old order calls it.
  kvm_init_anon_inodes: (): number => 0,
};

const EEXIST = 17;
const EOPNOTSUPP = 95;

/** What kvm_arch_init looks at before it changes anything. After 97db56ce6cc (2.6.25). */
export const checksBeforeCaches = {
  kvm_arch_init(opaque: Ptr): unknown {
    const ops = kvm_x86_ops_t.at(opaque);
    if (kvm_x86_ops.value !== NULL) return -EEXIST;
    if (call_pointer(ops.cpu_has_kvm_support) === 0) return -EOPNOTSUPP;
    if (call_pointer(ops.disabled_by_bios) !== 0) return -EOPNOTSUPP;
    return old_func('kvm_arch_init')(opaque);
  },
};

/**
 * No walk over all VMs, with their locks, where a CPU is switched off: on AMD a vCPU leaves nothing in a CPU. Upstream had no
 * more of it from 2.6.27 on (543e42436643, 7cc8883074b0). For entries whose subject this is not.
 */
export const noWalkOverVms = { decache_vcpus_on_cpu(): void {} };

/** A number no event of 2.6.24 has: the event of a new CPU itself, before its online bit. Since 2.6.28. */
export const CPU_STARTING = 0x000b;

/** A CPU is enabled before it is online, and so before a task can run there. After da908f2fb4e7 (2.6.36). */
export const enabledWhileStarting = {
  // The starting CPU tells the chain of itself, with interrupts off, before it is in the online map.
  smp_callin(): void {
    old_func('smp_callin')();
    __raw_notifier_call_chain(cpu_chain, CPU_STARTING, smp_processor_id(), -1, NULL);
  },
  kvm_cpu_hotplug(nb: Ptr, action: number, cpu: number): unknown {
    if (action !== CPU_STARTING) return old_func('kvm_cpu_hotplug')(nb, action, cpu);
    hardware_enable(NULL);
    return NOTIFY_OK;
  },
};
