/**
 * just-bash, when a shell is opened. To load it takes as long as loading all of smplab, and every command but this one would do
 * without.
 */
import type * as bash from 'just-bash';
import { assert } from '#base/assert';

type JustBash = typeof bash;

let loaded: JustBash | undefined;

/** To be awaited before anything of a shell is made. */
export async function loadBash(): Promise<JustBash> {
  loaded ??= await import('just-bash');
  return loaded;
}

export function justBash(): JustBash {
  assert(loaded !== undefined, 'justBash: no shell has been opened');
  return loaded;
}
