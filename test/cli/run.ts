/** Runs the built command the way a shell would. */
import { spawn } from 'node:child_process';
import path from 'node:path';

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export const MAIN: string = path.join(import.meta.dirname, '../../dist/cli/main.js');

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Sends SIGINT as soon as stdout holds this text. */
  readonly interruptAt?: string;
  /** Standard input. Without it there is an open pipe that nobody writes to. */
  readonly stdin?: string;
}

export function smplab(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, ...args], { env: { ...process.env, ...options.env } });
    let stdout = '';
    let stderr = '';
    let interrupted = false;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      if (options.interruptAt === undefined || interrupted || !stdout.includes(options.interruptAt)) return;
      interrupted = true;
      child.kill('SIGINT');
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    if (options.stdin !== undefined) child.stdin.end(options.stdin);
    child.on('error', reject);
    child.on('close', (code) => {
      resolve({ code, stdout, stderr });
    });
  });
}
