/** What a command sees of the shell that runs it. */
import type { ResolvedCommandContext } from 'just-bash';
import type { Caller } from './caller.ts';
import type { Computer } from './computer.ts';
import type { Jobs } from './jobs.ts';
import type { KernelFs } from './kernel-fs.ts';

export interface ShellSession {
  readonly computer: Computer;
  readonly caller: Caller;
  readonly fs: KernelFs;
  readonly jobs: Jobs;
  /** When the host last had a moment. */
  lastTick: number;
  /** `exit` has been called, though perhaps in a subshell. */
  isLeaving: boolean;
  /** Copies of scripts that were made for `source`. */
  nextStage: number;
  /** What `trap` has set, by signal. */
  readonly traps: Map<string, string>;
  enterScript(): void;
  leaveScript(): void;
  /** In front of an error that the shell itself reports. */
  where(line: string): string;
  /** Called by what is run behind each line that is to be kept. */
  saveState(args: readonly string[], context: ResolvedCommandContext): void;
  showKernelLog(): void;
}
