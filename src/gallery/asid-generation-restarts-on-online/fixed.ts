import { type Ptr, __get_cpu_var, old_func, scenario, svm_cpu_data, svm_data } from 'smplab';
import broken from './scenario.ts';

export default scenario({
  ...broken,
  patches: {
    ...broken.patches,
    svm_hardware_enable(garbage: Ptr): void {
      const data = svm_cpu_data.at(__get_cpu_var(svm_data).value);
      const before = data.asid_generation;
      old_func('svm_hardware_enable')(garbage);
      // Never a generation that a vCPU may still have.
      data.asid_generation = before + 1n;
    },
  },
});
