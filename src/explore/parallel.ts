/** Several pieces of work at once, each on a core of its own. */
import PQueue from 'p-queue';

/**
 * @param work gets a piece and the number of a core that nobody else works on meanwhile
 * @returns the answers in the order of the pieces
 * @throws what the first piece that failed threw; no further piece is begun
 */
export async function runInParallel<T, R>(
  jobs: number,
  pieces: readonly T[],
  work: (piece: T, core: number) => Promise<R>,
): Promise<R[]> {
  const queue = new PQueue({ concurrency: jobs });
  const cores = Array.from({ length: jobs }, (_, core) => core);
  let failed = false;
  const tasks = pieces.map((piece) => async (): Promise<R> => {
    if (failed) throw new Error('a piece before has failed');
    const core = cores.pop()!;
    try {
      return await work(piece, core);
    } catch (error) {
      failed = true;
      throw error;
    } finally {
      cores.push(core);
    }
  });
  return queue.addAll(tasks);
}
