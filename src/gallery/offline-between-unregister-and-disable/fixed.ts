import { NULL, cpu_isset, cpus_hardware_enabled, per_cpu, scenario, svm_data, svm_is_on } from 'smplab';
import { hotplugExcluded } from '../internal/livepatches.ts';
import broken from './scenario.ts';

export default scenario({
  ...broken,
  patches: hotplugExcluded,
  check: () =>
    (!cpu_isset(2, cpus_hardware_enabled) && !svm_is_on(2) && per_cpu(svm_data, 2).value === NULL) ||
    'something of KVM is left on CPU 2',
});
