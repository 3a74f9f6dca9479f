/** Every command that is ours; the rest are just-bash's. */
import type { CommandBody } from '../command.ts';
import { files } from './files.ts';
import { jobCommands } from './jobs.ts';
import { modules } from './modules.ts';
import { mounts } from './mounts.ts';
import { plumbing } from './plumbing.ts';
import { system } from './system.ts';

export const allCommands: Readonly<Record<string, CommandBody>> = {
  ...files,
  ...jobCommands,
  ...modules,
  ...mounts,
  ...plumbing,
  ...system,
};
