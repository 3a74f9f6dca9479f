import { type Ptr, READ_ONCE, SYS_RESTART, WRITE_ONCE, old_func, scenario, shared, waitUntil } from 'smplab';
import { vcpusCachedHere } from '../internal/vcpus-on-cpu.ts';
import broken from './scenario.ts';

const kvm_rebooting = shared('kvm_rebooting');

export default scenario({
  ...broken,
  patches: {
    // Upstream in the same release: without it, reboot's interrupt takes kvm_lock and vCPU mutexes, which is another entry.
    ...vcpusCachedHere,
    kvm_reboot(notifier: Ptr, val: number, v: Ptr): unknown {
      // Before the first CPU is switched off: whoever faults from then on sees it.
      if (val === SYS_RESTART) WRITE_ONCE(kvm_rebooting, 'value', 1);
      return old_func('kvm_reboot')(notifier, val, v);
    },
    // The fixup of the virtualization instructions: spin, the restart is on its way.
    do_invalid_op(instruction: string): void {
      if (READ_ONCE(kvm_rebooting, 'value') === 0) old_func('do_invalid_op')(instruction);
      waitUntil(() => false);
    },
  },
});
