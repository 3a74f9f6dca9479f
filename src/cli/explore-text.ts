/** What a campaign came to, in words. */
import { failureLines, isRace } from '#explore/failure-text';
import type { Paint } from '#report/paint';
import type { ExploreDocument, FailureDocument } from './explore-document.ts';

/** The picture of a failure in colour, where there is one. */
export type Drawing = (failure: FailureDocument) => readonly string[];

function percent(share: number): string {
  if (share === 0) return '0%';
  return share < 0.001 ? share.toExponential(1) : `${(share * 100).toFixed(1)}%`;
}

function coverage(document: ExploreDocument): string[] {
  const { runs, distinctTraces, complete, unproved, bounds, unseenShare, missed, limit, jobs } = document;
  const many = jobs > 1 ? 'at least ' : '';
  const lines = [`${runs} schedules, ${many}${distinctTraces} of them different in what they did`];
  if (complete) {
    // A bounded search has its bound under its own name: what is beyond has not been covered.
    const bound = bounds[document.strategy];
    const within = bound === undefined ? '' : ` with at most ${bound} ${document.strategy}`;
    lines.push(`complete: every interleaving${within} was covered`);
    const again = (bounds['redundant'] ?? 0) + (bounds['discarded'] ?? 0);
    if (again > 0) lines.push(`${again} of the schedules showed nothing new`);
  } else if (unproved !== null) {
    lines.push(`not complete: ${unproved}`);
  } else if ('estimate' in bounds) {
    lines.push(`not complete: about ${bounds['estimate']} schedules are needed`);
  } else {
    lines.push(`not complete: the next schedule is a new one with a chance of about ${percent(unseenShare)}`);
  }
  for (const { depth, missedAtMost, runs: schedules } of missed) {
    if (missedAtMost >= 0.5) continue;
    lines.push(
      `a bug of depth ${depth} is missed by ${schedules} PCT schedules like these with a chance of at most ${percent(missedAtMost)}`,
    );
  }
  if (limit !== null) {
    const what =
      limit === 'steps' ? 'the step limit, in some schedules' : limit === 'time' ? 'the time given' : limit;
    lines.push(`stopped by: ${what}`);
  }
  return lines;
}

export function exploreText(document: ExploreDocument, paint: Paint, drawing: Drawing): string[] {
  const { scenario, cpus, memoryModel, strategy, seed, failures, faults } = document;
  const injected = faults.length === 0 ? '' : `, faults ${faults.join(' ')}`;
  const lines = [
    `${scenario}: ${cpus} CPUs, ${memoryModel}, strategy ${strategy}, seed ${seed}${injected}`,
    '',
  ];
  // What went wrong first, then the races that may be why.
  const wrong = failures.filter((failure) => !isRace(failure));
  const told = (failure: FailureDocument, picture: readonly string[]): string[] =>
    failureLines({ ...failure, ...failure.minimised }, picture, paint);
  for (const failure of wrong) lines.push(...told(failure, drawing(failure)));
  for (const failure of failures.filter(isRace)) {
    lines.push(...told(failure, wrong.length === 0 ? drawing(failure) : []));
  }
  for (const { title } of document.races) lines.push(`reported, no failure here: ${title}`);
  for (const { title } of document.warnings) lines.push(`the kernel warned: ${title}`);
  lines.push(...coverage(document));
  lines.push(failures.length > 0 ? paint.bad(`${failures.length} found`) : paint.good('nothing found'));
  return lines;
}
