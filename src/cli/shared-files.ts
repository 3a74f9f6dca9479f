/** `smplab shell --share FOLDER`: files of the host that scripts see. */
import { type Dirent, readFileSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import type { SharedFile } from '#shell/user-root';
import { UsageError, hostErrorCode } from './exit-code.ts';

/** More than a folder of scripts has: somebody has named their home, or the root. */
const SHARED_FILES_MAX = 5_000;

/**
 * The files in a folder and below it, under their own absolute names. They are read when a script reads them; links lead where
 * they lead, and what is neither file nor folder is left out.
 * @throws UsageError for what is no folder, or holds more than 5,000 files
 */
export function sharedFiles(folder: string): SharedFile[] {
  const files: SharedFile[] = [];
  const open = [path.resolve(folder)];
  if (statSync(open[0]!, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new UsageError(`--share ${folder}: expected a folder`);
  for (let here = open.pop(); here !== undefined; here = open.pop()) {
    for (const entry of entriesOf(here, folder)) {
      const file = path.join(here, entry.name);
      // A link to a folder may lead round in a circle: only what lies here itself is entered.
      if (entry.isDirectory()) {
        open.push(file);
        continue;
      }
      const status = statSync(file, { throwIfNoEntry: false });
      if (status?.isFile() !== true) continue;
      files.push({ path: file, mode: status.mode & 0o777, read: () => readFileSync(file) });
      if (files.length > SHARED_FILES_MAX)
        throw new UsageError(
          `--share ${folder}: has more than ${SHARED_FILES_MAX} files, expected a folder of scripts`,
        );
    }
  }
  return files;
}

function entriesOf(here: string, folder: string): Dirent[] {
  try {
    return readdirSync(here, { withFileTypes: true });
  } catch (error) {
    throw new UsageError(`--share ${folder}: ${here} cannot be read (${hostErrorCode(error)})`);
  }
}
