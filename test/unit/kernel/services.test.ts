import { describe, expect, it } from 'vitest';
import { EBUSY, EEXIST, EFAULT, EINVAL, EIO, ENODEV } from '#base/errno';
import { vmlinux } from '#memory/image';
import { NULL, type Ptr, s32, u32 } from '#memory/struct';
import { kernel_function, symbolAddress } from '#memory/symbols';
import { arm_fault } from '#smp/fault_inject';
import { irqs_disabled } from '#smp/irqflags';
import { NOTIFY_OK, notifier_block } from '#smp/notifier';
import { KERN_ERR, KERN_INFO, printk } from '#smp/printk';
import { current_task, wait_event } from '#smp/sched';
import { dmesg } from '#kernel/dmesg';
import { inventoryDifference, isInventoryEmpty, kernelInventory } from '#machine/inventory';
import { kallsyms, kallsyms_lookup_name, sprint_symbol } from '#kernel/kallsyms';
import { rdmsr_safe, rdmsrl, wrmsr, wrmsr_safe, wrmsrl } from '#kernel/msr';
import { PM_SUSPEND_MEM, platform_suspend_ops, pm_mutex, pm_suspend, suspend_set_ops } from '#kernel/power';
import {
  preempt_notifier,
  preempt_notifier_init,
  preempt_notifier_register,
  preempt_notifier_unregister,
  preempt_ops,
} from '#kernel/preempt_notifier';
import {
  X86_VENDOR_AMD,
  boot_cpu_data,
  identify_boot_cpu,
  read_cr4,
  set_in_cr4,
  write_cr4,
} from '#kernel/processor';
import {
  LINUX_REBOOT_CMD_HALT,
  LINUX_REBOOT_CMD_RESTART,
  SYSTEM_RESTART,
  SYSTEM_RUNNING,
  SYS_HALT,
  SYS_RESTART,
  kernel_restart_prepare,
  register_reboot_notifier,
  sys_reboot,
  system_state,
  unregister_reboot_notifier,
} from '#kernel/reboot';
import {
  sys_device,
  sysdev_class,
  sysdev_class_register,
  sysdev_class_unregister,
  sysdev_register,
  sysdev_resume,
  sysdev_suspend,
  sysdev_unregister,
} from '#kernel/sysdev';
import { mutex_trylock } from '#smp/mutex';
import { MachineHalted, TaskKilled, kernelBench } from '../../support/kernel-bench.ts';

const refuses = vmlinux.DEFINE('refuses', u32);
const id_of = (dev: Ptr): string => `${sysdev_class.at(sys_device.at(dev).cls).name}${sys_device.at(dev).id}`;
const dev_suspend = kernel_function('dev_suspend', (dev: Ptr, _state: number): number => {
  printk(KERN_INFO, `suspend ${id_of(dev)}`);
  return dev === refuses.value ? -EIO : 0;
});
const dev_resume = kernel_function('dev_resume', (dev: Ptr): number => {
  printk(KERN_INFO, `resume ${id_of(dev)}`);
  return 0;
});
const ops = { suspend: dev_suspend.addr, resume: dev_resume.addr };
const classA = vmlinux.DEFINE('class_a', sysdev_class, { name: 'a', ...ops });
const classB = vmlinux.DEFINE('class_b', sysdev_class, { name: 'b', ...ops });
const classA2 = vmlinux.DEFINE('class_a2', sysdev_class, { name: 'a', ...ops });
const a0 = vmlinux.DEFINE('a0', sys_device, { id: 0, cls: classA.addr });
const a1 = vmlinux.DEFINE('a1', sys_device, { id: 1, cls: classA.addr });
const a1again = vmlinux.DEFINE('a1again', sys_device, { id: 1, cls: classA.addr });
const b0 = vmlinux.DEFINE('b0', sys_device, { id: 0, cls: classB.addr });
const orphan = vmlinux.DEFINE('orphan', sys_device, { id: 0 });

const heard = vmlinux.DEFINE('heard', s32, -1);
const on_reboot = kernel_function('on_reboot', (_nb: Ptr, action: number): number => {
  heard.value = action;
  return NOTIFY_OK;
});
const nb = vmlinux.DEFINE('reboot_nb', notifier_block, { notifier_call: on_reboot.addr, priority: 3 });

const sleep = kernel_function('platform_sleep', (state: number): number => {
  printk(KERN_INFO, `sleep ${state}, irqs ${irqs_disabled() ? 'off' : 'on'}`);
  return 0;
});
const platform = vmlinux.DEFINE('platform', platform_suspend_ops, { enter: sleep.addr });

