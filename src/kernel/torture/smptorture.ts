/**
 * The torture module: what a stress run makes the kernel do, and the books of it. Loaded as `smptorture`, beside kvm.
 *
 * A caller is a slot: its stream of random numbers goes on from one system call to the next, so what it does does not depend on
 * how many operations each call was given. Everything is counted where it happens, in memory: the host reads it while the machine
 * runs, and compares it when the machine stands still (room stress).
 *
 * Counters are the laboratory's own (tally32): no scheduling points, and no lock that the tortured code could be blamed for.
 *
 * @linux kernel/rcutorture.c, as of 2.6.24 (torture as a module); kernel/scftorture.c, as of 5.10, and kernel/torture.c, as of
 *   3.15 (what it does to cross calls and CPUs); its shape is ours
 */
import { seedState, xorshift32 } from '#base/prng';
import { bus } from '#memory/bus';
import { MODULE_IMAGE } from '#memory/image';
import { NR_CPUS } from '#memory/cpumask';
import { per_cpu_ptr } from '#memory/percpu';
import { type Ptr, array, struct, u32 } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { arch } from '#smp/arch';
import { register_cpu_notifier, unregister_cpu_notifier } from '#smp/cpu';
import { NOTIFY_OK, notifier_block } from '#smp/notifier';
import { declare_module } from '../module.ts';

export const smptorture_ko = MODULE_IMAGE('smptorture', { dataBytes: 0x5000, perCpuBytes: 0x80 });

/** Kinds of operations, as the books number them. */
export const TORTURE_KINDS = [
  'cpu_down',
  'cpu_up',
  'single',
  'single-nowait',
  'mask',
  'each',
  'load',
  'unload',
  'vm-create',
  'vm-run',
  'vm-migrate',
  'vm-destroy',
] as const;
export type TortureKind = (typeof TORTURE_KINDS)[number];

/** Latencies in sixteenths of a microsecond: 8 buckets for each doubling, up to two minutes. */
export const LATENCY_BUCKETS = 256;

/** Errnos that are counted apart; anything else is in the last place. */
export const TORTURE_ERRORS: readonly number[] = Object.freeze([
  0, -16, -22, -5, -12, -11, -38, -19, -2, -17, -23, -24,
]);

/** Owned by who adds: atomically, from any CPU. Only the host takes away, when the machine stands still. */
const torture_kind = struct('torture_kind', {
  /** operations made; of cross calls, calls, however many CPUs each reached */
  ops: u32,
  /** microseconds of the longest */
  longest_us: u32,
  /** outcomes, in the order of TORTURE_ERRORS, and others */
  outcomes: array(u32, 16),
  latency: array(u32, LATENCY_BUCKETS),
});

export const torture_kinds = smptorture_ko.DEFINE('torture_kinds', array(torture_kind, TORTURE_KINDS.length));

export const TORTURE_CALLERS_MAX = 64;
/** A caller: owned by the task that runs as it. */
const torture_caller = struct('torture_caller', { random: u32, ops: u32 });
const torture_callers = smptorture_ko.DEFINE('torture_callers', array(torture_caller, TORTURE_CALLERS_MAX));

/** 1 = callers come to an end after the operation they are at. Written by the host. */
export const torture_stop = smptorture_ko.DEFINE('torture_stop', u32);

/** Operations made on a CPU. */
export const torture_cpu_ops = smptorture_ko.DEFINE_PER_CPU('torture_cpu_ops', u32);

/** @plain */
export function torture_tally(address: Ptr, amount: number): void {
  bus.tally32(address, amount);
}

const KIND_BYTES = torture_kind.size;
const OUTCOMES = torture_kind.offsetof('outcomes');
const LATENCY = torture_kind.offsetof('latency');
const LONGEST = torture_kind.offsetof('longest_us');

/** The bucket of a latency: exponent and three bits of mantissa of its sixteenths of a microsecond. @plain */
export function latency_bucket(microseconds: number): number {
  const sixteenths = Math.min(Math.floor(microseconds * 16), 0x7fffffff);
  if (sixteenths < 8) return Math.max(sixteenths, 0);
  const exponent = 28 - Math.clz32(sixteenths);
  return 8 * (exponent + 1) + ((sixteenths >>> exponent) & 7);
}

/** Microseconds above all latencies of a bucket. */
export function latency_above(bucket: number): number {
  if (bucket < 8) return (bucket + 1) / 16;
  const exponent = Math.floor(bucket / 8) - 1;
  return ((8 + (bucket & 7) + 1) * 2 ** exponent) / 16;
}

