/**
 * Text of /proc/slabinfo: every cache, newest first.
 *
 * @linux mm/slab.c (s_show), as of 2.6.24
 * Leaves out: the tunables and per-CPU queues (there are none). Full slabs are on no list, so the number of objects that there
 * is room for is the least that the objects in use need.
 */
import { kernel_function } from '#memory/symbols';
import { mutex_lock, mutex_unlock } from '#smp/mutex';
import { cache_chain, cache_chain_mutex } from '../slab_cache.ts';
import { kmem_cache, kmem_cache_node } from '../slab_def.ts';

function show_cache(cache: kmem_cache): string {
  const { name, node, objsize, objects, order } = cache;
  const active = kmem_cache_node.at(node).nr_objects;
  const slabs = Math.ceil(active / objects);
  const counts = [active, slabs * objects, objsize].join(' ');
  return `${name.padEnd(17)} ${counts} ${objects} ${1 << order} : tunables 0 0 0 : slabdata ${slabs} ${slabs} 0\n`;
}

export const proc_slabinfo = kernel_function('s_show', (): string => {
  let text =
    'slabinfo - version: 2.1\n' +
    '# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>' +
    ' : tunables <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>\n';
  mutex_lock(cache_chain_mutex);
  for (let at = cache_chain.next; at !== cache_chain.addr;) {
    const cache = kmem_cache.container(at, 'next');
    text += show_cache(cache);
    at = cache.next.next;
  }
  mutex_unlock(cache_chain_mutex);
  return text;
});
