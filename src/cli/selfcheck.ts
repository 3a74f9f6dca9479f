/** `smplab selfcheck`: is what the fibers search the machine that the threads are, and does that keep its memory model? */
import { compareExecutors } from '#explore/both-executors';
import { galleryEntries } from '#explore/gallery';
import { compileScenario } from '#explore/compile';
import { type RecordedReport, canCheckRecorded, checkRecorded } from '#explore/recorded';
import type { Context } from './boot.ts';
import { ExitCode } from './exit-code.ts';
import { scenarioFile } from './explore.ts';

export interface SelfcheckOptions {
  readonly time: number;
  readonly seed: number;
  /** Parallel runs of each scenario. */
  readonly recorded: number;
  readonly json?: boolean;
}

/** Without scenarios given, one entry of the gallery in so many has its parallel runs recorded: which, the seed says. */
const ONE_IN = 7;

interface Unexplained {
  readonly scenario: string;
  readonly run: number;
  readonly title: string;
  readonly lines: readonly string[];
}

interface RecordedSum extends Omit<RecordedReport, 'unexplained'> {
  readonly unexplained: readonly Unexplained[];
}

/** Fixed kernels: what hangs in parallel says nothing here, and takes its time. */
function sample(seed: number): string[] {
  return galleryEntries()
    .filter((_, index) => index % ONE_IN === seed % ONE_IN)
    .map(({ id }) => `${id}/fixed`);
}

async function recordedRuns(
  names: readonly string[],
  runs: number,
  signal: AbortSignal,
  tell: (what: string) => void,
): Promise<RecordedSum> {
  let sum: RecordedSum = { runs: 0, explained: 0, inconclusive: 0, operations: 0, unexplained: [] };
  for (const scenario of names) {
    if (signal.aborted) break;
    tell(scenario);
    const source = await compileScenario(scenarioFile(scenario), 'threads');
    const report = await checkRecorded(source, { runs, signal });
    const unexplained = report.unexplained.map((one): Unexplained => ({ scenario, ...one }));
    sum = {
      runs: sum.runs + report.runs,
      explained: sum.explained + report.explained,
      inconclusive: sum.inconclusive + report.inconclusive,
      operations: sum.operations + report.operations,
      unexplained: [...sum.unexplained, ...unexplained],
    };
  }
  return sum;
}

export async function selfcheck(
  scenarios: readonly string[],
  options: SelfcheckOptions,
  { output, signal }: Context,
): Promise<ExitCode> {
  const isTold = options.json !== true && process.stderr.isTTY;
  const tell = (text: string): void => {
    if (isTold) process.stderr.write(`\r${text}\u001B[K`);
  };
  const files = scenarios.map(scenarioFile);
  const { compared, different, seconds } = await compareExecutors({
    seconds: options.time,
    seed: options.seed,
    signal,
    ...(files.length === 0 ? {} : { files }),
    onProgress: (count, what) => {
      tell(`${count} runs compared, ${what}`);
    },
  });
  const names = scenarios.length === 0 ? sample(options.seed) : scenarios;
  const isRecorded = options.recorded > 0 && canCheckRecorded();
  const recorded = await recordedRuns(isRecorded ? names : [], options.recorded, signal, (what) => {
    tell(`recorded runs, ${what}`);
  });
  tell('');
  if (options.json === true)
    output.raw(
      `${JSON.stringify({ schema: 'smplab.selfcheck/1', compared, different, recorded, seconds })}\n`,
    );
  else {
    for (const { what, memoryModel, policy, seed, where } of different)
      output.line(output.paint.bad(`${what} (${memoryModel}, ${policy}, seed ${seed}): ${where} differs`));
    const verdict = different.length === 0 ? 'all the same' : `${different.length} different`;
    output.line(`${compared} runs on fibers and on threads in ${seconds.toFixed(1)} s: ${verdict}`);
    for (const { scenario, run, title, lines } of recorded.unexplained) {
      output.line(output.paint.bad(`${scenario}, parallel run ${run}: ${title}`));
      output.lines(lines);
    }
    if (recorded.runs > 0) output.line(recordedLine(recorded));
  }
  if (different.length > 0 || recorded.unexplained.length > 0) return ExitCode.HOST_FAILED;
  return signal.aborted ? ExitCode.INTERRUPTED : ExitCode.GOOD;
}

function recordedLine({ runs, explained, inconclusive, operations }: RecordedSum): string {
  const open = inconclusive === 0 ? '' : `, ${inconclusive} not answered`;
  return `${runs} parallel runs of ${operations} operations: ${explained} explained by x86-TSO${open}`;
}
