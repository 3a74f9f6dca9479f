import { old_func, scenario } from 'smplab';
import { init_vcpus_on_cpu } from '../internal/vcpus-on-cpu.ts';
import broken from './scenario.ts';

export default scenario({
  ...broken,
  patches: {
    ...broken.patches,
    vmx_init(): unknown {
      init_vcpus_on_cpu();
      return old_func('vmx_init')();
    },
  },
});
