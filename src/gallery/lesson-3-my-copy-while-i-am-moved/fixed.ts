/** Mended: get_cpu_var() keeps the task, and thereby its CPU, until put_cpu_var(). */
import { get_cpu_var, put_cpu_var, scenario } from 'smplab';
import broken, { hits } from './scenario.ts';

function hit(): void {
  const mine = get_cpu_var(hits);
  mine.value = mine.value + 1;
  put_cpu_var(hits);
}

export default scenario({ ...broken, on: [broken.flows[0]!, hit] });
