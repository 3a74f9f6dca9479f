/** Mended: each CPU counts in its own copy, and who wants to know adds them up. */
import {
  DEFINE,
  DEFINE_PER_CPU,
  complete,
  completion,
  expect,
  get_cpu_var,
  init_completion,
  per_cpu,
  put_cpu_var,
  scenario,
  u32,
  wait_for_completion,
} from 'smplab';

const hits = DEFINE_PER_CPU('hits', u32);
const done = DEFINE('done', completion);

function hit(): void {
  const mine = get_cpu_var(hits);
  mine.value = mine.value + 1;
  put_cpu_var(hits);
  complete(done);
}

function sum(): void {
  for (let count = 0; count < 2; count++) wait_for_completion(done);
  const total = per_cpu(hits, 0).value + per_cpu(hits, 1).value;
  expect(total === 2, `${total} of 2 hits counted`);
}

export default scenario({ setup: () => init_completion(done), on: [hit, hit, sum] });
