/** A stress run for people. */
import type { Paint } from '#report/paint';
import type { StressBook, StressFinding, StressLatency, StressReport } from '#report/stress-report';
import { ExitCode } from './exit-code.ts';

export interface StressHeader {
  readonly cpus: number;
  readonly vendor: string;
  readonly workload: string;
  readonly seed: number;
  readonly ops?: number;
  /** Which operations are counted for that. */
  readonly of: string;
  readonly seconds: number | undefined;
  readonly faultTexts: readonly string[];
  /** Livepatches. */
  readonly patches: number;
}

/** Before the run: what was asked for and what was drawn. */
export function stressHeader(header: StressHeader, paint: Paint): string[] {
  const { cpus, vendor, workload, seed, ops, of, seconds, faultTexts, patches } = header;
  const limits = [
    ...(ops === undefined ? [] : [`${ops}${of === 'all' ? '' : ` ${of}`} operations`]),
    ...(seconds === undefined ? [] : [`${seconds} s`]),
  ].join(' or ');
  const faults = faultTexts.length === 0 ? '' : `, faults ${faultTexts.join(' ')}`;
  return [
    paint.faint(
      `stress ${workload}: ${cpus} CPUs, ${vendor}, ${limits}, seed ${seed}${faults}${patches === 0 ? '' : `, ${patches} livepatches`}`,
    ),
  ];
}

const microseconds = (value: number): string =>
  value >= 10_000
    ? `${(value / 1_000).toFixed(0)} ms`
    : `${value < 10 ? value.toFixed(1) : value.toFixed(0)} us`;

function latencyText({ p50, p99, max }: StressLatency): string {
  return `${microseconds(p50).padStart(9)}${microseconds(p99).padStart(9)}${microseconds(max).padStart(9)}`;
}

function kindLines(report: StressReport, paint: Paint): string[] {
  const head = `${''.padEnd(14)}${'operations'.padStart(12)}${'per second'.padStart(12)}${'failures'.padStart(10)}${'p50'.padStart(9)}${'p99'.padStart(9)}${'max'.padStart(9)}`;
  const line = (name: string, kind: StressReport['kinds'][string]): string =>
    `${name.padEnd(14)}${String(kind.ops).padStart(12)}${kind.opsPerSecond.toFixed(1).padStart(12)}${String(kind.failures).padStart(10)}${latencyText(kind.latency)}`;
  return [
    paint.faint(head),
    ...Object.entries(report.kinds).map(([name, kind]) => line(name, kind)),
    line('all', report),
  ];
}

function bookLine({ name, sent, received, difference, explained }: StressBook, paint: Paint): string {
  const open = difference === 0 ? '' : paint.bad(`  ${difference} not explained`);
  const known = explained === 0 ? '' : `  ${explained} explained`;
  return `  ${name}: ${sent}, ${received}${open}${known}`;
}

function findingLines(finding: StressFinding, paint: Paint): string[] {
  const { kind, title, cpu, count, known, stack, trace, time } = finding;
  const where = cpu === undefined ? '' : ` CPU ${cpu}:`;
  const times = count === 1 ? '' : ` (${count} times)`;
  if (known !== undefined) return [`known ${kind}:${where} ${title}${times}`, paint.faint(`  ${known}`)];
  return [
    `${paint.bad('FOUND')} ${kind}:${where} ${title}${times}, first after ${time.toFixed(1)} s`,
    ...(finding.detail === undefined ? [] : [paint.faint(`  ${finding.detail.split('\n')[0]!}`)]),
    ...(stack === undefined || stack.length === 0 ? [] : [paint.faint(`  ${stack.join(' <- ')}`)]),
    ...(trace === undefined ? [] : [paint.faint(`  trace of all CPUs: ${trace}`)]),
  ];
}

const ENDED: Readonly<Record<StressReport['ended'], string>> = {
  done: '',
  interrupted: 'interrupted: this is what there was up to then',
  hung: 'the machine hangs: this is what there was up to then',
  panic: 'the machine has panicked: this is what there was up to then',
  'machine-check': 'a thread has died: nothing is claimed about the machine',
};

/** After the run. */
export function stressText(report: StressReport, code: ExitCode, paint: Paint): string[] {
  const open = report.books.filter(({ difference, explained }) => difference !== 0 || explained !== 0);
  const { host, books, findings } = report;
  const megabytes = (bytes: number): string => `${Math.round(bytes / 0x100000)} MiB`;
  return [
    ...kindLines(report, paint),
    '',
    ...report.faults.map(({ fault, hits }) => `fault ${fault}: struck ${hits} times`),
    `${books.length} books, counted at ${report.quietPoints} quiet points: ${open.length === 0 ? 'all balance' : 'not all balance'}`,
    ...open.map((one) => bookLine(one, paint)),
    ...findings.flatMap((finding) => findingLines(finding, paint)),
    paint.faint(
      `${report.seconds.toFixed(1)} s, of which threads waited for one of ${host.cores} cores ${host.slowSeconds.toFixed(1)} s; memory ${megabytes(host.memory.start)} at first, ${megabytes(host.memory.end)} at the end${report.machines > 1 ? `; ${report.machines} machines` : ''}`,
    ),
    ...(report.ended === 'done' ? [] : [paint.bad(ENDED[report.ended])]),
    code === ExitCode.GOOD
      ? paint.good(
          findings.length === 0
            ? 'nothing was lost, nothing found wrong'
            : 'nothing was lost, nothing found wrong that is not documented',
        )
      : `${findings.filter(({ known }) => known === undefined).length} findings, ${report.lost} lost, ${report.failures} failures`,
  ];
}
