/** CPU 2 has counted and gone. The sum goes over the CPUs that are online: what CPU 2 counted is in nobody's sum. */
import {
  DEFINE,
  DEFINE_PER_CPU,
  __get_cpu_var,
  complete,
  completion,
  type cpumask_t,
  cpu_down,
  cpu_online_map,
  expect,
  first_cpu,
  init_completion,
  kernel_function,
  next_cpu,
  on_each_cpu,
  per_cpu,
  scenario,
  u32,
  wait_for_completion,
} from 'smplab';

const CPUS = 3;
const hits = DEFINE_PER_CPU('hits', u32);
const done = DEFINE('done', completion);

const hit = kernel_function('hit', (): void => {
  const mine = __get_cpu_var(hits);
  mine.value = mine.value + 1;
});

/** When CPU 1 has counted once more. The loop is what for_each_cpu_mask() becomes. */
export function sumOver(mask: cpumask_t): void {
  wait_for_completion(done);
  let sum = 0;
  for (let cpu = first_cpu(mask); cpu < CPUS; cpu = next_cpu(cpu, mask)) sum += per_cpu(hits, cpu).value;
  expect(sum === CPUS + 1, `${sum} of ${CPUS + 1} hits counted`);
}

export default scenario({
  cpus: CPUS,
  setup(): void {
    init_completion(done);
    on_each_cpu(hit, 0, 0, 1);
    cpu_down(2);
  },
  on: [
    function sum(): void {
      sumOver(cpu_online_map);
    },
    function hit_again(): void {
      hit();
      complete(done);
    },
  ],
});
