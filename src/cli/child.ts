/** A piece of a command's work in a process of its own: this very command with other arguments, and the document it prints. */
import { spawn } from 'node:child_process';

/** A piece could not be done: its own one line, and its exit code. */
export class PartFailed extends Error {
  readonly code: number;

  constructor(message: string, code: number) {
    super(message.replace(/^smplab: /, ''));
    this.name = 'PartFailed';
    this.code = code;
  }
}

/**
 * Runs `smplab ARGUMENTS` and answers what it prints; undefined if it was stopped before it had anything to say.
 * @param given with --json
 * @throws PartFailed if it has no document to print
 */
export async function childDocument(
  given: readonly string[],
  stop: AbortSignal,
): Promise<string | undefined> {
  const child = spawn(process.execPath, [process.argv[1]!, ...given], { stdio: ['ignore', 'pipe', 'pipe'] });
  // Asked politely: it prints what it has.
  const end = (): void => {
    child.kill('SIGINT');
  };
  stop.addEventListener('abort', end, { once: true });
  let text = '';
  let complaint = '';
  child.stdout.setEncoding('utf8').on('data', (some: string) => (text += some));
  child.stderr.setEncoding('utf8').on('data', (some: string) => (complaint += some));
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => {
      resolve();
    });
  });
  stop.removeEventListener('abort', end);
  if (text.startsWith('{')) return text;
  if (stop.aborted) return undefined;
  throw new PartFailed(complaint.trim() || 'a job ended without an answer', child.exitCode ?? 3);
}
