/** The copy holds a pointer to a buffer, which goes when its CPU goes. A task that still holds the pointer writes to freed memory. */
import {
  CPU_DEAD,
  DEFINE,
  DEFINE_PER_CPU,
  GFP_KERNEL,
  NOTIFY_OK,
  __get_cpu_var,
  cpu_down,
  kernel_function,
  kfree,
  kmalloc,
  notifier_block,
  per_cpu,
  ptr,
  register_cpu_notifier,
  scenario,
  struct,
  u32,
} from 'smplab';

const CPUS = 3;
const buffer_t = struct('buffer', { length: u32 });
export const buffers = DEFINE_PER_CPU('buffers', ptr);
const buffers_nb = DEFINE('buffers_nb', notifier_block);

const buffers_callback = kernel_function(
  'buffers_callback',
  (_nb: number, action: number, cpu: number): number => {
    if (action === CPU_DEAD) kfree(per_cpu(buffers, cpu).value);
    return NOTIFY_OK;
  },
);

export function fill(buffer: number): void {
  buffer_t.at(buffer).length = 1;
}

function use(): void {
  fill(__get_cpu_var(buffers).value);
}

export default scenario({
  cpus: CPUS,
  races: 'ignore',
  stepsMax: 60_000,
  setup(): void {
    for (let cpu = 0; cpu < CPUS; cpu++) per_cpu(buffers, cpu).value = kmalloc(buffer_t.size, GFP_KERNEL);
    buffers_nb.notifier_call = buffers_callback.addr;
    register_cpu_notifier(buffers_nb);
  },
  on: [
    function offline(): void {
      cpu_down(1);
    },
    use,
  ],
});
