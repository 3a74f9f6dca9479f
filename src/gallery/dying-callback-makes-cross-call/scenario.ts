import {
  CPU_DYING,
  NOTIFY_OK,
  NULL,
  type Ptr,
  cpu_down,
  hardware_disable,
  old_func,
  scenario,
  shared,
  smp_call_function_single,
} from 'smplab';

/** CPU 1 is in KVM's part of CPU_DYING. Its own: written and read there. */
export const dying = shared('dying');
const interrupted = shared('interrupted');

export default scenario({
  name: 'a CPU goes offline, and calls itself on the way',
  vendor: 'amd',
  cpus: 2,
  modules: ['kvm', 'kvm-amd'],
  races: 'ignore',
  patches: {
    // As in 2.6.23-rc1: moved to CPU_DYING, with the cross call that the earlier event needed.
    kvm_cpu_hotplug(nb: Ptr, action: number, cpu: number): unknown {
      if (action !== CPU_DYING) return old_func('kvm_cpu_hotplug')(nb, action, cpu);
      dying.value = 1;
      smp_call_function_single(cpu, hardware_disable, NULL, 0, 1);
      dying.value = 0;
      return NOTIFY_OK;
    },
  },
  on: [
    function offline(): void {
      cpu_down(1);
    },
  ],
  interrupts: [
    {
      cpu: 1,
      handler: function device_interrupt(): void {
        if (dying.value !== 0) interrupted.value = 1;
      },
    },
  ],
  // Not as `check`: the kernel has warned of the cross call by then, and a run with a finding is not checked.
  always: () =>
    interrupted.value === 0 ||
    'an interrupt was handled in the middle of CPU_DYING, with the machine stopped',
});
