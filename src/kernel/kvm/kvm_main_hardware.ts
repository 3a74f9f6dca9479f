/**
 * Virtualisation on and off, CPU by CPU: at load and unload by cross call, at hotplug by notifier, around a reboot and around
 * sleep (spec 5.1-5.4). Here is most of what goes wrong when CPUs come and go.
 *
 * The bit of a CPU in cpus_hardware_enabled means "attempted", not "succeeded": it is set before the vendor's function runs,
 * which returns nothing. Each CPU touches only its own bit, so there is no lock.
 *
 * @linux drivers/kvm/kvm_main.c, as of kvm-54
 * Leaves out: nothing known.
 */
import { NULL, type Ptr } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { on_each_cpu, smp_call_function_single } from '#smp/call_function';
import { CPU_DYING, CPU_ONLINE, CPU_TASKS_FROZEN, CPU_UP_CANCELED } from '#smp/cpu';
import { cpu_clear, cpu_isset, cpu_set, cpumask_t } from '#smp/cpumask';
import { raw_smp_processor_id } from '#smp/irqflags';
import { mutex_trylock, mutex_unlock } from '#smp/mutex';
import { NOTIFY_OK, notifier_block } from '#smp/notifier';
import { KERN_INFO, printk } from '#smp/printk';
import { spin_lock, spin_unlock } from '#smp/spinlock';
import { list_head } from '#memory/list';
import { SYS_RESTART } from '../reboot.ts';
import { sys_device, sysdev_class } from '../sysdev.ts';
import { KVM_MAX_VCPUS, kvm, kvm_vcpu, vcpu_slot } from './kvm.ts';
import { kvm_ko } from './kvm_ko.ts';
import { kvm_lock, vm_list } from './kvm_main_vm.ts';
import { kvm_arch_hardware_disable, kvm_arch_hardware_enable, kvm_arch_vcpu_decache } from './x86.ts';

/** Survives unloading of the vendor module: a bit left behind poisons the next load (spec 7.8). */
export const cpus_hardware_enabled = kvm_ko.DEFINE('cpus_hardware_enabled', cpumask_t);

/**
 * Takes every vCPU's state off a CPU that is about to lose virtualisation. A vCPU whose mutex is taken is left alone: it
 * runs elsewhere, says kvm-54. One that was preempted in the guest keeps its mutex, too (spec 5.2).
 */
export const decache_vcpus_on_cpu = kernel_function('decache_vcpus_on_cpu', (cpu: number): void => {
  // In reboot's cross call this is an interrupt: if it interrupted a holder of the lock, this CPU waits for itself.
  spin_lock(kvm_lock);
  for (let entry = vm_list.next; entry !== vm_list.addr; entry = list_head.at(entry).next) {
    const vm = kvm.container(entry, 'vm_list');
    for (let i = 0; i < KVM_MAX_VCPUS; ++i) {
      const slot = vcpu_slot(vm, i);
      if (slot === NULL) continue;
      const vcpu = kvm_vcpu.at(slot);
      if (!mutex_trylock(vcpu.mutex)) continue;
      if (vcpu.cpu === cpu) {
        kvm_arch_vcpu_decache(vcpu);
        vcpu.cpu = -1;
      }
      mutex_unlock(vcpu.mutex);
    }
  }
  spin_unlock(kvm_lock);
});

/** On the CPU concerned, interrupts off. */
export const hardware_enable = kernel_function('hardware_enable', (_junk: Ptr): void => {
  const cpu = raw_smp_processor_id();
  if (cpu_isset(cpu, cpus_hardware_enabled)) return;
  cpu_set(cpu, cpus_hardware_enabled);
  kvm_arch_hardware_enable(NULL);
});

/** On the CPU concerned, interrupts off. */
export const hardware_disable = kernel_function('hardware_disable', (_junk: Ptr): void => {
  const cpu = raw_smp_processor_id();
  if (!cpu_isset(cpu, cpus_hardware_enabled)) return;
  cpu_clear(cpu, cpus_hardware_enabled);
  decache_vcpus_on_cpu(cpu);
  kvm_arch_hardware_disable(NULL);
});

/**
 * CPUs come and go. KVM vetoes nothing, and CPU_DOWN_FAILED is not looked at: a CPU that dies and is then refused its
 * death stays online without virtualisation. @param v the CPU's number in a pointer's place
 */
export const kvm_cpu_hotplug = kernel_function(
  'kvm_cpu_hotplug',
  (_notifier: Ptr, action: number, v: number): number => {
    const cpu = v;
    switch (action & ~CPU_TASKS_FROZEN) {
      case CPU_DYING:
        printk(KERN_INFO, `kvm: disabling virtualization on CPU${cpu}`);
        // The machine is stopped and this is the dying CPU: a cross call is neither possible nor needed.
        hardware_disable(NULL);
        break;
      case CPU_UP_CANCELED:
        printk(KERN_INFO, `kvm: disabling virtualization on CPU${cpu}`);
        // The CPU never came online, so this reaches nobody and says it succeeded.
        smp_call_function_single(cpu, hardware_disable, NULL, 0, 1);
        break;
      case CPU_ONLINE:
        printk(KERN_INFO, `kvm: enabling virtualization on CPU${cpu}`);
        smp_call_function_single(cpu, hardware_enable, NULL, 0, 1);
        break;
      default:
        break;
    }
    return NOTIFY_OK;
  },
);

/** Some BIOSes hang on a restart if virtualisation is on. Not for halt and power-off. */
export const kvm_reboot = kernel_function('kvm_reboot', (_notifier: Ptr, val: number, _v: Ptr): number => {
  if (val === SYS_RESTART) {
    printk(KERN_INFO, 'kvm: exiting hardware virtualization');
    on_each_cpu(hardware_disable, NULL, 0, 1);
  }
  return NOTIFY_OK;
});

/** The one CPU that is left, interrupts off. */
export const kvm_suspend = kernel_function('kvm_suspend', (_dev: Ptr, _state: number): number => {
  hardware_disable(NULL);
  return 0;
});

export const kvm_resume = kernel_function('kvm_resume', (_dev: Ptr): number => {
  hardware_enable(NULL);
  return 0;
});

/** Before the scheduler's migration notifier (10), so that a new CPU has virtualisation before tasks come to it. */
const KVM_CPU_NOTIFIER_PRIORITY = 20;

export const kvm_cpu_notifier = kvm_ko.DEFINE('kvm_cpu_notifier', notifier_block, {
  notifier_call: kvm_cpu_hotplug.addr,
  priority: KVM_CPU_NOTIFIER_PRIORITY,
});

export const kvm_reboot_notifier = kvm_ko.DEFINE('kvm_reboot_notifier', notifier_block, {
  notifier_call: kvm_reboot.addr,
  priority: 0,
});

export const kvm_sysdev_class = kvm_ko.DEFINE('kvm_sysdev_class', sysdev_class, {
  name: 'kvm',
  suspend: kvm_suspend.addr,
  resume: kvm_resume.addr,
});

export const kvm_sysdev = kvm_ko.DEFINE('kvm_sysdev', sys_device, { id: 0, cls: kvm_sysdev_class.addr });
