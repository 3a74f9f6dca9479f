import { MSR_FS_BASE, __get_cpu_var, old_func, scenario, wrmsrl } from 'smplab';
import broken, { xfd_state } from './scenario.ts';

export default scenario({
  ...broken,
  patches: {
    // xfd_set_state: the register and the variable, always both.
    cpu_init(): void {
      old_func('cpu_init')();
      wrmsrl(MSR_FS_BASE, 0n);
      __get_cpu_var(xfd_state).value = 0n;
    },
  },
});
