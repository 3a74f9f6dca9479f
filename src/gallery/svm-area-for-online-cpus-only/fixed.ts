import { cpu_online, scenario, svm_is_on } from 'smplab';
import { svmDataForPossibleCpus } from '../internal/livepatches.ts';
import broken from './scenario.ts';

export default scenario({
  ...broken,
  patches: svmDataForPossibleCpus,
  check: () => (cpu_online(2) && svm_is_on(2)) || 'CPU 2 did not come back with its virtualization on',
});
