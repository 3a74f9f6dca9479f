/**
 * Fault injection: makes a chosen call fail. @linux lib/fault-inject.c, as of 2.6.24 (the idea; the interface is ours)
 *
 * Two ways to choose: the n-th allocation of the machine's life, whatever it is for, or a named site, such as
 * `misc_register`, `alloc_pages:2` or `kmem_cache_create:kvm_vcpu`. The host writes the attributes before a run.
 *
 * Asking is no operation of the simulated machine: nothing here is a scheduling point, and chance is a CPU's own, so that what
 * one CPU is made to fail does not depend on what others do.
 */
import { ENOMEM } from '#base/errno';
import { seedState, xorshift32 } from '#base/prng';
import { bus } from '#memory/bus';
import { vmlinux } from '#memory/image';
import { per_cpu_ptr } from '#memory/percpu';
import { type StructView, array, char, s32, struct, u32 } from '#memory/struct';

/** Sites that may be armed at a time. */
export const FAULT_SITES_MAX = 8;

const fault_site = struct('fault_site', {
  name: char(48),
  /** site_hash(name): what a call is recognised by */
  hash: u32,
  /** answered to the caller; negative */
  error: s32,
  /** calls let through first */
  skip: s32,
  /** calls made to fail at most, 0 = any number */
  times: s32,
  /** of 2^32: how likely a call fails; 0 = it does */
  chance: u32,
  /** the one CPU whose calls fail, + 1; 0 = all */
  only_cpu: s32,
  /** host microseconds: of faults that are a delay */
  delay_us: u32,
  /** calls so far that were this CPU's business; calls failed so far. Any CPU adds */
  calls: s32,
  hits: s32,
});

const fault_attr_t = struct('fault_attr', {
  /** fail the n-th allocation from now, counted from 1; 0 = none */
  fail_nth: s32,
  /** allocations since power-on, failed ones included */
  allocations_seen: s32,
  nr_sites: u32,
  /** what chance starts from */
  seed: u32,
  sites: array(fault_site, FAULT_SITES_MAX),
});
export type fault_attr_t = StructView<typeof fault_attr_t>;

export const fault_attr = vmlinux.DEFINE('fault_attr', fault_attr_t);
/** A generator's state: owned by the CPU. 0 = it has not begun. */
export const fault_random = vmlinux.DEFINE_PER_CPU('fault_random', u32);

const NR_SITES = fault_attr.addr + fault_attr_t.offsetof('nr_sites');
const SEED = fault_attr.addr + fault_attr_t.offsetof('seed');
const SITES = fault_attr.addr + fault_attr_t.offsetof('sites');

/** Where the hits of the index-th site are counted. @plain */
export function site_hits_address(index: number): number {
  return SITES + index * fault_site.size + fault_site.offsetof('hits');
}

/** FNV-1a. @plain */
export function site_hash(name: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}

/** Arms the next site, for every call and every CPU: the caller narrows it down. For the host, before a run. */
export function arm_fault(
  name: string,
  error: number,
  hash = site_hash(name),
): StructView<typeof fault_site> {
  const site = fault_attr.sites.at(fault_attr.nr_sites);
  site.name = name;
  site.hash = hash;
  site.error = error;
  site.skip = 0;
  site.times = 0;
  site.chance = 0;
  site.only_cpu = 0;
  site.delay_us = 0;
  site.calls = 0;
  site.hits = 0;
  fault_attr.nr_sites += 1;
  return site;
}

/** True if any site is armed. @plain */
export function faults_armed(): boolean {
  return bus.loadLocal32(NR_SITES) !== 0;
}

/** @plain */
function field(site: number, name: keyof typeof fault_site.fields): number {
  return bus.loadLocal32(site + fault_site.offsetof(name)) | 0;
}

/** Draws, on this CPU. @plain */
function is_drawn(chance: number): boolean {
  if (chance === 0) return true;
  const state = per_cpu_ptr(fault_random, bus.cpu);
  const before = bus.loadLocal32(state);
  const next = xorshift32(
    before === 0 ? seedState(bus.loadLocal32(SEED) ^ Math.imul(bus.cpu + 1, 0x9e3779b1)) : before,
  );
  bus.storeLocal32(state, next);
  return next < chance;
}

/** Whether a call of this site, on this CPU, is to fail now; it is counted. @plain */
function strikes(site: number): boolean {
  const only = field(site, 'only_cpu');
  if (only !== 0 && only !== bus.cpu + 1) return false;
  if ((bus.tally32(site + fault_site.offsetof('calls'), 1) | 0) < field(site, 'skip')) return false;
  const times = field(site, 'times');
  if (times !== 0 && field(site, 'hits') >= times) return false;
  if (!is_drawn(field(site, 'chance') >>> 0)) return false;
  if ((bus.tally32(site + fault_site.offsetof('hits'), 1) | 0) < times || times === 0) return true;
  // Somebody else was the last one.
  bus.tally32(site + fault_site.offsetof('hits'), -1);
  return false;
}

/** Address of the armed site that this call is to fail for, 0 = it goes on. @plain */
function struck_site(site: string, detail: string): number {
  const count = bus.loadLocal32(NR_SITES);
  if (count === 0) return 0;
  const wide = site_hash(site);
  const narrow = site_hash(`${site}:${detail}`);
  for (let index = 0; index < count; index++) {
    const armed = SITES + index * fault_site.size;
    const hash = field(armed, 'hash') >>> 0;
    if ((hash === wide || hash === narrow) && strikes(armed)) return armed;
  }
  return 0;
}

/**
 * Asked by everything that can be made to fail.
 * @param site kind of call, e.g. `misc_register`; `detail` may narrow it
 * @returns 0 to go on, or the negative errno to fail with
 * @plain
 */
export function should_fail(site: string, detail = ''): number {
  const armed = struck_site(site, detail);
  return armed === 0 ? 0 : field(armed, 'error');
}

/**
 * Asked by what can be made to wait.
 * @returns host microseconds, 0 = it is not to wait
 * @plain
 */
export function should_delay(site: string, detail = ''): number {
  const armed = struck_site(site, detail);
  return armed === 0 ? 0 : field(armed, 'delay_us');
}

/** As should_fail, for allocations: these are numbered too. */
export function should_fail_allocation(site: string, detail = ''): number {
  const seen = fault_attr.addr + fault_attr_t.offsetof('allocations_seen');
  const nth = bus.loadLocal32(fault_attr.addr) | 0;
  if (nth === 0) bus.count32(seen, 1);
  else if (bus.tally32(seen, 1) + 1 === nth) return -ENOMEM;
  return should_fail(site, detail);
}
