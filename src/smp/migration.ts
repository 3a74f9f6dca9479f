/**
 * What the scheduler does when CPUs come and go. @linux kernel/sched.c (migration_call, update_sched_domains), as of 2.6.24
 * Leaves out: the migration threads themselves, and scheduling domains (whose notifier is in the chain and does nothing).
 */
import { vmlinux } from '#memory/image';
import { kernel_function } from '#memory/symbols';
import { CPU_DEAD, CPU_TASKS_FROZEN, register_cpu_notifier } from './cpu.ts';
import { NOTIFY_OK, notifier_block } from './notifier.ts';
import { migrate_live_tasks } from './sched.ts';

const migration_call = kernel_function(
  'migration_call',
  (_nb: number, action: number, hcpu: number): number => {
    if ((action & ~CPU_TASKS_FROZEN) === CPU_DEAD) migrate_live_tasks(hcpu);
    return NOTIFY_OK;
  },
);

const update_sched_domains = kernel_function('update_sched_domains', (): number => NOTIFY_OK);

/** After KVM's 20: by the time tasks move, KVM has left the CPU. */
const migration_notifier = vmlinux.DEFINE('migration_notifier', notifier_block, {
  notifier_call: migration_call.addr,
  priority: 10,
});
const sched_domains_notifier = vmlinux.DEFINE('sched_domains_notifier', notifier_block, {
  notifier_call: update_sched_domains.addr,
  priority: 0,
});

export const migration_init = kernel_function('migration_init', (): void => {
  register_cpu_notifier(migration_notifier);
  register_cpu_notifier(sched_domains_notifier);
});
