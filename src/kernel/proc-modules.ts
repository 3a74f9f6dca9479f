/** Text of /proc/modules. @linux kernel/module.c (m_show), as of 2.6.24 */
import { type Ptr } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { mutex_lock, mutex_unlock } from '#smp/mutex';
import {
  MODULE_STATE_COMING,
  MODULE_STATE_GOING,
  module,
  module_mutex,
  module_refcount,
  module_users,
  modules,
} from './module.ts';

/** One line for each module: name, bytes, references, who uses it, state, address. */
export const proc_modules = kernel_function('proc_modules', (): string => {
  mutex_lock(module_mutex);
  let text = '';
  for (let at: Ptr = modules.next; at !== modules.addr;) {
    const mod = module.container(at, 'list');
    at = mod.list.next;
    const users = module_users(mod);
    let uses = users.length === 0 ? '-' : '';
    for (const name of users) uses += `${name},`;
    const { state } = mod;
    const word =
      state === MODULE_STATE_GOING ? 'Unloading' : state === MODULE_STATE_COMING ? 'Loading' : 'Live';
    text += `${mod.name} ${mod.core_size} ${module_refcount(mod)} ${uses} ${word} 0x${mod.addr.toString(16)}\n`;
  }
  mutex_unlock(module_mutex);
  return text;
});
