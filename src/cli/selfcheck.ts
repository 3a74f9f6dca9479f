/** `smplab selfcheck`: is what the fibers search the machine that the threads are? */
import { compareExecutors } from '#explore/both-executors';
import type { Context } from './boot.ts';
import { ExitCode } from './exit-code.ts';

export interface SelfcheckOptions {
  readonly time: number;
  readonly seed: number;
  readonly json?: boolean;
}

export async function selfcheck(options: SelfcheckOptions, { output, signal }: Context): Promise<ExitCode> {
  const isTold = options.json !== true && process.stderr.isTTY;
  const { compared, different, seconds } = await compareExecutors({
    seconds: options.time,
    seed: options.seed,
    signal,
    ...(isTold
      ? {
          onProgress: (count: number, what: string): void => {
            process.stderr.write(`\r${count} runs compared, ${what}\u001B[K`);
          },
        }
      : {}),
  });
  if (isTold) process.stderr.write('\r\u001B[K');
  if (options.json === true)
    output.raw(`${JSON.stringify({ schema: 'smplab.selfcheck/1', compared, different, seconds })}\n`);
  else {
    for (const { what, memoryModel, policy, seed, where } of different)
      output.line(output.paint.bad(`${what} (${memoryModel}, ${policy}, seed ${seed}): ${where} differs`));
    const verdict = different.length === 0 ? 'all the same' : `${different.length} different`;
    output.line(`${compared} runs on fibers and on threads in ${seconds.toFixed(1)} s: ${verdict}`);
  }
  if (different.length > 0) return ExitCode.HOST_FAILED;
  return signal.aborted ? ExitCode.INTERRUPTED : ExitCode.GOOD;
}
