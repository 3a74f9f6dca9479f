import {
  KVM_CREATE_VCPU,
  KVM_CREATE_VM,
  KVM_RUN,
  KVM_SET_TSS_ADDR,
  call,
  cpu_down,
  cpu_online,
  cpu_set,
  cpu_up,
  cpumask_t,
  cpus_clear,
  expect,
  scenario,
  set_cpus_allowed,
  shared,
  stack_alloc,
  waitUntil,
} from 'smplab';

const vcpu = shared('vcpu_fd');

export default scenario({
  name: 'a vCPU runs on a CPU that has just come online',
  vendor: 'intel',
  cpus: 3,
  modules: ['kvm', 'kvm-intel'],
  races: 'ignore',
  setup(): void {
    const kvm = call('sys_open', 0, 0, 0, '/dev/kvm') as number;
    const vm = call('sys_ioctl', kvm, KVM_CREATE_VM, 0) as number;
    call('sys_ioctl', vm, KVM_SET_TSS_ADDR, 0xfffbd000);
    vcpu.value = call('sys_ioctl', vm, KVM_CREATE_VCPU, 0) as number;
    expect(kvm >= 0 && vm >= 0 && vcpu.value >= 0, 'no vCPU could be made');
    cpu_down(2);
  },
  on: [
    function run_on_2(): void {
      waitUntil(() => cpu_online(2));
      const only_2 = stack_alloc(cpumask_t);
      cpus_clear(only_2);
      cpu_set(2, only_2);
      set_cpus_allowed(only_2);
      call('sys_ioctl', vcpu.value, KVM_RUN, 0);
    },
    function online(): void {
      cpu_up(2);
    },
  ],
});