const sched_in = kernel_function('test_sched_in', (pn: Ptr, cpu: number): void =>
  printk(KERN_INFO, `in ${pn} ${cpu}`),
);
const sched_out = kernel_function('test_sched_out', (pn: Ptr, _next: Ptr): void =>
  printk(KERN_INFO, `out ${pn}`),
);
const pops = vmlinux.DEFINE('test_preempt_ops', preempt_ops, {
  sched_in: sched_in.addr,
  sched_out: sched_out.addr,
});
const pn1 = vmlinux.DEFINE('pn1', preempt_notifier);
const pn2 = vmlinux.DEFINE('pn2', preempt_notifier);
const flag = vmlinux.DEFINE('flag', u32);

function registerAll(): void {
  for (const cls of [classA, classB]) expect(sysdev_class_register(cls)).toBe(0);
  for (const device of [a0, a1, b0]) expect(sysdev_register(device)).toBe(0);
}

describe('system devices', () => {
  it('suspend: classes in reverse order of registration; resume: in order', () => {
    const bench = kernelBench();
    registerAll();
    expect(sysdev_suspend(2)).toBe(0);
    expect(sysdev_resume()).toBe(0);
    expect(bench.log()).toEqual([
      'suspend b0',
      'suspend a0',
      'suspend a1',
      'resume a0',
      'resume a1',
      'resume b0',
    ]);
  });

  it('a device that refuses: what was suspended is resumed, and the error answered', () => {
    const bench = kernelBench();
    registerAll();
    refuses.value = a1.addr;
    expect(sysdev_suspend(2)).toBe(-EIO);
    expect(bench.log()).toEqual([
      'suspend b0',
      'suspend a0',
      'suspend a1',
      'Class suspend failed for a1',
      'resume a0',
      'resume b0',
    ]);
  });

  it('a name that is taken is -EEXIST, a device without a class -EINVAL, an armed fault the answer', () => {
    const bench = kernelBench();
    registerAll();
    expect(sysdev_class_register(classA2)).toBe(-EEXIST);
    expect(sysdev_register(a1again)).toBe(-EEXIST);
    expect(bench.log()[0]).toContain('kobject_add failed for a with -EEXIST');
    expect(sysdev_register(orphan)).toBe(-EINVAL);
    expect(kernelInventory()).toMatchObject({ sysdevClasses: ['a', 'b'], sysdevs: ['a0', 'a1', 'b0'] });
    sysdev_unregister(b0);
    sysdev_class_unregister(classB);
    arm_fault('sysdev_class_register:b', -EIO);
    expect(sysdev_class_register(classB)).toBe(-EIO);
    expect(kernelInventory()).toMatchObject({ sysdevClasses: ['a'], sysdevs: ['a0', 'a1'] });
  });
});

describe('suspend', () => {
  it('interrupts off, system devices down, sleep, up again, interrupts on', () => {
    const bench = kernelBench();
    registerAll();
    suspend_set_ops(platform.addr);
    expect(pm_suspend(PM_SUSPEND_MEM)).toBe(0);
    expect(bench.log().filter((text) => !text.includes('CPU'))).toEqual([
      'suspend b0',
      'suspend a0',
      'suspend a1',
      'sleep 3, irqs off',
      'resume a0',
      'resume a1',
      'resume b0',
    ]);
    expect(irqs_disabled()).toBe(false);
  });

  it('a platform that cannot sleep is -ENODEV, somebody else at it -EBUSY', () => {
    kernelBench();
    suspend_set_ops(NULL);
    expect(pm_suspend(PM_SUSPEND_MEM)).toBe(-ENODEV);
    suspend_set_ops(platform.addr);
    mutex_trylock(pm_mutex);
    expect(pm_suspend(PM_SUSPEND_MEM)).toBe(-EBUSY);
  });
});

describe('reboot', () => {
  it('restart tells the chain SYS_RESTART, then ends the machine', () => {
    const bench = kernelBench();
    expect(system_state.value).toBe(SYSTEM_RUNNING);
    register_reboot_notifier(nb);
    expect(kernelInventory().rebootNotifiers).toEqual([{ function: 'on_reboot', priority: 3 }]);
    expect(() => sys_reboot(0, 0, LINUX_REBOOT_CMD_RESTART, 0)).toThrow(MachineHalted);
    expect(heard.value).toBe(SYS_RESTART);
    expect(system_state.value).toBe(SYSTEM_RESTART);
    expect(bench.log()).toEqual(['Restarting system.']);
  });

  it('halt tells SYS_HALT; an unknown command is -EINVAL; who unregistered hears nothing', () => {
    kernelBench();
    register_reboot_notifier(nb);
    expect(() => sys_reboot(0, 0, LINUX_REBOOT_CMD_HALT, 0)).toThrow(MachineHalted);
    expect(heard.value).toBe(SYS_HALT);
    expect(sys_reboot(0, 0, 0, 0)).toBe(-EINVAL);
    heard.value = -1;
    unregister_reboot_notifier(nb);
    kernel_restart_prepare(0);
    expect(heard.value).toBe(-1);
  });
});

