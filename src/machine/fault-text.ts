/** Faults as people write them: `NAME[=ERRNO][,prob=P][,nth=N][,times=N][,cpu=N][,delay=MS]`, for every command and for tokens. */
import * as errno from '#base/errno';
import { SmplabError } from '#base/errors';
import { NR_CPUS } from '#base/limits';
import { wholeNumberOf } from '#base/whole-number';
import type { Fault, SiteFault } from './config.ts';
import { FAULT_KINDS, FAULT_SITES, faultKind } from './faults.ts';

function badFault(message: string): SmplabError {
  return new SmplabError('SMPLAB_BAD_CONFIG', message);
}

function whole(option: string, text: string, least: number, most: number): number {
  const value = wholeNumberOf(text, least, most);
  if (value !== undefined) return value;
  const letter = option === 'delay' ? 'MS' : 'N';
  throw badFault(
    `--fault ${option}=${letter}: ${letter} ${text}: expected a whole number from ${least} to ${most}`,
  );
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
    throw badFault(`--fault prob=${text}: expected a number above 0, and at most 1`);
  return value;
}

/** `prob=0.01`, `nth=3`, ... */
function faultOption(fault: string, text: string): Partial<SiteFault> {
  const [name, value = ''] = text.split('=', 2) as [string, string | undefined];
  switch (name) {
    case 'prob':
      return { probability: probability(value) };
    case 'nth':
      return { nth: whole('nth', value, 1, NTH_MAX) };
    case 'times':
      return { times: whole('times', value, 1, TIMES_MAX) };
    case 'cpu':
      return { cpu: whole('cpu', value, 0, NR_CPUS - 1) };
    case 'delay':
      return { delayUs: whole('delay', value, 1, DELAY_MS_MAX) * 1_000 };
    default:
      throw badFault(`--fault ${fault}: ${text} is none of ${FAULT_OPTIONS.join('=, ')}=`);
  }
}

/** `nth=N`, or `NAME[=ERRNO][,OPTION=VALUE]...`: for every command that takes --fault. */
export function parseFault(text: string): Fault {
  const [head = '', ...options] = text.split(',');
  const [name, value] = head.split('=', 2) as [string, string | undefined];
  if (name === 'nth' && options.length === 0) return { nth: whole('nth', value ?? '', 1, NTH_MAX) };
  const isKind = faultKind(name) !== undefined;
  const site = name.split(/[:@]/, 1)[0]!;
  if (!isKind && !FAULT_SITES.includes(site)) {
    const known = [...FAULT_SITES, ...Object.keys(FAULT_KINDS)].join(', ');
    throw badFault(`--fault ${text}: expected nth=N, or one of ${known}`);
  }
  if (name.length > SITE_LENGTH_MAX) {
    throw badFault(`--fault ${text}: expected at most ${SITE_LENGTH_MAX} characters`);
  }
  const more: Partial<SiteFault> = Object.assign({}, ...options.map((option) => faultOption(text, option)));
  if (more.delayUs !== undefined && faultKind(name)?.delayUs === undefined)
    throw badFault(`--fault ${text}: ${name} is no delay`);
  if (value === undefined) return { site: name, ...more };
  if (isKind) throw badFault(`--fault ${text}: ${name} answers no error`);
  const error = ERRNO.get(value.replace(/^-/, '').toUpperCase());
  if (error === undefined) {
    throw badFault(`--fault ${text}: expected an error such as ENOMEM, EBUSY, EIO after the =`);
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

/** Faults and what chance starts from, as a token carries them. */
export interface FaultPlan {
  readonly faults: readonly Fault[];
  readonly seed: number;
}

/** `seed=7 kmalloc,nth=2 misc_register=EBUSY`. */
export function faultPlanText({ faults, seed }: FaultPlan): string {
  return [`seed=${seed}`, ...faults.map(faultText)].join(' ');
}

/** @throws SmplabError SMPLAB_BAD_CONFIG for what faultPlanText never writes */
export function parseFaultPlan(text: string): FaultPlan {
  const [first = '', ...rest] = text.split(' ');
  if (!first.startsWith('seed=')) throw badFault(`faults ${text}: expected seed=S and faults`);
  return { seed: whole('seed', first.slice(5), 0, 0xffffffff), faults: rest.map(parseFault) };
}
