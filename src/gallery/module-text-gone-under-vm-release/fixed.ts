import {
  type Ptr,
  file_operations,
  kvm_vcpu_fops,
  kvm_vm_fops,
  module_put,
  old_func,
  scenario,
  try_module_get,
} from 'smplab';
import { noWalkOverVms } from '../internal/livepatches.ts';
import broken from './scenario.ts';

const ENOENT = 2;

export default scenario({
  ...broken,
  patches: {
    // kvm_exit takes kvm_lock in an interrupt, which is another entry; upstream had no more of that from 2.6.27 on.
    ...noWalkOverVms,
    kvm_init(opaque: Ptr, vcpu_size: number, module: Ptr): unknown {
      kvm_vm_fops.owner = module;
      kvm_vcpu_fops.owner = module;
      return old_func('kvm_init')(opaque, vcpu_size, module);
    },
    // The reference that __fput gives back after the release function has returned.
    anon_inode_getfd(name: string, fops: Ptr, priv: Ptr, pfile: Ptr): unknown {
      const { owner } = file_operations.at(fops);
      if (!try_module_get(owner)) return -ENOENT;
      const fd = old_func('anon_inode_getfd')(name, fops, priv, pfile) as number;
      if (fd < 0) module_put(owner);
      return fd;
    },
  },
});
