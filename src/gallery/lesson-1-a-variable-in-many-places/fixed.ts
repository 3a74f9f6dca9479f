/** Mended: the belief. Each CPU has a copy of its own, none of which is the template, and what one counts there the other can read. */
import {
  DEFINE,
  __get_cpu_var,
  complete,
  completion,
  expect,
  init_completion,
  per_cpu,
  per_cpu_ptr,
  scenario,
  wait_for_completion,
} from 'smplab';
import broken, { hits, tell } from './scenario.ts';

const counted = DEFINE('counted', completion);

export default scenario({
  ...broken,
  setup: () => init_completion(counted),
  on: [
    function look(): void {
      __get_cpu_var(hits).value = 1;
      tell();
      const copies = [per_cpu_ptr(hits, 0), per_cpu_ptr(hits, 1)] as const;
      expect(copies[0] !== copies[1], 'two CPUs have one copy');
      expect(copies[0] !== hits.addr && copies[1] !== hits.addr, 'a CPU counts in the template');
      wait_for_completion(counted);
      expect(
        per_cpu(hits, 0).value === 1 && per_cpu(hits, 1).value === 2,
        'a copy has not what its CPU counted',
      );
    },
    function count_twice(): void {
      __get_cpu_var(hits).value = 2;
      complete(counted);
    },
  ],
});
