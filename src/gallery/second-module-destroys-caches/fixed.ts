import { NULL, type Ptr, call_pointer, kvm_x86_ops, kvm_x86_ops_t, old_func, scenario } from 'smplab';
import broken from './scenario.ts';

const EEXIST = 17;
const EOPNOTSUPP = 95;

export default scenario({
  ...broken,
  patches: {
    // The checks, which change nothing, before the caches.
    kvm_arch_init(opaque: Ptr): unknown {
      const ops = kvm_x86_ops_t.at(opaque);
      if (kvm_x86_ops.value !== NULL) return -EEXIST;
      if (call_pointer(ops.cpu_has_kvm_support) === 0) return -EOPNOTSUPP;
      if (call_pointer(ops.disabled_by_bios) !== 0) return -EOPNOTSUPP;
      return old_func('kvm_arch_init')(opaque);
    },
  },
});
