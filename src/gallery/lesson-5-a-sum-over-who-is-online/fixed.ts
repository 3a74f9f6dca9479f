/** Mended: every CPU that there can ever be has a copy, and it stays when the CPU goes. */
import { cpu_possible_map, scenario } from 'smplab';
import broken, { sumOver } from './scenario.ts';

export default scenario({
  ...broken,
  on: [
    function sum(): void {
      sumOver(cpu_possible_map);
    },
    broken.flows[1]!,
  ],
});
