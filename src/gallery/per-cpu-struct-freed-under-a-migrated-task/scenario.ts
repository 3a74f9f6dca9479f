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
  mutex,
  mutex_lock,
  mutex_unlock,
  notifier_block,
  per_cpu,
  ptr,
  register_cpu_notifier,
  scenario,
  struct,
  u32,
} from 'smplab';

const CPUS = 3;
const BUFFER_BYTES = 64;

/** What compressing needs, one for each CPU. `buffer` is guarded by `mutex`. */
const crypto_acomp_ctx = struct('crypto_acomp_ctx', { mutex, buffer: ptr });
export const acomp_ctx = DEFINE_PER_CPU('acomp_ctx', crypto_acomp_ctx);
const zswap_nb = DEFINE('zswap_nb', notifier_block);
const page = struct('compressed_page', { length: u32 });

/** A CPU is gone: what it had to compress with goes as well. */
const zswap_cpu_comp_dead = kernel_function('zswap_cpu_comp_dead', (cpu: number): void => {
  kfree(per_cpu(acomp_ctx, cpu).buffer);
});

const zswap_notifier = kernel_function(
  'zswap_notifier',
  (_nb: number, action: number, cpu: number): number => {
    if (action === CPU_DEAD) zswap_cpu_comp_dead(cpu);
    return NOTIFY_OK;
  },
);

/** Compresses into the buffer. Must hold the context's mutex. */
export function compress(buffer: number): void {
  page.at(buffer).length = BUFFER_BYTES;
}

/** Takes this CPU's context. It may sleep from here on, and go on elsewhere: the mutex is what keeps others out. */
const zswap_compress = kernel_function('zswap_compress', (): void => {
  const ctx = __get_cpu_var(acomp_ctx);
  mutex_lock(ctx.mutex);
  compress(ctx.buffer);
  mutex_unlock(ctx.mutex);
});

export default scenario({
  name: 'a task compresses with the context of a CPU that goes offline',
  cpus: CPUS,
  races: 'ignore',
  setup(): void {
    for (let cpu = 0; cpu < CPUS; cpu++) per_cpu(acomp_ctx, cpu).buffer = kmalloc(BUFFER_BYTES, GFP_KERNEL);
    zswap_nb.notifier_call = zswap_notifier.addr;
    register_cpu_notifier(zswap_nb);
  },
  on: [
    function offline(): void {
      cpu_down(1);
    },
    function swap_out(): void {
      zswap_compress();
    },
  ],
});
