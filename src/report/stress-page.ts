/** The page of `smplab stress --report html`: rate and latency over time, what was found, and the books. */
import { stressAssets } from '#page/assets';
import type { StressFindingData, StressPageData, StressPlot, StressTable } from '#page/stress-data';
import { htmlPage } from './html.ts';
import type {
  StressFinding,
  StressInterval,
  StressKind,
  StressLatency,
  StressReport,
} from './stress-report.ts';

const MEBIBYTE = 1 << 20;
/** Kinds of operation that get a line of their own; there are fewer, as a rule. */
const KINDS_MAX = 7;

const COUNT_FORMAT = /\B(?=(\d{3})+(?!\d))/g;

/** `1,234,567`: the same in every locale. */
function count(value: number): string {
  return String(Math.round(value)).replaceAll(COUNT_FORMAT, ',');
}

/** Microseconds, with three digits that matter. */
function latencyText(microseconds: number): string {
  if (microseconds < 1_000) return `${digits(microseconds)} us`;
  return microseconds < 1_000_000
    ? `${digits(microseconds / 1_000)} ms`
    : `${digits(microseconds / 1_000_000)} s`;
}

function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

const ENDS: Readonly<Record<StressReport['ended'], string>> = {
  done: '',
  interrupted: 'interrupted: what was found so far',
  hung: 'the machine hung',
  panic: 'the kernel panicked',
  'machine-check': 'a CPU thread of the host died',
};

function verdict({ ended, findings, lost, failures }: StressReport): { text: string; isBad: boolean } {
  const isNew = findings.filter(({ known }) => known === undefined).length;
  const isKnown = findings.length - isNew;
  const said = [
    ...(ENDS[ended] === '' ? [] : [ENDS[ended]]),
    ...(isNew === 0 ? [] : [counted(isNew, 'finding')]),
    ...(lost === 0 ? [] : [`${count(lost)} lost`]),
    ...(failures === 0 ? [] : [counted(failures, 'failure')]),
    ...(isKnown === 0 ? [] : [counted(isKnown, 'known defect')]),
  ];
  const isBad = isNew > 0 || lost > 0 || failures > 0 || !(ended === 'done' || ended === 'interrupted');
  return { text: said.length === 0 ? 'the books balance' : said.join(', '), isBad };
}

function counted(number: number, what: string): string {
  return `${count(number)} ${what}${number === 1 ? '' : 's'}`;
}

/** The kinds that were used most, then by name: the same order in every plot and table. */
function kindNames({ kinds }: StressReport): string[] {
  return Object.entries(kinds)
    .toSorted(([a, left], [b, right]) => right.ops - left.ops || (a < b ? -1 : 1))
    .map(([name]) => name);
}

function plotsOf(report: StressReport): StressPlot[] {
  const { intervals } = report;
  const names = kindNames(report).slice(0, KINDS_MAX);
  const line = (name: string, colour: number, value: (interval: StressInterval) => number | null) => ({
    name,
    colour,
    values: intervals.map(value),
  });
  // On a logarithmic scale nothing has no place.
  const positive = (value: number): number | null => (value > 0 ? value : null);
  const latency = (which: keyof StressLatency, colour: number) =>
    line(which, colour, (interval) => positive(interval.latency[which]));
  return [
    {
      title: 'Operations per second',
      unit: '/s',
      isLogarithmic: false,
      lines: [
        line('all', 0, ({ opsPerSecond }) => opsPerSecond),
        ...(names.length < 2
          ? []
          : names.map((name, at) => line(name, at + 1, ({ kinds }) => kinds[name]?.opsPerSecond ?? 0))),
      ],
    },
    {
      title: 'Latency',
      unit: 'us',
      isLogarithmic: true,
      lines: [latency('p50', 2), latency('p99', 1), latency('max', 3)],
    },
    ...(names.length < 2
      ? []
      : [
          {
            title: 'Latency by kind, p99',
            unit: 'us',
            isLogarithmic: true,
            lines: names.map((name, at) =>
              line(name, at + 1, ({ kinds }) => positive(kinds[name]?.latency.p99 ?? 0)),
            ),
          },
        ]),
    {
      title: 'CPUs online',
      unit: '',
      isLogarithmic: false,
      lines: [line('online', 2, ({ online }) => online)],
    },
    {
      title: 'Host',
      unit: '',
      isLogarithmic: false,
      lines: [
        line('memory, MiB', 0, ({ memory }) => memory / MEBIBYTE),
        line('threads kept waiting, %', 1, ({ hostSlow }) => hostSlow * 100),
      ],
    },
  ];
}

