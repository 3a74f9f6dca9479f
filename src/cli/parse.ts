/** Values of options: each says what it expected when it is given something else. */
import { NR_CPUS } from '#base/limits';
import { wholeNumberOf } from '#base/whole-number';
import { QUIRKS, type QuirkName, type Vendor, type CpuOverrides } from '#machine/choices';
import type { Fault } from '#machine/config';
import { UsageError } from './exit-code.ts';

/** A whole number in a range; decimal or 0x hex. */
export function wholeNumber(option: string, least: number, most: number): (text: string) => number {
  return (text) => {
    const value = wholeNumberOf(text, least, most);
    if (value !== undefined) return value;
    throw new UsageError(`${option} ${text}: expected a whole number from ${least} to ${most}`);
  };
}

/** 0, or a power of two. */
export function powerOfTwo(option: string, most: number): (text: string) => number {
  return (text) => {
    const value = wholeNumber(option, 0, most)(text);
    if ((value & (value - 1)) === 0) return value;
    throw new UsageError(`${option} ${text}: expected 0 or a power of two, at most ${most}`);
  };
}

export const cpuCount = (option: string): ((text: string) => number) => wholeNumber(option, 1, NR_CPUS);

/** For an option that may be given several times. */
export function collect<T>(
  parse: (text: string) => T,
): (text: string, before: readonly T[] | undefined) => T[] {
  return (text, before) => [...(before ?? []), parse(text)];
}

/** As many as the machine can arm at a time. */
const FAULT_SITES_MAX = 8;

export function checkFaults(faults: readonly Fault[]): void {
  const counted = faults.filter((fault) => fault.site === undefined).length;
  if (counted > 1) throw new UsageError('--fault nth=N: can be given once');
  if (faults.length - counted > FAULT_SITES_MAX) {
    throw new UsageError(`--fault: expected at most ${FAULT_SITES_MAX} sites`);
  }
}

export interface QuirkSpec {
  readonly name: string;
  readonly cpu: number | undefined;
}

/** `NAME` or `NAME@CPU`. */
export function parseQuirk(text: string): QuirkSpec {
  const at = text.lastIndexOf('@');
  if (at < 0) return { name: text, cpu: undefined };
  return {
    name: text.slice(0, at),
    cpu: wholeNumber(`--quirk ${text}: CPU`, 0, NR_CPUS - 1)(text.slice(at + 1)),
  };
}

export interface QuirkLayers {
  readonly all?: CpuOverrides;
  readonly perCpu?: Readonly<Record<string, CpuOverrides>>;
}

/** Puts every quirk where it belongs: on all CPUs, or on one. */
export function quirkLayers(specs: readonly QuirkSpec[], vendor: Vendor, possible: number): QuirkLayers {
  const known = Object.entries(QUIRKS)
    .filter(([, quirk]) => quirk.vendor === vendor)
    .map(([name]) => name);
  const all: QuirkName[] = [];
  const perCpu: Record<string, { readonly quirks: QuirkName[] }> = {};
  for (const { name, cpu } of specs) {
    if (!known.includes(name)) {
      throw new UsageError(`--quirk ${name}: expected one of ${known.join(', ')} for ${vendor}`);
    }
    if (cpu === undefined) all.push(name as QuirkName);
    else if (cpu >= possible) {
      throw new UsageError(`--quirk ${name}@${cpu}: there is no CPU ${cpu}, expected 0 to ${possible - 1}`);
    } else (perCpu[cpu] ??= { quirks: [] }).quirks.push(name as QuirkName);
  }
  return {
    ...(all.length === 0 ? {} : { all: { quirks: all } }),
    ...(Object.keys(perCpu).length === 0 ? {} : { perCpu }),
  };
}

/** `I/N`: the I-th of N parts, from 1. */
export function parseShard(text: string): { readonly index: number; readonly of: number } {
  const parts = /^(\d+)\/(\d+)$/.exec(text);
  const index = Number(parts?.[1]);
  const of = Number(parts?.[2]);
  if (parts === null || index < 1 || index > of || of > SHARDS_MAX) {
    throw new UsageError(`--shard ${text}: expected I/N with 1 <= I <= N <= ${SHARDS_MAX}`);
  }
  return { index: index - 1, of };
}

const SHARDS_MAX = 10_000;
