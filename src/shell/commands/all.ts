/** Every command that is ours; the rest are just-bash's. */
import type { CommandBody } from '../command.ts';
import { files } from './files.ts';
import { jobCommands } from './jobs.ts';
import { kvmctl } from './kvmctl.ts';
import { modules } from './modules.ts';
import { mounts } from './mounts.ts';
import { plumbing } from './plumbing.ts';
import { system } from './system.ts';
import { trace } from './trace.ts';

export const allCommands: Readonly<Record<string, CommandBody>> = {
  ...files,
  ...jobCommands,
  kvmctl,
  ...modules,
  ...mounts,
  ...plumbing,
  ...system,
  trace,
};