/** Enters one operation into the books. @plain */
export function torture_count(kind: number, outcome: number, microseconds: number): void {
  const at = torture_kinds.at(0).addr + kind * KIND_BYTES;
  bus.tally32(at, 1);
  let place = TORTURE_ERRORS.indexOf(outcome < 0 ? outcome : 0);
  if (place < 0) place = TORTURE_ERRORS.length;
  bus.tally32(at + OUTCOMES + place * 4, 1);
  bus.tally32(at + LATENCY + latency_bucket(microseconds) * 4, 1);
  // Two that are longest at once: one of them may be forgotten for a moment, and the bucket still has it.
  if (microseconds > bus.loadLocal32(at + LONGEST)) bus.storeLocal32(at + LONGEST, Math.round(microseconds));
}

/** Counted where the task is now. @plain */
export function torture_count_here(): void {
  bus.tally32(per_cpu_ptr(torture_cpu_ops, bus.cpu), 1);
}

/** A random number below `below`, from the caller's own stream. */
export function torture_random(slot: number, below: number): number {
  const caller = torture_callers.at(slot).addr;
  const next = xorshift32(bus.loadLocal32(caller));
  bus.storeLocal32(caller, next);
  return next % below;
}

/** @plain */
export function torture_stopping(): boolean {
  return bus.loadLocal32(torture_stop.addr) !== 0;
}

/** @plain */
export function torture_now(): number {
  return arch.hostMicroseconds();
}

/** The callers' streams begin. Called once, before anything. */
export const torture_seed = kernel_function('torture_seed', (seed: number): number => {
  for (let slot = 0; slot < TORTURE_CALLERS_MAX; slot++) {
    const caller = torture_callers.at(slot);
    caller.random = seedState(seed ^ Math.imul(slot + 1, 0x9e3779b1));
    caller.ops = 0;
  }
  return 0;
});

/** Actions that a CPU notifier can be told: 0x02 to 0x0a, and with CPU_TASKS_FROZEN again. */
const ACTIONS = 0x20;
const torture_received = struct('torture_received', { by_action: array(u32, ACTIONS) });
/** What the first of all notifiers was told, and the last. */
export const torture_first = smptorture_ko.DEFINE('torture_first', torture_received);
export const torture_last = smptorture_ko.DEFINE('torture_last', torture_received);
/** By CPU: times the first notifier was told CPU_DEAD and CPU_ONLINE of it. */
const torture_hotplugs = struct('torture_hotplugs', { dead: u32, online: u32 });
export const torture_hotplugged = smptorture_ko.DEFINE(
  'torture_hotplugged',
  array(torture_hotplugs, NR_CPUS),
);

const CPU_ONLINE = 0x0002;
const CPU_DEAD = 0x0007;

const torture_notify_first = kernel_function(
  'torture_notify_first',
  (_nb: Ptr, action: number, cpu: number): number => {
    torture_tally(torture_first.addr + (action & (ACTIONS - 1)) * 4, 1);
    const mine = torture_hotplugged.at(cpu).addr;
    if (action === CPU_DEAD) torture_tally(mine, 1);
    if (action === CPU_ONLINE) torture_tally(mine + 4, 1);
    return NOTIFY_OK;
  },
);

const torture_notify_last = kernel_function(
  'torture_notify_last',
  (_nb: Ptr, action: number, _cpu: number): number => {
    torture_tally(torture_last.addr + (action & (ACTIONS - 1)) * 4, 1);
    return NOTIFY_OK;
  },
);

const FIRST = 0x7fffffff;
const torture_first_notifier = smptorture_ko.DEFINE('torture_first_notifier', notifier_block, {
  notifier_call: torture_notify_first.addr,
  priority: FIRST,
});
const torture_last_notifier = smptorture_ko.DEFINE('torture_last_notifier', notifier_block, {
  notifier_call: torture_notify_last.addr,
  priority: -FIRST,
});

export const torture_init = kernel_function('torture_init', (): number => {
  register_cpu_notifier(torture_first_notifier);
  register_cpu_notifier(torture_last_notifier);
  return 0;
});

export const torture_exit = kernel_function('torture_exit', (): void => {
  unregister_cpu_notifier(torture_last_notifier);
  unregister_cpu_notifier(torture_first_notifier);
});

export const SMPTORTURE_MODULE = declare_module(smptorture_ko, { init: torture_init, exit: torture_exit });
