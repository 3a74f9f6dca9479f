import { IS_ERR, type Ptr, old_func, scenario } from 'smplab';
import broken, { init_vcpus, vcpusInTheirVm } from './scenario.ts';

export default scenario({
  ...broken,
  patches: {
    ...vcpusInTheirVm,
    // Whole before anybody can find it.
    kvm_arch_create_vm(): Ptr {
      const vm = old_func('kvm_arch_create_vm')() as Ptr;
      if (!IS_ERR(vm)) init_vcpus();
      return vm;
    },
  },
});
