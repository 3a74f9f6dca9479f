/**
 * Loading and unloading: everything that kvm_init takes, in order, and how it gives it back (spec 1.3-1.5).
 *
 * Runs in the loading task, on whatever CPU, with **no hotplug lock**: a CPU that comes or goes between the steps is
 * missed by some of them (spec 7.8). The numbers are the specification's.
 *
 * @linux drivers/kvm/kvm_main.c, as of kvm-54, as its release script made it for the external build (KI-15..17)
 * Leaves out: nothing known. Keeps the defects of the unwind ladder.
 */
import { ENOMEM } from '#base/errno';
import { stack_alloc } from '#memory/stack';
import { NULL, type Ptr, addressOf, s32, struct } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { on_each_cpu, smp_call_function_single } from '#smp/call_function';
import { register_cpu_notifier, unregister_cpu_notifier } from '#smp/cpu';
import { NR_CPUS, first_online_cpu, next_online_cpu } from '#smp/cpumask';
import { KERN_ERR, KERN_WARNING, printk } from '#smp/printk';
import { kvm_exit_anon_inodes, kvm_init_anon_inodes } from '../anon_inodes.ts';
import { miscdevice, misc_deregister, misc_register } from '../misc.ts';
import { declare_module } from '../module.ts';
import { GFP_KERNEL, __GFP_ZERO, __free_page, alloc_page } from '../page_alloc.ts';
import { register_reboot_notifier, unregister_reboot_notifier } from '../reboot.ts';
import { kmem_cache_create, kmem_cache_destroy } from '../slab.ts';
import {
  sysdev_class_register,
  sysdev_class_unregister,
  sysdev_register,
  sysdev_unregister,
} from '../sysdev.ts';
import { KVM_MINOR } from './kvm_abi.ts';
import { kvm_vcpu } from './kvm.ts';
import { kvm_ko } from './kvm_ko.ts';
import { kvm_chardev_ops } from './kvm_main_fd.ts';
import {
  hardware_disable,
  hardware_enable,
  kvm_cpu_notifier,
  kvm_reboot_notifier,
  kvm_sysdev,
  kvm_sysdev_class,
} from './kvm_main_hardware.ts';
import { kvm_preempt_ops, kvm_sched_in, kvm_sched_out, kvm_vcpu_cache } from './kvm_main_vcpu.ts';
import { bad_page } from './kvm_main_vm.ts';
import { kvm_exit_debug, kvm_init_debug } from './kvm_stats.ts';
import { preempt_notifier_sys_exit, preempt_notifier_sys_init } from './preempt.ts';
import {
  kvm_arch_check_processor_compat,
  kvm_arch_exit,
  kvm_arch_hardware_setup,
  kvm_arch_hardware_unsetup,
  kvm_arch_init,
} from './x86.ts';

export const kvm_dev = kvm_ko.DEFINE('kvm_dev', miscdevice, {
  minor: KVM_MINOR,
  name: 'kvm',
  fops: kvm_chardev_ops.addr,
});

/** `int r`: on the stack, because KI-5 lets other CPUs write to it. */
const int = struct('int', { value: s32 });

/**
 * Called by a vendor module's init function.
 *
 * @param opaque its kvm_x86_ops
 * @param vcpu_size bytes of its vCPU structure, which starts with struct kvm_vcpu
 * @param module the module that /dev/kvm keeps loaded
 */
