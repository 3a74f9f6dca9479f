/** `smplab stress`: torments a machine of real threads, and keeps books. */
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { compileScenario } from '#explore/compile';
import { galleryScenario, mendedKernel } from '#explore/gallery';
import type { StressConfig, StressProgress } from '#stress/config';
import { patchNames, runStress } from '#stress/run';
import { type Counted, type Workload, isRoleCounted, planOf } from '#stress/workloads';
import type { Fault } from '#machine/config';
import { faultText } from '#machine/fault-text';
import { checkFaultsFit } from '#machine/faults';
import { createPool } from '#machine/pool';
import { stressPage } from '#report/stress-page';
import type { StressReport } from '#report/stress-report';
import type { Context } from './boot.ts';
import { ExitCode, UsageError, hostErrorCode } from './exit-code.ts';
import { checkFaults } from './parse.ts';
import { stressHeader, stressText } from './stress-text.ts';

export interface StressCommandOptions {
  readonly cpus: number;
  readonly vendor: 'amd' | 'intel';
  readonly workload: Workload;
  readonly ops?: number;
  readonly of: Counted;
  readonly time?: number;
  readonly seed?: number;
  readonly callers?: number;
  readonly fault?: readonly Fault[];
  readonly traceEvents: number;
  readonly traceFolder?: string;
  readonly fixed?: boolean;
  readonly patches?: string;
  /** `html`, or `html=FILE`. */
  readonly report?: string;
  readonly json?: boolean;
}

/** The livepatches that were asked for: a scenario's, whatever else it is. */
async function patchesOf({ fixed, patches }: StressCommandOptions): Promise<StressConfig['patches']> {
  if (fixed === true && patches !== undefined)
    throw new UsageError('--fixed, --patches: expected one of them');
  const file = fixed === true ? mendedKernel() : patches;
  if (file === undefined) return undefined;
  const source = await compileScenario(galleryScenario(file) ?? file);
  return { names: patchNames(source), source };
}

const SECONDS_DEFAULT = 10;

/** The open file that the page goes into. @throws UsageError where there can be none */
function openReport(report: string | undefined): number | undefined {
  if (report === undefined) return undefined;
  const [form, file = REPORT_FILE] = report.split(/=(.*)/s, 2) as [string, string | undefined];
  if (form !== 'html' || file === '') throw new UsageError(`--report ${report}: expected html, or html=FILE`);
  try {
    return openSync(file, 'w');
  } catch (error) {
    throw new UsageError(`--report ${report}: ${file} cannot be written (${hostErrorCode(error)})`);
  }
}

/** What a CPU's thread keeps is code, some 12 MiB: it need not wait for hundreds before it collects what the rest was. */
const OLD_GENERATION_MB = 40;

const REPORT_FILE = 'smplab-stress.html';

/** What a run came to, as an exit code. */
export function stressVerdict(report: StressReport): ExitCode {
  if (report.ended === 'machine-check') return ExitCode.HOST_FAILED;
  if (report.ended === 'interrupted') return ExitCode.INTERRUPTED;
  const isNew = report.findings.some(({ known }) => known === undefined);
  return isNew || report.ended !== 'done' || report.failures > 0 || report.lost > 0
    ? ExitCode.MACHINE_FAILED
    : ExitCode.GOOD;
}

/** One line on a terminal's stderr, again and again. */
function liveLine(progress: StressProgress): string {
  const { seconds, ops, opsPerSecond, failures, online, findings, machines } = progress;
  const rate = Math.round(opsPerSecond);
  const machine = machines > 1 ? `  machine ${machines}` : '';
  return `${seconds.toFixed(0)} s  ${ops} operations  ${rate}/s  ${online} CPUs online  ${failures} failures  ${findings} findings${machine}`;
}

export async function stress(options: StressCommandOptions, context: Context): Promise<ExitCode> {
  const { output, aside, signal } = context;
  const { cpus, vendor, workload, callers } = options;
  const faults = options.fault ?? [];
  checkFaults(faults);
  checkFaultsFit(faults, { mode: 'parallel', vendor, possible: cpus });
  if (callers !== undefined && callers > cpus)
    throw new UsageError(`--callers ${callers}: expected at most one for each CPU, 1 to ${cpus}`);
  const { of } = options;
  if (of !== 'all' && options.ops === undefined) throw new UsageError(`--of ${of}: expected --ops with it`);
  if (!planOf(workload, cpus, callers).roles.some((role) => isRoleCounted(role, of)))
    throw new UsageError(`--of ${of}: no caller of this run makes such operations`);
  const seed = options.seed ?? (Math.random() * 2 ** 32) >>> 0;
  const seconds = options.time ?? (options.ops === undefined ? SECONDS_DEFAULT : undefined);
  const patches = await patchesOf(options);
  const faultTexts = faults.map(faultText);
  const told = options.json === true ? aside : output;
  told.lines(
    stressHeader(
      {
        cpus,
        vendor,
        workload,
        seed,
        seconds,
        faultTexts,
        patches: patches?.names.length ?? 0,
        ...(options.ops === undefined ? {} : { ops: options.ops }),
        of,
      },
      told.paint,
    ),
  );
  const page = openReport(options.report);
  const isTold = process.stderr.isTTY;
  const pool = createPool({ oldGenerationMb: OLD_GENERATION_MB });
  const report = await runStress({
    pool,
    cpus,
    vendor,
    workload,
    seed,
    ...(options.ops === undefined ? {} : { ops: options.ops, of }),
    ...(seconds === undefined ? {} : { seconds }),
    ...(callers === undefined ? {} : { callers }),
    faults,
    faultTexts,
    ...(patches === undefined ? {} : { patches }),
    signal,
    traceEvents: options.traceEvents,
    ...(options.traceFolder === undefined ? {} : { traceFolder: options.traceFolder }),
    ...(isTold
      ? {
          onProgress: (progress: StressProgress): void => {
            process.stderr.write(`\r${liveLine(progress)}\u001B[K`);
          },
        }
      : {}),
  }).finally(() => {
    if (isTold) process.stderr.write('\r\u001B[K');
  });
  const code = stressVerdict(report);
  if (page !== undefined) {
    writeFileSync(page, stressPage(report));
    closeSync(page);
  }
  if (options.json === true) output.raw(`${JSON.stringify(report)}\n`);
  else output.lines(stressText(report, code, output.paint));
  await pool.close();
  return code;
}
