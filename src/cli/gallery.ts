/** `smplab gallery`: the races that ship with the package: which there are, what one is about, and that all still hold. */
import { runCampaign } from '#explore/campaign';
import { compileScenario } from '#explore/compile';
import { replayToken } from '#explore/replay-token';
import {
  FAMILIES,
  type Family,
  expectedOf,
  galleryEntries,
  galleryEntry,
  galleryPage,
  galleryScenario,
  scheduleLimit,
} from '#explore/gallery';
import type { Context } from './boot.ts';
import { ExitCode, UsageError } from './exit-code.ts';
import type { GalleryOptions } from './gallery-options.ts';
import { type RunView, viewOf } from './run-views.ts';
import { chance, verify } from './gallery-verify.ts';

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

const HEADINGS: Readonly<Record<Family, string>> = {
  kvm: 'Races of KVM: enabling and disabling against hotplug, reboot and module life',
  'cross-call': 'Races of cross calls and rendezvous',
  hotplug: 'Races of CPU hotplug and its neighbours',
  'per-cpu': 'Races over per-CPU data',
  lesson: 'Lessons on per-CPU variables, to be taken in order',
};

function list({ json }: GalleryOptions, { output }: Context): ExitCode {
  const entries = galleryEntries();
  if (json === true) {
    output.raw(`${JSON.stringify({ schema: 'smplab.gallery/1', entries })}\n`);
    return ExitCode.GOOD;
  }
  const width = Math.max(...entries.map(({ id }) => id.length));
  for (const family of FAMILIES) {
    const some = entries.filter((entry) => entry.family === family);
    output.lines([
      output.paint.strong(HEADINGS[family]),
      ...some.map(({ id, title }) => `  ${id.padEnd(width)}  ${title}`),
      '',
    ]);
  }
  output.lines([
    'smplab gallery show ID    what it is; with --view diagram the run that fails, found now',
    'smplab gallery chance ID  how often it fails by itself',
    'smplab explore ID         find it',
    'smplab explore ID/fixed   search the fixed kernel',
  ]);
  return ExitCode.GOOD;
}

/** A failing run of an entry, looked for here and now: made small, and shown in the view that was asked for. */
async function showRun(
  id: string,
  view: RunView,
  { seed, executor, json }: GalleryOptions,
  context: Context,
) {
  if (json === true) throw new UsageError('gallery show: --view and --json are two answers; give one');
  const { output, signal } = context;
  const source = await compileScenario(galleryScenario(id)!, executor);
  const { failures } = await runCampaign(source, {
    name: id,
    strategy: 'portfolio',
    seed,
    runs: scheduleLimit(galleryEntry(id)),
    executor,
    signal,
    until: expectedOf(id),
  });
  const failure = failures.find(expectedOf(id)!);
  if (failure === undefined) {
    output.line(`${id}: nothing found`);
    return signal.aborted ? ExitCode.INTERRUPTED : ExitCode.INCONCLUSIVE;
  }
  const report = await replayToken(failure.token, source, { executor });
  const text = viewOf(view, { ...report, command: `smplab replay ${failure.token}` }, output.paint);
  // What is no text is a file, and replay writes those.
  if (typeof text === 'string') output.raw(text);
  return ExitCode.GOOD;
}

async function show(ids: readonly string[], options: GalleryOptions, context: Context): Promise<ExitCode> {
  const { json, view } = options;
  const { output } = context;
  const [id] = ids;
  if (id === undefined || ids.length > 1)
    throw new UsageError('gallery show: expected one ID; smplab gallery list has them');
  const page = galleryPage(id);
  if (view !== undefined) return showRun(id, view, options, context);
  if (json === true)
    output.raw(
      `${JSON.stringify({ schema: 'smplab.gallery/1', entries: [{ ...galleryEntry(id), page }] })}\n`,
    );
  else output.raw(page);
  return ExitCode.GOOD;
}
