/** `smplab gallery verify` and `chance`: that all entries still hold, and how rarely they fail by themselves. */
import { type Chance, chanceOf } from '#explore/chance';
import { compileScenario } from '#explore/compile';
import { type GalleryEntry, galleryEntries, galleryEntry, galleryScenario } from '#explore/gallery';
import { type Verified, verifyEntry } from '#explore/gallery-verify';
import { runInParallel } from '#explore/parallel';
import type { Paint } from '#report/paint';
import type { Context } from './boot.ts';
import { childDocument } from './child.ts';
import { ExitCode } from './exit-code.ts';
import type { GalleryOptions } from './gallery-options.ts';

const number = (value: number): string => value.toLocaleString('en-US');

function foundText({ found, seeds, foundSeeds, runsToFind, replayed, limit }: Verified): string {
  if (runsToFind === null) return `not found in ${number(limit)}`;
  const by = `by schedule ${number(runsToFind)}`;
  const when = seeds === 1 ? `found ${by}` : `found ${foundSeeds}/${seeds} ${by}`;
  return `${when}${found ? '' : `, not in ${number(limit)}`}${replayed ? '' : ', not again from its token'}`;
}

function fixedText({ fixedClean, fixedComplete, fixedRuns, fixedStrategies }: Verified): string {
  if (!fixedClean) return 'not clean';
  if (fixedComplete) return `complete in ${number(fixedRuns)}`;
  return `clean in ${number(fixedRuns)} (${Object.keys(fixedStrategies).join(', ')})`;
}

/** As a line of the table. */
function row(verified: Verified, width: number, paint: Paint): string {
  const { id, preemptions, preemptionsMax, ok, seconds } = verified;
  const shrunk =
    preemptions === null
      ? 'not shrunk'
      : `${preemptions} of ${preemptionsMax} preemption${preemptionsMax === 1 ? '' : 's'}`;
  const columns = [
    id.padEnd(width),
    foundText(verified).padEnd(24),
    shrunk.padEnd(18),
    `fixed: ${fixedText(verified).padEnd(24)}`,
    `${seconds.toFixed(1)} s`,
  ];
  return ok ? columns.join('  ') : paint.bad(columns.join('  '));
}

/** In this process, or where several are verified at once, in one of its own. Undefined if it was interrupted. */
async function verifyOne(
  entry: GalleryEntry,
  { seed, seeds, fixedRuns, raceRuns, executor, jobs }: GalleryOptions,
  signal: AbortSignal,
): Promise<Verified | undefined> {
  if (jobs === 1) return verifyEntry(entry, { seed, seeds, fixedRuns, raceRuns, executor, signal });
  const given = ['gallery', 'verify', entry.id, '--seed', String(seed), '--seeds', String(seeds)];
  const runs = fixedRuns === undefined ? [] : ['--fixed-runs', String(fixedRuns)];
  const races = raceRuns === undefined ? [] : ['--race-runs', String(raceRuns)];
  const text = await childDocument(
    [...given, '--executor', executor, ...runs, ...races, '--jobs', '1', '--json'],
    signal,
  );
  if (text === undefined) return undefined;
  return (JSON.parse(text) as { readonly entries: readonly Verified[] }).entries[0];
}

export async function verify(
  ids: readonly string[],
  options: GalleryOptions,
  { output, signal }: Context,
): Promise<ExitCode> {
  const chosen: GalleryEntry[] = ids.length === 0 ? galleryEntries() : ids.map((id) => galleryEntry(id));
  const width = Math.max(...chosen.map(({ id }) => id.length));
  const began = performance.now();
  const done: Verified[] = [];
  const alone = chosen.length === 1 ? { ...options, jobs: 1 } : options;
  await runInParallel(alone.jobs, chosen, async (entry) => {
    const verified = signal.aborted ? undefined : await verifyOne(entry, alone, signal);
    if (verified === undefined) return;
    done.push(verified);
    if (options.json === true) return;
    output.line(row(verified, width, output.paint));
    for (const finding of verified.otherFindings) output.line(`  broken kernel, besides: ${finding}`);
    for (const failure of verified.fixedFailures) output.line(`  fixed kernel: ${failure}`);
  });
  done.sort((a, b) => chosen.findIndex(({ id }) => id === a.id) - chosen.findIndex(({ id }) => id === b.id));
  const good = done.filter(({ ok }) => ok).length;
  if (options.json === true) output.raw(`${JSON.stringify({ schema: 'smplab.gallery/1', entries: done })}\n`);
  else output.line(`${good} of ${chosen.length} hold  ${((performance.now() - began) / 1000).toFixed(0)} s`);
  if (signal.aborted) return ExitCode.INTERRUPTED;
  return good === chosen.length ? ExitCode.GOOD : ExitCode.MACHINE_FAILED;
}

/** Runs entries in parallel mode, on real threads that nobody steers. Not searching, so a failure is no failure of the command. */
export async function chance(
  ids: readonly string[],
  { runs, json }: GalleryOptions,
  { output, signal }: Context,
): Promise<ExitCode> {
  const names = ids.length === 0 ? galleryEntries().map(({ id }) => id) : ids;
  const width = Math.max(...names.map((name) => name.length));
  const done: (Chance & { readonly id: string; readonly upstream: string })[] = [];
  for (const name of names) {
    const { upstream } = galleryEntry(name.replace(/\/fixed$/, ''));
    const came = await chanceOf(await compileScenario(galleryScenario(name)!, 'threads'), { runs, signal });
    done.push({ id: name, upstream, ...came });
    if (json !== true) output.line(chanceRow(name.padEnd(width), came));
    if (signal.aborted) break;
  }
  if (json === true) output.raw(`${JSON.stringify({ schema: 'smplab.gallery/1', entries: done })}\n`);
  return signal.aborted ? ExitCode.INTERRUPTED : ExitCode.GOOD;
}

function chanceRow(name: string, { runs, failed, kinds, seconds }: Chance): string {
  const said = Object.entries(kinds).map(([kind, count]) => `${count} ${kind}`);
  const what = said.length === 0 ? '' : ` (${said.join(', ')})`;
  return `${name}  ${failed} of ${runs} unsteered runs fail${what}  ${seconds.toFixed(1)} s`;
}
