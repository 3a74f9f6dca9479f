/**
 * The module `lkdtm`: breaks the kernel when it is told to, by a word that is written into a file of debugfs. For whoever wants to
 * see that what watches over the kernel does.
 *
 * @linux drivers/misc/lkdtm.c, as of 2.6.34 (the files of debugfs; before, module parameters chose)
 * Leaves out: crash points other than DIRECT, which take kprobes; types that corrupt memory.
 */
import { EINVAL } from '#base/errno';
import { MODULE_IMAGE } from '#memory/image';
import { NULL, type Ptr, ptr } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { KERN_INFO, printk } from '#smp/printk';
import { debugfs_create_dir, debugfs_create_file, debugfs_remove } from '../debugfs.ts';
import { file_operations } from '../file.ts';
import { declare_module } from '../module.ts';
import {
  LKDTM_BUG,
  LKDTM_EXCEPTION,
  LKDTM_HARDLOCKUP_BUSY,
  LKDTM_HUNG_TASK,
  LKDTM_LOOP,
  LKDTM_OVERFLOW,
  LKDTM_PANIC,
  LKDTM_SOFTLOCKUP,
  LKDTM_SPINLOCK,
  LKDTM_WARNING,
  lkdtm_do,
} from './lkdtm.ts';

const lkdtm_ko = MODULE_IMAGE('lkdtm', { dataBytes: 0x1000, perCpuBytes: 0x10 });

/** In the order in which they are listed. */
const CRASH_TYPES = Object.freeze([
  { name: 'PANIC', does: LKDTM_PANIC },
  { name: 'BUG', does: LKDTM_BUG },
  { name: 'WARNING', does: LKDTM_WARNING },
  { name: 'EXCEPTION', does: LKDTM_EXCEPTION },
  { name: 'LOOP', does: LKDTM_LOOP },
  { name: 'OVERFLOW', does: LKDTM_OVERFLOW },
  { name: 'SOFTLOCKUP', does: LKDTM_SOFTLOCKUP },
  { name: 'HARDLOCKUP', does: LKDTM_HARDLOCKUP_BUSY },
  { name: 'SPINLOCKUP', does: LKDTM_SPINLOCK },
  { name: 'HUNG_TASK', does: LKDTM_HUNG_TASK },
]);

const lkdtm_debugfs_read = kernel_function('lkdtm_debugfs_read', (_filp: Ptr): string => {
  let text = 'Available crash types:\n';
  for (const { name } of CRASH_TYPES) text += `${name}\n`;
  return text;
});

const direct_entry = kernel_function('direct_entry', (_filp: Ptr, buf: string): number => {
  const wanted = buf.trim();
  for (const { name, does } of CRASH_TYPES) {
    if (name !== wanted) continue;
    printk(KERN_INFO, `lkdtm: Performing direct entry ${name}`);
    lkdtm_do(does);
    return buf.length;
  }
  return -EINVAL;
});

const direct_fops = lkdtm_ko.DEFINE('lkdtm_direct_fops', file_operations, {
  read: lkdtm_debugfs_read.addr,
  write: direct_entry.addr,
});
const lkdtm_debugfs_root = lkdtm_ko.DEFINE('lkdtm_debugfs_root', ptr);
const lkdtm_debugfs_direct = lkdtm_ko.DEFINE('lkdtm_debugfs_direct', ptr);

const lkdtm_module_init = kernel_function('lkdtm_module_init', (): number => {
  const root = debugfs_create_dir('provoke-crash', NULL);
  lkdtm_debugfs_root.value = root;
  lkdtm_debugfs_direct.value = debugfs_create_file('DIRECT', 0o644, root, NULL, direct_fops.addr);
  return 0;
});

const lkdtm_module_exit = kernel_function('lkdtm_module_exit', (): void => {
  debugfs_remove(lkdtm_debugfs_direct.value);
  debugfs_remove(lkdtm_debugfs_root.value);
});

export const LKDTM_MODULE = declare_module(lkdtm_ko, { init: lkdtm_module_init, exit: lkdtm_module_exit });
