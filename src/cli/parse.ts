/** Values of options: each says what it expected when it is given something else. */
import * as errno from '#base/errno';
import { NR_CPUS } from '#base/limits';
import { QUIRKS, type QuirkName, type Vendor, type CpuOverrides } from '#machine/choices';
import type { Fault, SiteFault } from '#machine/config';
import { FAULT_KINDS, FAULT_SITES, faultKind } from '#machine/faults';
import { UsageError } from './exit-code.ts';

/** A whole number in a range; decimal or 0x hex. */
export function wholeNumber(option: string, least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^(?:\d+|0x[0-9a-f]+)$/i.test(text) ? Number(text) : NaN;
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new UsageError(`${option} ${text}: expected a whole number from ${least} to ${most}`);
    }
    return value;
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

/** Error numbers by name. */
const ERRNO: ReadonlyMap<string, number> = new Map(
  Object.entries(errno).flatMap(([name, value]): [string, number][] =>
    typeof value === 'number' ? [[name, value]] : [],
  ),
);

const NTH_MAX = 0x7fffffff;
/** As many bytes as the machine keeps of a site's name. */
const SITE_LENGTH_MAX = 47;

const TIMES_MAX = 0x7fffffff;
const DELAY_MS_MAX = 60_000;
const FAULT_OPTIONS = ['prob', 'nth', 'times', 'cpu', 'delay'] as const;

/** What --help says of it. */
export const FAULT_HELP: string =
  'nth=N: the N-th allocation fails; NAME[=ERRNO][,prob=P][,nth=N][,times=N][,cpu=N][,delay=MS]: ' +
  `of ${[...FAULT_SITES, ...Object.keys(FAULT_KINDS)].join(', ')}`;

function probability(text: string): number {
  const value = /^(?:\d+\.?\d*|\.\d+)(?:e-\d+)?$/.test(text) ? Number(text) : NaN;
  if (!(value > 0 && value <= 1))
    throw new UsageError(`--fault prob=${text}: expected a number above 0, and at most 1`);
  return value;
}

/** `prob=0.01`, `nth=3`, ... */
function faultOption(fault: string, text: string): Partial<SiteFault> {
  const [name, value = ''] = text.split('=', 2) as [string, string | undefined];
  switch (name) {
    case 'prob':
      return { probability: probability(value) };
    case 'nth':
      return { nth: wholeNumber('--fault nth=N: N', 1, NTH_MAX)(value) };
    case 'times':
      return { times: wholeNumber('--fault times=N: N', 1, TIMES_MAX)(value) };
    case 'cpu':
      return { cpu: wholeNumber('--fault cpu=N: N', 0, NR_CPUS - 1)(value) };
    case 'delay':
      return { delayUs: wholeNumber('--fault delay=MS: MS', 1, DELAY_MS_MAX)(value) * 1_000 };
    default:
      throw new UsageError(`--fault ${fault}: ${text} is none of ${FAULT_OPTIONS.join('=, ')}=`);
  }
}

/** `nth=N`, or `NAME[=ERRNO][,OPTION=VALUE]...`: for every command that takes --fault. */
export function parseFault(text: string): Fault {
  const [head = '', ...options] = text.split(',');
  const [name, value] = head.split('=', 2) as [string, string | undefined];
  if (name === 'nth' && options.length === 0)
    return { nth: wholeNumber('--fault nth=N: N', 1, NTH_MAX)(value ?? '') };
  const isKind = faultKind(name) !== undefined;
  const site = name.split(/[:@]/, 1)[0]!;
  if (!isKind && !FAULT_SITES.includes(site)) {
    const known = [...FAULT_SITES, ...Object.keys(FAULT_KINDS)].join(', ');
    throw new UsageError(`--fault ${text}: expected nth=N, or one of ${known}`);
  }
  if (name.length > SITE_LENGTH_MAX) {
    throw new UsageError(`--fault ${text}: expected at most ${SITE_LENGTH_MAX} characters`);
  }
  const more: Partial<SiteFault> = Object.assign({}, ...options.map((option) => faultOption(text, option)));
  if (more.delayUs !== undefined && faultKind(name)?.delayUs === undefined)
    throw new UsageError(`--fault ${text}: ${name} is no delay`);
  if (value === undefined) return { site: name, ...more };
  if (isKind) throw new UsageError(`--fault ${text}: ${name} answers no error`);
  const error = ERRNO.get(value.replace(/^-/, '').toUpperCase());
  if (error === undefined) {
    throw new UsageError(`--fault ${text}: expected an error such as ENOMEM, EBUSY, EIO after the =`);
  }
  return { site: name, error: -error, ...more };
}

export function faultText(fault: Fault): string {
  if (fault.site === undefined) return `nth=${fault.nth}`;
  const { site, error, probability: prob, nth, times, cpu, delayUs } = fault;
  const options = { prob, nth, times, cpu, delay: delayUs === undefined ? undefined : delayUs / 1_000 };
  return [
    error === undefined ? site : `${site}=${errno.errnoName(error).slice(1)}`,
    ...Object.entries(options).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`])),
  ].join(',');
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
