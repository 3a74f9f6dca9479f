import { describe, expect, it } from 'vitest';
import { Aftermath } from '#stress/aftermath';
import type { Complaint } from '#stress/state';

const VM_DIED = ['svm_vcpu_run', 'kvm_vcpu_ioctl', 'sys_ioctl', 'vm_torture_run', 'vm_torture_one'];
const LOADER_DIED = ['svm_hardware_setup', 'kvm_init', 'sys_init_module', 'load_torture'];
const STOPPER_DIED = ['vmx_hardware_disable', 'kvm_cpu_hotplug', 'take_cpu_down', 'do_stop', 'schedule'];
const VCPU_FILE = 'openFiles: {"name":"kvm-vcpu"}';
const OF_VM = new Map([[VCPU_FILE, 1]]);
const OF_KVM = new Map([['miscDevices: {"name":"kvm"}', 1]]);

function after(...stacks: readonly (readonly string[])[]): Aftermath {
  const aftermath = new Aftermath();
  for (const [cpu, stack] of stacks.entries())
    aftermath.add({ kind: 'oops', title: 'BUG', cpu, stack }, 'documented');
  return aftermath;
}

function left(entry: string, more: number, allocatedBy?: string): Complaint {
  return { kind: 'leak', title: entry, entry, more, ...(allocatedBy === undefined ? {} : { allocatedBy }) };
}

function hang(...stacks: readonly (readonly string[])[]): { cpu: number; stack: readonly string[] }[] {
  return stacks.map((stack, cpu) => ({ cpu, stack }));
}

const explainsLeak = (aftermath: Aftermath, complaint: Complaint): boolean =>
  aftermath.explainsLeak(complaint, OF_VM, OF_KVM);

describe('an oops explains', () => {
  it('as much as a VM has for each task with a VM that it ended, and no more', () => {
    const two = after(VM_DIED, VM_DIED);
    expect(explainsLeak(two, left(VCPU_FILE, 2))).toBe(true);
    expect(explainsLeak(two, left(VCPU_FILE, 3))).toBe(false);
  });

  it('nothing of a VM, where who died had none', () => {
    expect(explainsLeak(after(LOADER_DIED), left(VCPU_FILE, 1))).toBe(false);
    expect(explainsLeak(after(), left(VCPU_FILE, 1))).toBe(false);
  });

  it('a half loaded module, where who died was loading it', () => {
    const device = left('miscDevices: {"name":"kvm"}', 1);
    expect(explainsLeak(after(LOADER_DIED), device)).toBe(true);
    expect(explainsLeak(after(VM_DIED), device)).toBe(false);
  });

  it('what the function had asked for in which it happened', () => {
    expect(explainsLeak(after(STOPPER_DIED), left('allocations: x', 1, 'kvm_cpu_hotplug'))).toBe(true);
    expect(explainsLeak(after(STOPPER_DIED), left('allocations: x', 1, 'kmem_cache_create'))).toBe(false);
  });

  it('who waits for what the dead one held, and who waits for him', () => {
    const stuck = hang(
      ['stopmachine', 'schedule'],
      ['wait_event', '__stop_machine_run', '_cpu_down', 'cpu_down'],
      ['wait_event', 'cpu_up', 'onoff_torture'],
      ['native_smp_call_function_mask', 'on_each_cpu', 'ipi_torture'],
      ['preempt_schedule', 'ipi_torture_one', 'ipi_torture'],
      ['set_cpus_allowed', 'vm_torture_migrate', 'vm_torture'],
    );
    expect(after(STOPPER_DIED).explainsHang(stuck)).toBe(true);
  });

  it('no wait for something else, not even beside one that it explains', () => {
    const other = ['wait_event', 'sys_delete_module', 'load_torture'];
    expect(after(STOPPER_DIED).explainsHang(hang(['stopmachine', 'schedule'], other))).toBe(false);
    expect(after(VM_DIED).explainsHang(hang(other))).toBe(false);
    expect(after(VM_DIED).explainsHang(hang(['lost_in_thought']))).toBe(false);
    expect(after(VM_DIED).explainsHang(hang(['preempt_schedule', 'ipi_torture']))).toBe(false);
  });

  it('that a machine cannot be stopped, while somebody spins for a lock that the dead one held', () => {
    const spinner = ['igrab', 'anon_inode_getfd', 'kvm_dev_ioctl_create_vm'];
    const waiting = ['stopmachine', 'schedule'];
    expect(after(['igrab', 'anon_inode_getfd']).explainsHang(hang(spinner, waiting))).toBe(true);
    expect(after(VM_DIED).explainsHang(hang(spinner, waiting))).toBe(false);
  });

  it('a panic of the CPU that had it, if it is documented', () => {
    const aftermath = after(VM_DIED);
    expect(aftermath.explainsPanic(0)).toBe(true);
    expect(aftermath.explainsPanic(1)).toBe(false);
    aftermath.add({ kind: 'oops', title: 'BUG', cpu: 0, stack: [] }, undefined);
    expect(aftermath.explainsPanic(0)).toBe(false);
  });
});
