import {
  CPU_DOWN_PREPARE,
  CPU_DYING,
  KVM_RUN,
  NOTIFY_OK,
  NULL,
  type Ptr,
  call,
  cpu_down,
  hardware_disable,
  old_func,
  scenario,
  shared,
  smp_call_function_single,
} from 'smplab';
import { create_vcpu, create_vm, open_dev_kvm } from '../internal/guest.ts';
import { vcpusCachedHere } from '../internal/vcpus-on-cpu.ts';

const vcpu = shared('vcpu_fd');

export default scenario({
  name: 'a CPU on which a vCPU runs goes offline, and is switched off early',
  vendor: 'intel',
  cpus: 3,
  modules: ['kvm', 'kvm-intel'],
  races: 'ignore',
  patches: {
    ...vcpusCachedHere,
    // As it was up to 2.6.22: the event is told while the CPU still runs tasks.
    kvm_cpu_hotplug(nb: Ptr, action: number, cpu: number): unknown {
      if (action === CPU_DYING) return NOTIFY_OK;
      if (action !== CPU_DOWN_PREPARE) return old_func('kvm_cpu_hotplug')(nb, action, cpu);
      smp_call_function_single(cpu, hardware_disable, NULL, 0, 1);
      return NOTIFY_OK;
    },
  },
  setup(): void {
    vcpu.value = create_vcpu(create_vm(open_dev_kvm()), 0);
  },
  on: {
    1: function offline(): void {
      cpu_down(2);
    },
    2: function run(): void {
      call('sys_ioctl', vcpu.value, KVM_RUN, 0);
    },
  },
});