describe('preemption notifiers', () => {
  it('last registered is called first, around a sleep; unregistered ones are not', () => {
    const bench = kernelBench();
    preempt_notifier_init(pn1, pops.addr);
    preempt_notifier_init(pn2, pops.addr);
    preempt_notifier_register(pn1);
    preempt_notifier_register(pn2);
    let looks = 0;
    wait_event(flag.addr, () => ++looks > 1);
    const [one, two] = [pn1.addr, pn2.addr];
    expect(bench.log()).toEqual([`out ${two}`, `out ${one}`, `in ${two} 0`, `in ${one} 0`]);
    preempt_notifier_unregister(pn1);
    preempt_notifier_unregister(pn2);
    expect(current_task().preempt_notifiers.next).toBe(0);
  });
});

describe('processor and MSRs', () => {
  it('boot_cpu_data knows the vendor, family and model', () => {
    kernelBench();
    identify_boot_cpu();
    expect(boot_cpu_data.x86_vendor_id).toBe('AuthenticAMD');
    expect(boot_cpu_data.x86_vendor).toBe(X86_VENDOR_AMD);
    expect([boot_cpu_data.x86, boot_cpu_data.x86_model, boot_cpu_data.x86_mask]).toEqual([0x10, 2, 3]);
  });

  it('a register that is not there: -EFAULT where that was asked, an oops where not', () => {
    const bench = kernelBench();
    bench.msrs.set(0x10, 5n);
    expect(rdmsrl(0x10)).toBe(5n);
    expect(rdmsr_safe(0x10)).toBe(5n);
    wrmsr(0x10, 0xffffffff, 1);
    expect(rdmsrl(0x10)).toBe(0x1_ffff_ffffn);
    expect(wrmsr_safe(0x10, 6n)).toBe(0);
    expect(rdmsr_safe(0x3a)).toBe(-EFAULT);
    expect(wrmsr_safe(0x3a, 0n)).toBe(-EFAULT);
    expect(bench.findings()).toEqual([]);
    expect(() => rdmsrl(0x3a)).toThrow(TaskKilled);
    expect(() => wrmsrl(0x3a, 5n)).toThrow(TaskKilled);
    expect(bench.findings()).toMatchObject([
      { kind: 'oops', title: 'general protection fault: 0000', detail: 'rdmsr of 0x3a' },
      { kind: 'oops', title: 'general protection fault: 0000', detail: 'wrmsr of 0x3a with 0x5' },
    ]);
  });

  it('CR4: a bit the processor refuses is an oops', () => {
    kernelBench();
    set_in_cr4(0x2000);
    expect(read_cr4()).toBe(0x2000);
    expect(boot_cpu_data.mmu_cr4_features).toBe(0x2000);
    expect(() => write_cr4(0x80000000)).toThrow(TaskKilled);
  });
});

describe('log and symbols', () => {
  it('dmesg: records in order with CPU and level, the newest when the ring has wrapped', () => {
    kernelBench();
    printk(KERN_ERR, 'first');
    printk(KERN_INFO, 'second');
    expect(dmesg()).toEqual([
      { seq: 0, cpu: 0, level: KERN_ERR, text: 'first' },
      { seq: 1, cpu: 0, level: KERN_INFO, text: 'second' },
    ]);
    for (let line = 0; line < 2100; line++) printk(KERN_INFO, `line ${line}`);
    const records = dmesg();
    expect(records).toHaveLength(2048);
    expect(records.at(-1)).toEqual({ seq: 2101, cpu: 0, level: KERN_INFO, text: 'line 2099' });
  });

  it('kallsyms: names to addresses and back', () => {
    kernelBench();
    expect(kallsyms_lookup_name('dev_resume')).toBe(dev_resume.addr);
    expect(kallsyms_lookup_name('nobody')).toBe(0);
    expect(sprint_symbol(dev_resume.addr + 4)).toBe('dev_resume+0x4/0x10');
    expect(sprint_symbol(flag.addr)).toBe('flag');
    expect(sprint_symbol(0x123)).toBe('0x123');
    expect(kallsyms()).toContainEqual({ address: symbolAddress('dev_suspend'), name: 'dev_suspend' });
  });
});

describe('inventory', () => {
  it('the difference of two is what came in between', () => {
    kernelBench();
    const before = kernelInventory();
    expect(isInventoryEmpty(inventoryDifference(before, kernelInventory()))).toBe(true);
    sysdev_class_register(classA);
    const added = inventoryDifference(before, kernelInventory());
    expect(added.sysdevClasses).toEqual(['a']);
    expect(isInventoryEmpty(added)).toBe(false);
    expect(before.allocations.map((one) => `${one.kind} ${one.cache} ${one.allocatedBy}`)).toEqual([
      'cache filp files_init',
      'cache dentry debugfs_init',
    ]);
  });
});
