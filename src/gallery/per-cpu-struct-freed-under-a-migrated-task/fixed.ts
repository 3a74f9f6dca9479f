import { NULL, __get_cpu_var, kfree, mutex_lock, mutex_unlock, per_cpu, scenario } from 'smplab';
import broken, { acomp_ctx, compress } from './scenario.ts';

export default scenario({
  ...broken,
  patches: {
    // Under the mutex, so not while somebody compresses; and whoever takes the mutex later sees that it is gone.
    zswap_cpu_comp_dead(cpu: number): void {
      const ctx = per_cpu(acomp_ctx, cpu);
      mutex_lock(ctx.mutex);
      kfree(ctx.buffer);
      ctx.buffer = NULL;
      mutex_unlock(ctx.mutex);
    },
    // acomp_ctx_get_cpu_lock: a context that is gone was another CPU's; this one's is there.
    zswap_compress(): void {
      for (;;) {
        const ctx = __get_cpu_var(acomp_ctx);
        mutex_lock(ctx.mutex);
        const buffer = ctx.buffer;
        if (buffer !== NULL) compress(buffer);
        mutex_unlock(ctx.mutex);
        if (buffer !== NULL) return;
      }
    },
  },
});
