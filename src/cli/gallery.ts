/** `smplab gallery`: the races that ship with the package: which there are, what one is about, and that all still hold. */
import {
  galleryEntries,
  galleryEntry,
  galleryPage,
  galleryScenario,
  type GalleryEntry,
  type Verified,
  verifyEntry,
} from '#explore/gallery';
import { type Chance, chanceOf } from '#explore/chance';
import { compileScenario } from '#explore/compile';
import type { ExecutorKind } from '#machine/runner';
import { runInParallel } from '#explore/parallel';
import type { Paint } from '#report/paint';
import type { Context } from './boot.ts';
import { childDocument } from './child.ts';
import { ExitCode, UsageError } from './exit-code.ts';

export interface GalleryOptions {
  readonly seed: number;
  readonly fixedRuns?: number;
  readonly runs: number;
  readonly executor: ExecutorKind;
  readonly jobs: number;
  readonly json?: boolean;
}

export async function gallery(
  action: string,
  ids: readonly string[],
  options: GalleryOptions,
  context: Context,
): Promise<ExitCode> {
  switch (action) {
    case 'list':
      return list(options, context);
    case 'show':
      return show(ids, options, context);
    case 'verify':
      return verify(ids, options, context);
    case 'chance':
      return chance(ids, options, context);
    default:
      throw new UsageError(`gallery ${action}: expected list, show ID, verify [ID...] or chance [ID...]`);
  }
}

function list({ json }: GalleryOptions, { output }: Context): ExitCode {
  const entries = galleryEntries();
  if (json === true) {
    output.raw(`${JSON.stringify({ schema: 'smplab.gallery/1', entries })}\n`);
    return ExitCode.GOOD;
  }
  const width = Math.max(...entries.map(({ id }) => id.length));
  for (const { id, title } of entries) output.line(`${id.padEnd(width)}  ${title}`);
  output.lines([
    '',
    'smplab gallery show ID    what it is',
    'smplab explore ID         find it',
    'smplab explore ID/fixed   search the fixed kernel',
  ]);
  return ExitCode.GOOD;
}

function show(ids: readonly string[], { json }: GalleryOptions, { output }: Context): ExitCode {
  const [id] = ids;
  if (id === undefined || ids.length > 1)
    throw new UsageError('gallery show: expected one ID; smplab gallery list has them');
  const page = galleryPage(id);
  if (json === true)
    output.raw(
      `${JSON.stringify({ schema: 'smplab.gallery/1', entries: [{ ...galleryEntry(id), page }] })}\n`,
    );
  else output.raw(page);
  return ExitCode.GOOD;
}

/** Runs entries in parallel mode, on real threads that nobody steers. Not searching, so a failure is no failure of the command. */
async function chance(
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

/** As a line of the table. */
function row(
  { id, found, runsToFind, replayed, fixedClean, fixedComplete, fixedRuns, seconds }: Verified,
  width: number,
  paint: Paint,
): string {
  const broken = found
    ? `found by schedule ${runsToFind}${replayed ? '' : ', not again from its token'}`
    : 'not found';
  const fixed = fixedClean ? `${fixedComplete ? 'complete' : 'clean'} in ${fixedRuns}` : 'not clean';
  const text = `${id.padEnd(width)}  ${broken.padEnd(24)}  fixed: ${fixed.padEnd(16)}  ${seconds.toFixed(1)} s`;
  return found && replayed && fixedClean ? text : paint.bad(text);
}

/** In this process, or where several are verified at once, in one of its own. Undefined if it was interrupted. */
async function verifyOne(
  entry: GalleryEntry,
  { seed, fixedRuns, executor, jobs }: GalleryOptions,
  signal: AbortSignal,
): Promise<Verified | undefined> {
  if (jobs === 1) return verifyEntry(entry, { seed, fixedRuns, executor, signal });
  const given = ['gallery', 'verify', entry.id, '--seed', String(seed), '--executor', executor, '--json'];
  const runs = fixedRuns === undefined ? [] : ['--fixed-runs', String(fixedRuns)];
  const text = await childDocument([...given, ...runs], signal);
  if (text === undefined) return undefined;
  return (JSON.parse(text) as { readonly entries: readonly Verified[] }).entries[0];
}

async function verify(
  ids: readonly string[],
  options: GalleryOptions,
  { output, signal }: Context,
): Promise<ExitCode> {
  const chosen: GalleryEntry[] = ids.length === 0 ? galleryEntries() : ids.map((id) => galleryEntry(id));
  const width = Math.max(...chosen.map(({ id }) => id.length));
  const done: Verified[] = [];
  await runInParallel(options.jobs, chosen, async (entry) => {
    const verified = signal.aborted ? undefined : await verifyOne(entry, options, signal);
    if (verified === undefined) return;
    done.push(verified);
    if (options.json === true) return;
    output.line(row(verified, width, output.paint));
    for (const failure of verified.fixedFailures) output.line(`  fixed kernel: ${failure}`);
  });
  done.sort((a, b) => chosen.findIndex(({ id }) => id === a.id) - chosen.findIndex(({ id }) => id === b.id));
  if (options.json === true) output.raw(`${JSON.stringify({ schema: 'smplab.gallery/1', entries: done })}\n`);
  if (signal.aborted) return ExitCode.INTERRUPTED;
  return done.every(({ found, replayed, fixedClean }) => found && replayed && fixedClean)
    ? ExitCode.GOOD
    : ExitCode.MACHINE_FAILED;
}