function findingData({
  kind,
  title,
  cpu,
  stack = [],
  detail,
  time,
  count: times,
  known,
  trace,
}: StressFinding): StressFindingData {
  const place = [
    ...(cpu === undefined ? [] : [`CPU ${cpu}`]),
    `first at ${time.toFixed(1)} s`,
    ...(times === 1 ? [] : [`${count(times)} times`]),
    ...(known === undefined ? [] : [`known: ${known}`]),
    ...(trace === undefined ? [] : [`trace: ${trace}`]),
  ];
  const lines = [
    ...(detail === undefined ? [] : [detail.trimEnd()]),
    ...(stack.length === 0 ? [] : ['Call Trace:', ...stack.map((symbol) => ` ${symbol}`)]),
  ];
  return { kind, title, isKnown: known !== undefined, place: place.join(', '), text: lines.join('\n') };
}

function latencyCells({ p50, p99, max }: StressLatency): string[] {
  return [latencyText(p50), latencyText(p99), latencyText(max)];
}

function kindCells(name: string, { ops, opsPerSecond, failures, latency }: StressKind): (string | number)[] {
  return [name, count(ops), count(opsPerSecond), count(failures), ...latencyCells(latency)];
}

function tablesOf(report: StressReport): StressTable[] {
  const { kinds, books, perCpu, faults } = report;
  return [
    {
      title: 'Operations',
      hint: 'Latency from the call to its answer, in host time.',
      head: ['', 'operations', 'per second', 'failures', 'p50', 'p99', 'max'],
      rows: [
        { cells: kindCells('all', report) },
        ...kindNames(report).map((name) => ({
          cells: kindCells(name, kinds[name]!),
          ...(kinds[name]!.failures === 0 ? {} : { mark: 'bad' as const }),
        })),
      ],
    },
    {
      title: 'Books',
      hint: 'What was sent against what arrived. Explained: by a known defect, or by a fault that was injected.',
      head: ['', 'sent', 'received', 'difference', 'explained'],
      rows: books.map(({ name, sent, received, difference, explained }) => ({
        cells: [name, count(sent), count(received), difference, explained],
        ...(difference !== 0 ? { mark: 'bad' as const } : explained !== 0 ? { mark: 'known' as const } : {}),
      })),
    },
    {
      title: 'CPUs',
      hint: 'At the end of the run, and over all of it.',
      head: [
        'CPU',
        'at the end',
        'operations',
        'went off',
        'came on',
        'calls executed',
        'call interrupts',
        'reschedules',
        'virt on',
        'virt off',
      ],
      rows: perCpu.map((cpu) => ({
        cells: [
          String(cpu.cpu),
          cpu.online ? 'online' : 'offline',
          count(cpu.ops),
          count(cpu.offlined),
          count(cpu.onlined),
          count(cpu.callsExecuted),
          count(cpu.callInterrupts),
          count(cpu.rescheduleInterrupts),
          count(cpu.virtOn),
          count(cpu.virtOff),
        ],
      })),
    },
    ...(faults.length === 0
      ? []
      : [
          {
            title: 'Faults',
            hint: 'What was made to fail, and how often it did.',
            head: ['fault', 'struck'],
            rows: faults.map(({ fault, hits }) => ({ cells: [fault, count(hits)] })),
          },
        ]),
  ];
}

export function stressPageData(report: StressReport): StressPageData {
  const { options, ops, seconds, opsPerSecond, latency, host, machines, quietPoints } = report;
  const { text, isBad } = verdict(report);
  const of = options.patches.length === 0 ? '' : `, with ${options.patches.join(', ')}`;
  return {
    schema: 'smplab.stress-page/1',
    title: `Stress: ${options.workload} on ${options.cpus} CPUs${of}`,
    verdict: text,
    isBad,
    facts: [
      ['vendor', options.vendor],
      ['seed', String(options.seed)],
      ['operations', count(ops)],
      ['time', `${seconds.toFixed(1)} s`],
      ['rate', `${count(opsPerSecond)}/s`],
      ['latency p50, p99, max', latencyCells(latency).join(', ')],
      ['counted', `${counted(quietPoints, 'time')} at rest`],
      ['machines', String(machines)],
      ['host', `${counted(host.cores, 'core')}, ${(host.memory.most / MEBIBYTE).toFixed(0)} MiB at most`],
      ...options.faults.map((fault) => ['fault', fault] as const),
    ],
    times: report.intervals.map(({ time }) => time),
    plots: plotsOf(report),
    findings: report.findings.map(findingData),
    tables: tablesOf(report),
  };
}

/** One HTML file, complete in itself: made from the report and from nothing else. */
export function stressPage(report: StressReport): string {
  const data = stressPageData(report);
  const text = [
    ...data.facts.map(([name, value]) => `${name}: ${value}`),
    '',
    data.verdict,
    ...data.findings.map(({ kind, title, place }) => `${kind}: ${title} (${place})`),
    ...data.tables.flatMap(({ title, head, rows }) => [
      '',
      title,
      head.join('\t'),
      ...rows.map(({ cells }) => cells.join('\t')),
    ]),
  ];
  return htmlPage({
    title: `${data.title}: ${data.verdict} - smplab`,
    data,
    assets: stressAssets,
    text: [data.title, '', ...text].join('\n'),
  });
}
