import {
  DEFINE,
  IS_ERR,
  KVM_CREATE_VM,
  KVM_MAX_VCPUS,
  type Ptr,
  array,
  call,
  cpu_down,
  expect,
  kvm_lock,
  list_head,
  mutex,
  mutex_trylock,
  mutex_unlock,
  old_func,
  ptr,
  s32,
  scenario,
  shared,
  spin_lock,
  spin_unlock,
  struct,
  vm_list,
} from 'smplab';
import { open_dev_kvm } from '../internal/guest.ts';

/** A mutex as CONFIG_DEBUG_MUTEXES has it: `magic` is its own address once it is initialised. */
const debug_mutex = struct('debug_mutex', { lock: mutex, magic: ptr });
const vcpu = struct('kvm_vcpu_2_6_22', { mutex: debug_mutex, cpu: s32 });
/** The vCPUs that are part of each VM. The one VM of this scenario has these. */
const vcpus = DEFINE('vcpus', array(vcpu, KVM_MAX_VCPUS));

export function init_vcpus(): void {
  for (let i = 0; i < KVM_MAX_VCPUS; i++) {
    const one = vcpus.at(i);
    one.mutex.magic = one.mutex.addr;
    one.cpu = -1;
  }
}

/** As kvm_main.c of 2.6.22 and 2.6.23-rc1, where vCPUs are an array in their VM. */
export const vcpusInTheirVm = {
  decache_vcpus_on_cpu(cpu: number): void {
    spin_lock(kvm_lock);
    for (let entry = vm_list.next; entry !== vm_list.addr; entry = list_head.at(entry).next) {
      for (let i = 0; i < KVM_MAX_VCPUS; i++) {
        const one = vcpus.at(i);
        expect(one.mutex.magic === one.mutex.addr, 'mutex_trylock of a mutex that was never initialised');
        if (!mutex_trylock(one.mutex.lock)) continue;
        if (one.cpu === cpu) one.cpu = -1;
        mutex_unlock(one.mutex.lock);
      }
    }
    spin_unlock(kvm_lock);
  },
};

const dev_kvm = shared('dev_kvm');

export default scenario({
  name: 'a VM is made while a CPU goes offline',
  vendor: 'amd',
  cpus: 3,
  modules: ['kvm', 'kvm-amd'],
  races: 'ignore',
  patches: {
    ...vcpusInTheirVm,
    // On vm_list first, then the vCPUs.
    kvm_create_vm(): Ptr {
      const vm = old_func('kvm_create_vm')() as Ptr;
      if (!IS_ERR(vm)) init_vcpus();
      return vm;
    },
  },
  setup(): void {
    dev_kvm.value = open_dev_kvm();
  },
  on: [
    function create_vm(): void {
      call('sys_ioctl', dev_kvm.value, KVM_CREATE_VM, 0);
    },
    function offline(): void {
      cpu_down(2);
    },
  ],
});
