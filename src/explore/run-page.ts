/** A run as a page to look at: what `--view html` writes. */
import type { Finding } from '#report/model';
import { type RunPictureInput, runPicture } from '#report/picture';
import { picturePage } from '#report/picture-page';
import { plain } from '#report/paint';
import type { RunFinding } from './executor.ts';
import { type DrawnRun, counted, diagram } from './failure-text.ts';

export interface PageRun extends Omit<DrawnRun, 'finding'> {
  readonly findings: readonly RunFinding[];
  readonly scenario: string;
  readonly memoryModel: 'sc' | 'tso';
  /** What shows this again: `smplab replay TOKEN`. */
  readonly command?: string;
}

/** Of nobody in particular. */
const NO_CPU = -1;

function findingOf({ kind, title, cpu = NO_CPU, stack = [], detail }: RunFinding): Finding {
  return { kind, title, cpu, stack, ...(detail === undefined || detail === '' ? {} : { detail }) };
}

/** What a picture is made from: for the page, and for a trace file that a page can be made from later. */
export function pictureInput(run: PageRun): RunPictureInput {
  const { shown, explanation, findings, scenario, memoryModel, command } = run;
  const { steps, switches } = shown.result;
  return {
    run: {
      steps: shown.steps,
      names: shown.names,
      symbols: shown.symbols,
      cpus: shown.cpus,
      traced: shown.events,
      printed: shown.printed,
      log: shown.printed,
      findings: shown.findings,
      ...(explanation === undefined
        ? {}
        : { waiting: explanation.waiting, unreached: explanation.unreached }),
    },
    ...(explanation === undefined
      ? {}
      : {
          decisive: explanation.decisive.map(({ first, second, outcome }) => ({
            first: first.index,
            second: second.index,
            outcome,
          })),
        }),
    findings: findings.map(findingOf),
    facts: [
      ['scenario', scenario],
      ['CPUs', String(shown.cpus)],
      ['memory model', memoryModel],
      ['run', `${counted(steps, 'step')}, ${counted(switches, 'switch')}`],
    ],
    ...(command === undefined ? {} : { command }),
  };
}

/** One HTML file, complete in itself. The same run gives the same bytes. */
export function runPage(run: PageRun): string {
  const { shown, explanation, findings } = run;
  return picturePage(
    runPicture(pictureInput(run)),
    diagram({ shown, explanation, finding: findings[0] }, plain),
  );
}
