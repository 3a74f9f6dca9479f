/**
 * Faults that are injected: what there is, arming it in a machine's memory, and the part of it that only the host can do, by
 * its own clock: late interrupts, threads that stop or die.
 */
import { assert } from '#base/assert';
import { ENOMEM } from '#base/errno';
import { SmplabError } from '#base/errors';
import { seedState, xorshift32 } from '#base/prng';
import { CpuWord, Pending, PowerState } from '#memory/layout';
import type { ParallelBus } from '#memory/parallel-bus';
import { per_cpu } from '#memory/percpu';
import {
  FAULT_SITES_MAX,
  arm_fault,
  fault_attr,
  fault_random,
  site_hash,
  site_hits_address,
} from '#smp/fault_inject';
import type { Fault, ResolvedConfig, SiteFault } from './config.ts';

/** Kernel calls that can be made to fail by name; `SITE:DETAIL` and, of allocations, `SITE@CALLER` narrow it. */
export const FAULT_SITES: readonly string[] = [
  'alloc_pages',
  'kmalloc',
  'kmem_cache_alloc',
  'kmem_cache_create',
  'kthread_create',
  'kvm_init_anon_inodes',
  'misc_register',
  'sysdev_class_register',
  'sysdev_register',
];

/** What can go wrong besides: of the hardware, the host, and callbacks. */
export const FAULT_KINDS: Readonly<Record<string, FaultKind>> = {
  'notifier-veto': { what: 'the last CPU notifier refuses CPU_UP_PREPARE or CPU_DOWN_PREPARE' },
  'cpu-boot': { what: 'a CPU does not come up when it is started' },
  vmxon: { what: 'VMXON fails', needs: 'intel' },
  'ipi-delay': { what: 'an interprocessor interrupt arrives late', needs: 'parallel', delayUs: 2_000 },
  'slow-cpu': { what: 'a CPU takes its time over a cross call', needs: 'parallel', delayUs: 2_000 },
  'thread-stop': { what: 'a thread stands still for a while', needs: 'parallel', delayUs: 200_000 },
  'thread-kill': { what: 'a thread dies', needs: 'parallel' },
};

export interface FaultKind {
  readonly what: string;
  /** Parallel mode: in the other one the strategy delays whom it likes, and there may be no threads. */
  readonly needs?: 'parallel' | 'intel';
  /** It is a delay; so long unless said otherwise. */
  readonly delayUs?: number;
}

/** Those that the host does; ticks of its clock are their calls. */
const HOST_KINDS: ReadonlySet<string> = new Set(['thread-stop', 'thread-kill']);
export const HOST_TICK_MS = 10;
/** Of a thread fault that says neither how likely nor when: a tick out of so many. */
const HOST_TICKS_DEFAULT = 100;
/** How often late interrupts are looked for: one is late by its delay, and less than two of these. */
const LATE_TICK_MS = 1;

export function faultKind(site: string): FaultKind | undefined {
  return FAULT_KINDS[site.split(':', 1)[0]!];
}

/** @throws SmplabError SMPLAB_BAD_CONFIG for a fault that such a machine cannot have */
export function checkFaultsFit(
  faults: readonly Fault[],
  config: Pick<ResolvedConfig, 'mode' | 'vendor' | 'possible'>,
): void {
  for (const fault of faults) {
    if (!isSiteFault(fault)) continue;
    const { site, cpu } = fault;
    const needs = faultKind(site)?.needs;
    const has = needs === undefined || needs === config.mode || needs === config.vendor;
    if (!has) throw new SmplabError('SMPLAB_BAD_CONFIG', `fault ${site}: needs ${needs}`);
    if (cpu !== undefined && cpu >= config.possible)
      throw new SmplabError('SMPLAB_BAD_CONFIG', `fault ${site}: there is no CPU ${cpu}`);
  }
}

export function isSiteFault(fault: Fault): fault is SiteFault {
  return fault.site !== undefined;
}

/** Writes the attributes: what was armed before is forgotten. Within `look`. */
export function armFaults(faults: readonly Fault[], possible: number, seed: number): void {
  fault_attr.fail_nth = 0;
  fault_attr.nr_sites = 0;
  fault_attr.seed = seed;
  for (let cpu = 0; cpu < possible; cpu++) per_cpu(fault_random, cpu).value = 0;
  for (const fault of faults) {
    if (!isSiteFault(fault)) {
      fault_attr.fail_nth = fault_attr.allocations_seen + fault.nth;
      continue;
    }
    assert(fault_attr.nr_sites < FAULT_SITES_MAX, 'armFaults: too many sites');
    // A site that the host serves is nobody's call.
    const hash = HOST_KINDS.has(fault.site) ? 0 : site_hash(fault.site);
    const site = arm_fault(fault.site, fault.error ?? -ENOMEM, hash);
    site.skip = fault.skip ?? (fault.nth ?? 1) - 1;
    site.times = fault.times ?? (fault.nth === undefined ? 0 : 1);
    const isCertain = fault.probability === undefined || fault.probability >= 1;
    site.chance = isCertain ? 0 : Math.max(1, Math.floor(fault.probability * 2 ** 32));
    site.only_cpu = fault.cpu === undefined ? 0 : fault.cpu + 1;
    site.delay_us = fault.delayUs ?? faultKind(fault.site)?.delayUs ?? 0;
  }
}

