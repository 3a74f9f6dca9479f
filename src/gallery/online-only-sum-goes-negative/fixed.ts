import { cpu_possible_map, first_cpu, next_cpu, per_cpu, scenario } from 'smplab';
import broken, { process_counts } from './scenario.ts';

export default scenario({
  ...broken,
  patches: {
    // A CPU that is gone keeps what it counted.
    nr_processes(): number {
      let total = 0;
      for (let cpu = first_cpu(cpu_possible_map); cpu < broken.cpus; cpu = next_cpu(cpu, cpu_possible_map))
        total += per_cpu(process_counts, cpu).value;
      return total;
    },
  },
});
