/** Results made by hand, for searches that look at nothing but how long a run was and who made its steps. */
import type { Actor } from '#base/strategy';
import { type RunResult, RunStop } from '#explore/executor';
import { OP_WORDS, OpFlag, OpType, OpWord, opHead } from '#trace/operations';

/** A run in which each actor in turn stores to one word. All its steps are visible. */
export function storesBy(actors: readonly Actor[], stop: RunStop = RunStop.COMPLETE): RunResult {
  const words = new Int32Array(actors.length * OP_WORDS);
  for (const [index, actor] of actors.entries()) {
    words[index * OP_WORDS] = opHead(OpType.STORE, 0, OpFlag.VISIBLE, actor);
    words[index * OP_WORDS + OpWord.ADDRESS] = 0x1000;
    words[index * OP_WORDS + OpWord.SIZE] = 4;
  }
  return {
    stop,
    log: { words, records: actors.length },
    steps: actors.length,
    switches: 0,
    divergedAt: -1,
    sharedGrew: false,
    findings: [],
    finalState: '',
  };
}
