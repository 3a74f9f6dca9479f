/** A failing run in words and as a picture: what the command line prints of it, and what a failed test says. */
import { interleaving } from '#report/interleaving';
import { type Paint, plain } from '#report/paint';
import type { FailureFound } from './campaign.ts';
import type { RunFinding } from './executor.ts';
import type { Explanation } from './explain.ts';
import type { ReplayReport } from './replay-token.ts';
import type { ShownRun } from './shown-run.ts';

export interface DrawnRun {
  readonly shown: ShownRun;
  readonly explanation: Explanation | undefined;
  readonly finding: RunFinding | undefined;
}

/** The two-column interleaving. */
export function diagram({ shown, explanation, finding }: DrawnRun, paint: Paint, width = 100): string[] {
  return interleaving(
    {
      steps: shown.steps,
      names: shown.names,
      log: shown.printed,
      ...(explanation === undefined
        ? {}
        : { waiting: explanation.waiting, unreached: explanation.unreached }),
    },
    {
      paint,
      width,
      // What a report says at length says it below the drawing.
      ...(finding === undefined || (finding.detail ?? '') !== ''
        ? {}
        : { finding: { title: finding.title } }),
      ...(explanation === undefined
        ? {}
        : {
            decisive: explanation.decisive.map(({ first, second }) => ({
              first: first.index,
              second: second.index,
            })),
          }),
    },
  );
}

/** What is said of a failure beside its picture. */
export interface ToldFailure {
  readonly kind: string;
  readonly title: string;
  readonly foundAtRun: number;
  readonly detail: string;
  readonly preemptions: number;
  readonly switches: number;
  readonly steps: number;
  readonly minimal: boolean;
  readonly token: string;
}

/** @param command what runs the token again */
export function failureLines(
  failure: ToldFailure,
  drawing: readonly string[],
  paint: Paint,
  command = 'smplab replay',
): string[] {
  const { preemptions, switches, steps, minimal } = failure;
  const least = minimal ? ', the fewest possible' : '';
  const lines = [
    paint.bad(`${failure.kind}: ${failure.title}`),
    `found by schedule ${failure.foundAtRun}; smallest: ${counted(preemptions, 'preemption')}${least}, ${counted(switches, 'switch')}, ${counted(steps, 'step')}`,
    '',
  ];
  if (drawing.length > 0) lines.push(...drawing, '');
  if (failure.detail !== '') lines.push(...failure.detail.split('\n'), '');
  lines.push('again:', `  ${command} ${failure.token}`, '');
  return lines;
}

/** A race explains a failure: it is told after it, and drawn only where it is alone. */
export function isRace({ kind }: { readonly kind: string }): boolean {
  return kind === 'data-race';
}

/**
 * What a campaign found, as text without colour: each failure with its interleaving, its report and its token.
 * @param command what runs a token again
 */
export function failuresText(failures: readonly FailureFound[], command?: string): string {
  const wrong = failures.filter((failure) => !isRace(failure));
  const drawn = wrong.length === 0 ? failures : wrong;
  const ordered = [...wrong, ...failures.filter(isRace)];
  return ordered
    .flatMap((failure) => {
      const { finding, shown, explanation, minimised } = failure;
      const drawing =
        shown === undefined || !drawn.includes(failure)
          ? []
          : diagram({ shown, explanation, finding }, plain);
      const { cost, minimal } = minimised;
      return failureLines(
        { ...failure, ...cost, minimal, detail: finding.detail ?? '' },
        drawing,
        plain,
        command,
      );
    })
    .join('\n')
    .trimEnd();
}

/** What came of a token that was run again, as text without colour: the interleaving, and what was wrong in it. */
export function replayText({ shown, explanation, findings, diverged }: ReplayReport): string {
  const [finding] = findings;
  return [
    ...diagram({ shown, explanation, finding }, plain),
    '',
    ...(diverged === undefined ? [] : [diverged]),
    ...findings.map(({ kind, title }) => `${kind}: ${title}`),
    ...(finding === undefined ? ['nothing went wrong in this run'] : []),
  ].join('\n');
}

/** `1 switch`, `4 switches` */
export function counted(number: number, what: string): string {
  if (number === 1) return `1 ${what}`;
  return `${number} ${what}${what.endsWith('ch') ? 'es' : 's'}`;
}
