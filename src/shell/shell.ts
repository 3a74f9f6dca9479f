/** `smplab shell`: a script, a text, or a person at a terminal, and what exit status comes of it. */
import type { Fault, MachineConfig } from '#machine/config';
import type { End } from './caller.ts';
import { Computer, type Terminal } from './computer.ts';
import { endLines } from './end-text.ts';
import { Interactive, type Streams } from './interactive.ts';
import { Session } from './session.ts';
import type { SharedFile } from './user-root.ts';

export interface ShellRequest {
  readonly machine: MachineConfig;
  readonly faults: readonly Fault[];
  /** Files of the host's that scripts see. */
  readonly shared: readonly SharedFile[];
  readonly text: string;
  /** `$0` */
  readonly name: string;
  readonly args: readonly string[];
  readonly stdin?: string;
}

export interface ShellResult {
  /** What the script ended with. */
  readonly status: number;
  /** Reports of the simulated kernel about itself. */
  readonly findings: number;
  /** How the machine came to its end, if it did without being told to. */
  readonly end: End | undefined;
  readonly isInterrupted: boolean;
}

/** What came of a machine that nobody needs any more. */
function resultOf(computer: Computer, status: number, isInterrupted: boolean): ShellResult {
  computer.showLog();
  const { end } = computer;
  if (end !== undefined) for (const line of endLines(end)) computer.terminal.err(`${line}\n`);
  return { status, findings: computer.nrFindings, end, isInterrupted };
}

/** A shell with a person at it. */
export async function runInteractive(
  request: Pick<ShellRequest, 'machine' | 'faults' | 'shared'>,
  terminal: Terminal,
  streams: Streams,
): Promise<ShellResult> {
  const computer = await Computer.powerOn(request.machine, request.faults, terminal, request.shared);
  try {
    const status = computer.end === undefined ? await new Interactive(computer, streams).run() : 1;
    if (computer.request !== undefined) computer.end = undefined;
    return resultOf(computer, status, false);
  } finally {
    await computer.powerOff();
  }
}

/** Runs a script on a machine of its own. @param signal a person has had enough */
export async function runScript(
  request: ShellRequest,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ShellResult> {
  const computer = await Computer.powerOn(request.machine, request.faults, terminal, request.shared);
  try {
    const session = new Session(computer);
    const stop = (): void => {
      session.interrupt();
    };
    signal.addEventListener('abort', stop, { once: true });
    const { name, args, stdin } = request;
    let status = await session.run(request.text, {
      name,
      args,
      live: true,
      ...(stdin === undefined ? {} : { stdin }),
    });
    const trap = signal.aborted && session.traps.has('INT') ? 'INT' : 'EXIT';
    const action = session.traps.get(trap);
    session.traps.delete(trap);
    if (action !== undefined && computer.end === undefined)
      await session.run(`(exit ${status})\n${action}`, { name, args, live: true });
    await session.jobs.killAll();
    signal.removeEventListener('abort', stop);
    if (computer.request !== undefined) {
      // A machine that was told to stop has; a script on it ends there.
      if (computer.request === 'reboot') await computer.reboot();
      status = 0;
      computer.end = undefined;
    }
    return resultOf(computer, status, signal.aborted);
  } finally {
    await computer.powerOff();
  }
}
