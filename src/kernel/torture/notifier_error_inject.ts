/**
 * The modules `notifier-error-inject` and `cpu-notifier-error-inject`: a CPU notifier that refuses what a file of debugfs tells it
 * to, so that a script sees what becomes of a CPU that may not go or come.
 *
 * @linux lib/notifier-error-inject.c, lib/cpu-notifier-error-inject.c, as of 3.6
 * Leaves out: a name of 25 letters (a module has 23 here: `modprobe` knows it by both), other chains than the CPUs', the parameter `priority` (it is 0), and the error's number on its way to who asked:
 *   notifiers of 2.6.24 answer yes or no, and _cpu_up and _cpu_down make -EINVAL of a no.
 */
import { EINVAL } from '#base/errno';
import { MODULE_IMAGE } from '#memory/image';
import { NULL, type Ptr, addressOf, array, ptr, s32, struct } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import {
  CPU_DOWN_PREPARE,
  CPU_TASKS_FROZEN,
  CPU_UP_PREPARE,
  register_cpu_notifier,
  unregister_cpu_notifier,
} from '#smp/cpu';
import { NOTIFY_BAD, NOTIFY_OK, notifier_block } from '#smp/notifier';
import { KERN_INFO, printk } from '#smp/printk';
import { debugfs_create_dir, debugfs_create_file, debugfs_remove } from '../debugfs.ts';
import { file, file_operations } from '../file.ts';
import { declare_module } from '../module.ts';

const notifier_error_inject_ko = MODULE_IMAGE('notifier-error-inject', {
  dataBytes: 0x1000,
  perCpuBytes: 0x10,
});
const cpu_notifier_error_inject_ko = MODULE_IMAGE('cpu-notifier-err-inject', {
  dataBytes: 0x1000,
  perCpuBytes: 0x10,
});

const MAX_ERRNO = 4095;

/** Where all chains have their directory. */
const notifier_err_inject_dir = notifier_error_inject_ko.DEFINE('notifier_err_inject_dir', ptr);

/** What is refused, and with what; the directory and the file that say so. Written through the file, read by the notifier. */
const injected = struct('notifier_err_inject_action', { error: s32, dir: ptr, file: ptr });

const fops_errno_get = kernel_function(
  'debugfs_errno_get',
  (filp: Ptr): string => `${injected.at(file.at(filp).private_data).error}\n`,
);

/** 0, or a negative errno. */
const fops_errno_set = kernel_function('debugfs_errno_set', (filp: Ptr, buf: string): number => {
  const text = buf.trim();
  const value = /^-?\d+$/.test(text) ? Number(text) : 1;
  if (value > 0 || value < -MAX_ERRNO) return -EINVAL;
  injected.at(file.at(filp).private_data).error = value;
  return buf.length;
});

const fops_errno = notifier_error_inject_ko.DEFINE('fops_errno', file_operations, {
  read: fops_errno_get.addr,
  write: fops_errno_set.addr,
});

const err_inject_init = kernel_function('err_inject_init', (): number => {
  notifier_err_inject_dir.value = debugfs_create_dir('notifier-error-inject', NULL);
  return 0;
});

const err_inject_exit = kernel_function('err_inject_exit', (): void => {
  debugfs_remove(notifier_err_inject_dir.value);
});

export const NOTIFIER_ERROR_INJECT_MODULE = declare_module(notifier_error_inject_ko, {
  init: err_inject_init,
  exit: err_inject_exit,
});

/** In the order in which they are listed. */
const ACTIONS = Object.freeze([
  { action: CPU_UP_PREPARE, name: 'CPU_UP_PREPARE' },
  { action: CPU_UP_PREPARE | CPU_TASKS_FROZEN, name: 'CPU_UP_PREPARE_FROZEN' },
  { action: CPU_DOWN_PREPARE, name: 'CPU_DOWN_PREPARE' },
  { action: CPU_DOWN_PREPARE | CPU_TASKS_FROZEN, name: 'CPU_DOWN_PREPARE_FROZEN' },
]);

const cpu_actions = cpu_notifier_error_inject_ko.DEFINE('cpu_actions', array(injected, ACTIONS.length));
const cpu_dir = cpu_notifier_error_inject_ko.DEFINE('cpu_notifier_dir', ptr);
const actions_dir = cpu_notifier_error_inject_ko.DEFINE('cpu_notifier_actions_dir', ptr);

const notifier_err_inject_callback = kernel_function(
  'notifier_err_inject_callback',
  (_nb: Ptr, action: number, _cpu: number): number => {
    for (let index = 0; index < ACTIONS.length; index++) {
      const known = ACTIONS[index]!;
      if (known.action !== action) continue;
      const { error } = cpu_actions.at(index);
      if (error === 0) return NOTIFY_OK;
      printk(KERN_INFO, `Injecting error (${error}) to ${known.name}`);
      return NOTIFY_BAD;
    }
    return NOTIFY_OK;
  },
);

const cpu_notifier = cpu_notifier_error_inject_ko.DEFINE('cpu_notifier', notifier_block, {
  notifier_call: notifier_err_inject_callback.addr,
});

const cpu_err_inject_init = kernel_function('cpu_err_inject_init', (): number => {
  const dir = debugfs_create_dir('cpu', notifier_err_inject_dir.value);
  const actions = debugfs_create_dir('actions', dir);
  cpu_dir.value = dir;
  actions_dir.value = actions;
  for (let index = 0; index < ACTIONS.length; index++) {
    const one = cpu_actions.at(index);
    const own = debugfs_create_dir(ACTIONS[index]!.name, actions);
    one.dir = own;
    one.file = debugfs_create_file('error', 0o644, own, addressOf(one, 'error'), fops_errno.addr);
  }
  return register_cpu_notifier(cpu_notifier);
});

const cpu_err_inject_exit = kernel_function('cpu_err_inject_exit', (): void => {
  unregister_cpu_notifier(cpu_notifier);
  for (let index = 0; index < ACTIONS.length; index++) {
    const one = cpu_actions.at(index);
    debugfs_remove(one.file);
    debugfs_remove(one.dir);
  }
  debugfs_remove(actions_dir.value);
  debugfs_remove(cpu_dir.value);
});

export const CPU_NOTIFIER_ERROR_INJECT_MODULE = declare_module(cpu_notifier_error_inject_ko, {
  init: cpu_err_inject_init,
  exit: cpu_err_inject_exit,
  depends: ['notifier-error-inject'],
});
