/** Use after free and double free in KASAN's anatomy, leaks in kmemleak's. */
import { OP_WORDS, OpWord, type OperationLog, footprint, Footprint, OpType, opType } from '#trace/operations';
import {
  type Finding,
  type Place,
  RULER,
  type Surroundings,
  contextText,
  hex,
  placeOf,
  stackLines,
} from './finding.ts';
import type { LifetimeDefect } from './lifetime.ts';

export interface LifetimeReport {
  readonly what: LifetimeDefect['what'];
  readonly title: string;
  readonly object: { readonly address: number; readonly size: number; readonly cache: number };
  /** Undefined where the object was there before the log begins. */
  readonly allocated: Place | undefined;
  /** Undefined for a leak. */
  readonly freed: Place | undefined;
  /** The bad access, or the second free; undefined for a leak. */
  readonly bad: Place | undefined;
  readonly access: { readonly address: number; readonly size: number; readonly isWrite: boolean } | undefined;
}

export function describeLifetime(
  log: OperationLog,
  defect: LifetimeDefect,
  around: Surroundings,
): LifetimeReport {
  const { object } = defect;
  const place = (record: number): Place | undefined =>
    record < 0 ? undefined : placeOf(log, record, around);
  const allocated = place(object.allocatedAt);
  if (defect.what === 'leak') {
    const by = allocated === undefined ? '' : ` allocated by ${around.names.symbol(allocated.site)}`;
    const title = `kmemleak: unreferenced object of ${object.size} bytes${by}`;
    return { what: 'leak', title, object, allocated, freed: undefined, bad: undefined, access: undefined };
  }
  const bad = place(defect.record)!;
  const symbol = around.names.symbol(bad.site);
  const freed = place(defect.object.freedAt);
  if (defect.what === 'double-free') {
    const title = `BUG: KASAN: double-free in ${symbol}`;
    return { what: defect.what, title, object, allocated, freed, bad, access: undefined };
  }
  const title = `BUG: KASAN: ${object.cache === 0 ? '' : 'slab-'}use-after-free in ${symbol}`;
  return { what: defect.what, title, object, allocated, freed, bad, access: accessOf(log, defect.record) };
}

function accessOf(log: OperationLog, record: number): NonNullable<LifetimeReport['access']> {
  const at = record * OP_WORDS;
  const type = opType(log.words[at]!);
  return {
    address: log.words[at + OpWord.ADDRESS]! >>> 0,
    size: log.words[at + OpWord.SIZE]!,
    isWrite: type === OpType.BUFFER || (footprint(type) & Footprint.WRITES) !== 0,
  };
}

function happened(what: string, place: Place | undefined): string[] {
  if (place === undefined) return [`${what} before the run began.`];
  return [`${what} by ${contextText(place.actor)} at step ${place.step}:`, ...stackLines(place.stack)];
}

/** Where a bad access lies, seen from the object. */
function locationLines({ object, access }: LifetimeReport, around: Surroundings): string[] {
  const { address, size, cache } = object;
  const from = cache === 0 ? 'pages' : `cache ${around.names.variable(cache)}`;
  const belongs = `The object at ${hex(address, 8)} of ${size} bytes belongs to ${from}.`;
  if (access === undefined) return [belongs];
  // An access may begin in front of what it must not touch.
  const first = Math.max(access.address, address);
  const region = `[${hex(address, 8)}, ${hex(address + size, 8)})`;
  return [belongs, `The bad address is ${first - address} bytes inside of the freed region ${region}.`];
}

export function lifetimeLines(report: LifetimeReport, around: Surroundings): string[] {
  const { title, bad, access, allocated, freed, what } = report;
  const head =
    access === undefined
      ? []
      : [`${access.isWrite ? 'Write' : 'Read'} of size ${access.size} at addr ${hex(access.address, 8)}`];
  return [
    RULER,
    title,
    ...head,
    ...(bad === undefined ? [] : ['', ...happened(what === 'double-free' ? 'Freed again' : 'Accessed', bad)]),
    '',
    ...happened('Allocated', allocated),
    ...(what === 'leak' ? [] : ['', ...happened('Freed', freed)]),
    '',
    ...locationLines(report, around),
    RULER,
  ];
}

export function lifetimeFinding(log: OperationLog, defect: LifetimeDefect, around: Surroundings): Finding {
  const report = describeLifetime(log, defect, around);
  const place = report.bad ?? report.allocated;
  const { what: kind, title } = report;
  const detail = lifetimeLines(report, around).join('\n');
  return place === undefined
    ? { kind, title, detail }
    : { kind, title, cpu: place.cpu, stack: place.stack, detail };
}
