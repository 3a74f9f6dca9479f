/**
 * Allocations that are made to fail, on top of smp/fault_inject: adds who asked to the names of a site.
 *
 *     alloc_pages:2            any block of four pages
 *     alloc_pages@kvm_init     the page that kvm_init itself asks for
 *     kmalloc@svm_cpu_init     kmalloc and kzalloc
 *     kmem_cache_alloc:kvm_vcpu
 *     kmem_cache_create:kvm_rmap_desc
 */
import { bus } from '#memory/bus';
import { type Ptr, addressOf } from '#memory/struct';
import { symbolName } from '#memory/symbols';
import { fault_attr, should_fail, should_fail_allocation } from '#smp/fault_inject';
import { KERN_NOTICE, printk } from '#smp/printk';

const NR_SITES = addressOf(fault_attr, 'nr_sites');

/**
 * Counts an allocation, and answers whether it has to fail.
 * @param kind alloc_pages, kmalloc, kmem_cache_alloc, kmem_cache_create
 * @param detail order, size, or name of the cache
 * @param caller address of the function that asked
 */
export function should_failslab(kind: string, detail: string, caller: Ptr): boolean {
  let error = should_fail_allocation(kind, detail);
  // Immutable during a run, so reading it is not a scheduling point; without sites no name is made.
  if (error === 0 && bus.loadLocal32(NR_SITES) !== 0)
    error = should_fail(`${kind}@${symbolName(caller) ?? ''}`);
  if (error !== 0) printk(KERN_NOTICE, `FAULT_INJECTION: forcing a failure of ${kind}:${detail}`);
  return error !== 0;
}
