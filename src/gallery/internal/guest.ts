/** What a program of user space does to have a virtual machine. Runs as system calls of the current task. */
import {
  KVM_CREATE_VCPU,
  KVM_CREATE_VM,
  KVM_SET_TSS_ADDR,
  NULL,
  type Ptr,
  call,
  cpu_set,
  cpumask_t,
  cpus_clear,
  expect,
  kvm,
  kvm_dev,
  set_cpus_allowed,
  stack_alloc,
  vcpu_slot,
  vm_list,
} from 'smplab';

const TSS_ADDR = 0xfffbd000;

/** Open, or the set-up has failed. @returns the descriptor of /dev/kvm */
export function open_dev_kvm(): number {
  const fd = call('sys_open', 0, 0, 0, '/dev/kvm') as number;
  expect(fd >= 0, 'no /dev/kvm');
  return fd;
}

/** @param dev_kvm descriptor of /dev/kvm @returns the VM's descriptor */
export function create_vm(dev_kvm: number): number {
  const fd = call('sys_ioctl', dev_kvm, KVM_CREATE_VM, 0) as number;
  expect(fd >= 0, 'no VM could be made');
  call('sys_ioctl', fd, KVM_SET_TSS_ADDR, TSS_ADDR);
  return fd;
}

/** @param vm the VM's descriptor @returns the vCPU's descriptor */
export function create_vcpu(vm: number, id: number): number {
  const fd = call('sys_ioctl', vm, KVM_CREATE_VCPU, id) as number;
  expect(fd >= 0, 'no vCPU could be made');
  return fd;
}

/** The running task goes to one CPU. @returns 0, or -EINVAL if that CPU is not online */
export function run_on(cpu: number): number {
  const only = stack_alloc(cpumask_t);
  cpus_clear(only);
  cpu_set(cpu, only);
  return set_cpus_allowed(only);
}

/** Sleeps until /dev/kvm is registered: what a program does that udev starts for a new device. */
export function wait_for_dev_kvm(): void {
  const { list } = kvm_dev;
  call('wait_event', list.addr, () => list.next !== NULL && list.next !== list.addr);
}

/** Address of the first vCPU of the VM that was made last; without a lock. */
export function newest_vcpu(): Ptr {
  return vcpu_slot(kvm.container(vm_list.next, 'vm_list'), 0);
}