/** How often each has struck. Within `look`. */
export function faultHits(faults: readonly Fault[]): number[] {
  let site = 0;
  return faults.map((fault) =>
    isSiteFault(fault)
      ? fault_attr.sites.at(site++).hits
      : Number(fault_attr.allocations_seen >= fault_attr.fail_nth && fault_attr.fail_nth > 0),
  );
}

/** What the host's part needs of a machine. */
export interface FaultTarget {
  readonly bus: ParallelBus;
  readonly possible: number;
  /** Ends the thread that is that CPU. */
  kill(cpu: number): void;
  /** Sets pending bits of a CPU and wakes it. */
  raise(cpu: number, pending: number): void;
}

/** The host's part, from now until `stop`. */
export class HostFaults {
  readonly #target: FaultTarget;
  readonly #timers: NodeJS.Timeout[] = [];
  #random: number;

  /** @param armed as armFaults has armed them */
  constructor(target: FaultTarget, armed: readonly Fault[], seed: number) {
    this.#target = target;
    this.#random = seedState(seed ^ 0x5bd1e995);
    const sites = armed.filter(isSiteFault);
    if (sites.some(({ site }) => site === 'ipi-delay')) this.#deliverLate();
    for (const [index, fault] of sites.entries()) {
      if (HOST_KINDS.has(fault.site)) this.#serve(index, fault);
    }
  }

  /** Whether there is anything for the host to do. */
  get areArmed(): boolean {
    return this.#timers.length > 0;
  }

  stop(): void {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
  }

  #every(milliseconds: number, tick: () => void): void {
    const timer = setInterval(tick, milliseconds);
    timer.unref();
    this.#timers.push(timer);
  }

  #draw(below: number): number {
    this.#random = xorshift32(this.#random);
    return this.#random % below;
  }

  /**
   * An interrupt is sent late: the sender has left its bit in LATE, and a tick that finds it there for the first time lets it lie
   * for as long as its delay.
   */
  #deliverLate(): void {
    const { bus, possible } = this.#target;
    const due = Array.from({ length: possible }, () => 0);
    this.#every(LATE_TICK_MS, () => {
      const now = performance.now();
      for (let cpu = 0; cpu < possible; cpu++) {
        const word = bus.registersOf(cpu).base + CpuWord.LATE;
        const waiting = Atomics.load(bus.i32, word);
        if (waiting === 0) continue;
        if (due[cpu] === 0) due[cpu] = now + bus.i32[word + 1]! / 1_000;
        else if (now >= due[cpu]!) {
          due[cpu] = 0;
          this.#target.raise(cpu, Atomics.exchange(bus.i32, word, 0));
        }
      }
    });
  }

  #serve(index: number, fault: SiteFault): void {
    const first = fault.nth ?? (fault.probability === undefined ? 1 + this.#draw(HOST_TICKS_DEFAULT) : 1);
    const times = fault.times ?? (fault.probability === undefined ? 1 : Infinity);
    let ticks = 0;
    let hits = 0;
    this.#every(HOST_TICK_MS, () => {
      if (++ticks < first || hits >= times) return;
      if (fault.probability !== undefined && this.#draw(0x40000000) >= fault.probability * 0x40000000) return;
      const { bus, possible } = this.#target;
      const cpu = fault.cpu ?? this.#draw(possible);
      // A thread that stands still as a CPU which is off, stands still for nobody.
      if (fault.site === 'thread-stop' && bus.registersOf(cpu).power !== PowerState.RUNNING) return;
      hits += 1;
      this.#strike(index, fault, cpu);
    });
  }

  #strike(index: number, { site, delayUs }: SiteFault, cpu: number): void {
    const { bus } = this.#target;
    Atomics.add(bus.i32, site_hits_address(index) >>> 2, 1);
    if (site === 'thread-kill') {
      this.#target.kill(cpu);
      return;
    }
    bus.registersOf(cpu).set(CpuWord.STAND_STILL_US, delayUs ?? FAULT_KINDS[site]!.delayUs!);
    this.#target.raise(cpu, Pending.STAND_STILL);
  }
}
