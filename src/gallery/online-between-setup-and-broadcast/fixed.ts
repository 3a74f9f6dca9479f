import { cpu_online, scenario, svm_is_on } from 'smplab';
import { hotplugExcluded, svmDataForPossibleCpus } from '../internal/livepatches.ts';
import broken from './scenario.ts';

export default scenario({
  ...broken,
  patches: { ...hotplugExcluded, ...svmDataForPossibleCpus },
  check: () => (cpu_online(2) && svm_is_on(2)) || 'CPU 2 did not come online with its virtualization on',
});