export const kvm_init = kernel_function('kvm_init', (opaque: Ptr, vcpu_size: number, module: Ptr): number => {
  const r = stack_alloc(int);

  kvm_init_debug(); // KI-1

  // A jump to a label leaves the block of that name; what is below it is the label's code, and it falls through.
  out4: {
    r.value = kvm_arch_init(opaque); // KI-2
    if (r.value !== 0) break out4;

    out: {
      bad_page.value = alloc_page(GFP_KERNEL | __GFP_ZERO); // KI-3
      if (bad_page.value === NULL) {
        r.value = -ENOMEM;
        break out;
      }

      r.value = kvm_arch_hardware_setup(); // KI-4
      if (r.value < 0) break out;

      out_free_0: {
        // KI-5: one after the other. A CPU that has gone is not asked, and r stays what it was.
        for (let cpu = first_online_cpu(); cpu < NR_CPUS; cpu = next_online_cpu(cpu)) {
          smp_call_function_single(cpu, kvm_arch_check_processor_compat, addressOf(r, 'value'), 0, 1);
          if (r.value < 0) break out_free_0;
        }

        out_free_1: {
          on_each_cpu(hardware_enable, NULL, 0, 1); // KI-6: no answer, so no failure
          r.value = register_cpu_notifier(kvm_cpu_notifier); // KI-7
          if (r.value !== 0) break out_free_1;
          register_reboot_notifier(kvm_reboot_notifier); // KI-8

          out_free_2: {
            r.value = sysdev_class_register(kvm_sysdev_class); // KI-9
            if (r.value !== 0) break out_free_2;

            out_free_3: {
              r.value = sysdev_register(kvm_sysdev); // KI-10
              if (r.value !== 0) break out_free_3;

              out_free_4: {
                // KI-11: a cache of their own gives vCPUs the alignment that FXSAVE wants.
                kvm_vcpu_cache.value = kmem_cache_create('kvm_vcpu', vcpu_size, kvm_vcpu.align, 0, NULL);
                if (kvm_vcpu_cache.value === NULL) {
                  r.value = -ENOMEM;
                  break out_free_4;
                }

                out_free: {
                  kvm_chardev_ops.owner = module; // KI-12

                  r.value = misc_register(kvm_dev); // KI-13: from here on /dev/kvm can be used
                  if (r.value !== 0) {
                    printk(KERN_ERR, 'kvm: misc device register failed');
                    break out_free;
                  }

                  kvm_preempt_ops.sched_in = kvm_sched_in.addr; // KI-14
                  kvm_preempt_ops.sched_out = kvm_sched_out.addr;

                  r.value = kvm_init_anon_inodes(); // KI-15
                  if (r.value !== 0) {
                    // Leaves everything that was registered above as it is (spec 1.4).
                    __free_page(bad_page.value);
                    break out;
                  }
                  preempt_notifier_sys_init(); // KI-16
                  printk(KERN_WARNING, 'loaded kvm module (kvm-54)'); // KI-17
                  return 0;
                }
                kmem_cache_destroy(kvm_vcpu_cache.value);
              }
              sysdev_unregister(kvm_sysdev);
            }
            sysdev_class_unregister(kvm_sysdev_class);
          }
          unregister_reboot_notifier(kvm_reboot_notifier);
          unregister_cpu_notifier(kvm_cpu_notifier);
        }
        on_each_cpu(hardware_disable, NULL, 0, 1);
      }
      kvm_arch_hardware_unsetup();
    }
    // bad_page is not given back: a leak of kvm-54, fixed in 2.6.25.
    kvm_arch_exit();
    kvm_exit_debug();
  }
  // Coming here from KI-2 leaves the debugfs files where they are.
  return r.value;
});

/**
 * Called by a vendor module's exit function. Between the notifier's removal and the cross call a CPU may go offline: its
 * bit then stays set, and poisons the next load (spec 7.8).
 */
export const kvm_exit = kernel_function('kvm_exit', (): void => {
  misc_deregister(kvm_dev);
  kmem_cache_destroy(kvm_vcpu_cache.value);
  sysdev_unregister(kvm_sysdev);
  sysdev_class_unregister(kvm_sysdev_class);
  unregister_reboot_notifier(kvm_reboot_notifier);
  unregister_cpu_notifier(kvm_cpu_notifier);
  on_each_cpu(hardware_disable, NULL, 0, 1);
  kvm_arch_hardware_unsetup();
  kvm_arch_exit();
  kvm_exit_debug();
  __free_page(bad_page.value);
  kvm_exit_anon_inodes();
  preempt_notifier_sys_exit();
});

/** kvm.ko: functions for others, and their data. It has nothing to do when it is loaded. */
export const KVM_MODULE = declare_module(kvm_ko, {});
