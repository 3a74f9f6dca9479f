/** Mended: a CPU does not go while a task on it has preemption off, and the pointer is not kept longer. */
import { get_cpu_var, put_cpu_var, scenario } from 'smplab';
import broken, { buffers, fill } from './scenario.ts';

function use(): void {
  fill(get_cpu_var(buffers).value);
  put_cpu_var(buffers);
}

export default scenario({ ...broken, on: [broken.flows[0]!, use] });
