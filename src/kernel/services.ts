/**
 * Boot of the services a module needs, in the order Linux does it (vfs_caches_init, driver_init, the initcalls).
 * Runs in the first task, after mem_init and kmem_cache_init: it takes mutexes.
 */
import { kernel_function } from '#memory/symbols';
import { debugfs_init } from './debugfs.ts';
import { files_init } from './file.ts';
import { misc_init } from './misc.ts';
import { SYSTEM_RUNNING, system_state } from './reboot.ts';

export const do_basic_setup = kernel_function('do_basic_setup', (): void => {
  files_init();
  debugfs_init();
  misc_init();
  system_state.value = SYSTEM_RUNNING;
});
