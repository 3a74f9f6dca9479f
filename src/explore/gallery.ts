/** The gallery: real races, each a folder beside the build with a broken kernel, a fixed one, and what is to be found. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { SmplabError } from '#base/errors';

export const FAMILIES = ['kvm', 'cross-call', 'hotplug', 'per-cpu', 'lesson'] as const;
export type Family = (typeof FAMILIES)[number];

/** A finding: its kind, and a regular expression for its title. */
export interface Expected {
  readonly kind: string;
  readonly title: string;
}

/** entry.json */
export interface GalleryEntry {
  readonly id: string;
  readonly title: string;
  /** The simulated kernel's version. */
  readonly kernel: string;
  /** The commit that mended it, or where the specification speaks of it. */
  readonly upstream: string;
  /**
   * How hard it is to hit, counted by hand from its page's picture: orderings between CPUs that force it, and interrupts that have
   * to arrive in a certain place.
   */
  readonly depth: number;
  readonly interrupts: number;
  /** Preemptions of its smallest schedule, at most. */
  readonly preemptions: number;
  readonly expect: Expected;
  /** What else its broken kernel is seen to do: the same defect from another side. */
  readonly also?: readonly (Expected & { readonly why: string })[];
  /** What it is about: the chapter of the catalogue. */
  readonly family: Family;
  /** Which lesson of the series on per-CPU variables it is; races are none. */
  readonly lesson?: number;
  /** Kernel functions that are replaced, in each of the two kernels. */
  readonly livepatches: { readonly broken: readonly string[]; readonly fixed: readonly string[] };
  /** The fixed kernel is small enough to be exhausted. */
  readonly provable?: boolean;
}

const EASY_DEPTH = 3;
const BROKEN = 'scenario.ts';
const FIXED = 'fixed.ts';

/** The folder that ships with the build. */
function galleryFolder(): string {
  const here = fileURLToPath(import.meta.url);
  const root = here.slice(0, Math.max(here.lastIndexOf('/dist/'), here.lastIndexOf('/src/')));
  const built = path.join(root, 'dist/gallery');
  return existsSync(built) ? built : path.join(root, 'src/gallery');
}

export function matches(
  { kind, title }: Expected,
  finding: { readonly kind: string; readonly title: string },
): boolean {
  return finding.kind === kind && new RegExp(title).test(finding.title);
}

/** What a search of a broken kernel looks for, by the name that the command line has for it; undefined for other scenarios. */
export function expectedOf(name: string): ((finding: Expected) => boolean) | undefined {
  if (name.includes('/') || galleryScenario(name) === undefined) return undefined;
  const { expect } = galleryEntry(name);
  return (finding) => matches(expect, finding);
}

/** Schedules within which the default strategy has to find it, whatever the seed. */
export function scheduleLimit({ depth, interrupts }: GalleryEntry): number {
  return depth + interrupts <= EASY_DEPTH ? 20_000 : 200_000;
}

function readEntry(folder: string, id: string): GalleryEntry {
  const text = readFileSync(path.join(folder, id, 'entry.json'), 'utf8');
  return { ...(JSON.parse(text) as Omit<GalleryEntry, 'id'>), id };
}

/** Every entry, by id. */
export function galleryEntries(): GalleryEntry[] {
  const folder = galleryFolder();
  return readdirSync(folder)
    .toSorted()
    .filter((id) => existsSync(path.join(folder, id, 'entry.json')))
    .map((id) => readEntry(folder, id));
}

/** @throws SmplabError SMPLAB_BAD_USAGE for an id that is none */
export function galleryEntry(id: string): GalleryEntry {
  const entries = galleryEntries();
  const found = entries.find((entry) => entry.id === id);
  if (found !== undefined) return found;
  throw new SmplabError(
    'SMPLAB_BAD_USAGE',
    `the gallery has no entry ${id}; it has ${entries.map((one) => one.id).join(', ')}`,
  );
}

/** The file whose patches mend what hotplug breaks in kvm-54. */
export function mendedKernel(): string {
  return path.join(galleryFolder(), 'internal/kvm-54-mended.ts');
}

/** An entry's page for people. */
export function galleryPage(id: string): string {
  return readFileSync(path.join(galleryFolder(), galleryEntry(id).id, 'README.md'), 'utf8');
}

/** The scenario that an id means: `ID` the broken kernel, `ID/fixed` the fixed one. Undefined if it is no id. */
export function galleryScenario(name: string): string | undefined {
  const [id = '', which] = name.split('/');
  if (!/^[a-z0-9-]+$/.test(id) || (which !== undefined && which !== 'fixed') || name.split('/').length > 2)
    return undefined;
  const file = path.join(galleryFolder(), id, which === undefined ? BROKEN : FIXED);
  return existsSync(path.join(galleryFolder(), id, 'entry.json')) && existsSync(file) ? file : undefined;
}
