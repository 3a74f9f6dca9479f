/**
 * Fault injection: makes a chosen call fail. @linux lib/fault-inject.c, as of 2.6.24 (the idea; the interface is ours)
 *
 * Two ways to choose: the n-th allocation of the machine's life, whatever it is for, or a named site, such as
 * `misc_register`, `alloc_pages:2` or `kmem_cache_create:kvm_vcpu`. The host writes the attributes before a run.
 */
import { ENOMEM } from '#base/errno';
import { bus } from '#memory/bus';
import { vmlinux } from '#memory/image';
import { type StructView, array, char, s32, struct, u32 } from '#memory/struct';

/** Sites that may be armed at a time. */
export const FAULT_SITES_MAX = 8;

const fault_site = struct('fault_site', {
  name: char(48),
  /** answered to the caller; negative */
  error: s32,
  /** calls let through first; a racing pair may both see the last one, which is the injected fault's own race */
  skip: s32,
  /** calls failed so far */
  hits: s32,
});

const fault_attr_t = struct('fault_attr', {
  /** fail the n-th allocation from now, counted from 1; 0 = none */
  fail_nth: s32,
  /** allocations since power-on, failed ones included */
  allocations_seen: s32,
  nr_sites: u32,
  sites: array(fault_site, FAULT_SITES_MAX),
});
export type fault_attr_t = StructView<typeof fault_attr_t>;

export const fault_attr = vmlinux.DEFINE('fault_attr', fault_attr_t);

/**
 * Asked by everything that can be made to fail.
 * @param site kind of call, e.g. `misc_register`; `detail` may narrow it
 * @returns 0 to go on, or the negative errno to fail with
 */
export function should_fail(site: string, detail = ''): number {
  const sites = bus.loadLocal32(fault_attr.addr + fault_attr_t.offsetof('nr_sites'));
  for (let index = 0; index < sites; index++) {
    const armed = fault_attr.sites.at(index);
    const { name } = armed;
    if (name !== site && name !== `${site}:${detail}`) continue;
    if (armed.skip > 0) armed.skip -= 1;
    else {
      armed.hits += 1;
      return armed.error;
    }
  }
  return 0;
}

/** As should_fail, for allocations: these are numbered too. */
export function should_fail_allocation(site: string, detail = ''): number {
  const number = bus.tally32(fault_attr.addr + fault_attr_t.offsetof('allocations_seen'), 1) + 1;
  const nth = bus.loadLocal32(fault_attr.addr) | 0;
  if (nth !== 0 && number === nth) return -ENOMEM;
  return should_fail(site, detail);
}
