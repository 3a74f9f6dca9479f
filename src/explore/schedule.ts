/** What a run's log says about its schedule: the segments, what they cost, and a digest of what happened. */
import type { Actor } from '#base/strategy';
import {
  OP_WORDS,
  OpFlag,
  OpType,
  OpWord,
  type OperationLog,
  opActor,
  opFlags,
  opType,
} from '#trace/operations';
import { type RunResult, RunStop, type Segment } from './executor.ts';

/** Whether the record begins a step: it is an operation, and no part of the step before it. */
function beginsStep(head: number): boolean {
  return opType(head) < OpType.EVENT && (opFlags(head) & OpFlag.CONTINUES) === 0;
}

/** The whole schedule of a run. As the prefix of a plan it gives that run again, whatever the policy. */
export function segmentsOf({ words, records }: OperationLog): Segment[] {
  const segments: { actor: Actor; steps: number }[] = [];
  for (let record = 0; record < records; record++) {
    const head = words[record * OP_WORDS]!;
    if (!beginsStep(head)) continue;
    const actor = opActor(head);
    const last = segments.at(-1);
    if (last?.actor === actor) last.steps++;
    else segments.push({ actor, steps: 1 });
  }
  return segments;
}

/** Segments as a prefix wants them: none empty, and neighbours of one actor joined. */
export function joined(segments: readonly Segment[]): Segment[] {
  const result: { actor: Actor; steps: number }[] = [];
  for (const { actor, steps } of segments) {
    const last = result.at(-1);
    if (steps <= 0) continue;
    if (last?.actor === actor) last.steps += steps;
    else result.push({ actor, steps });
  }
  return result;
}

/** What shrinking makes less of, the dearest first. */
export interface ScheduleCost {
  /** Switches away from an actor that could have gone on. */
  readonly preemptions: number;
  readonly switches: number;
  readonly steps: number;
}

/** Whether the actor could have made the step whose first record begins at this word. */
export function isEnabledAt(words: Int32Array, at: number, actor: Actor): boolean {
  const mask = actor < 32 ? words[at + OpWord.ENABLED_LOW]! : words[at + OpWord.ENABLED_HIGH]!;
  return actor < 64 && ((mask >>> (actor & 31)) & 1) === 1;
}

/**
 * A preemption is counted by the mask of the step that came instead (Musuvathi and Qadeer, PLDI 2007): the actor of the
 * step before is in it. Not only at choice points: what is one may differ between two runs of one schedule.
 */
export function costOf({ words, records }: OperationLog): ScheduleCost {
  let [preemptions, switches, steps, last] = [0, 0, 0, -1];
  for (let record = 0; record < records; record++) {
    const at = record * OP_WORDS;
    const head = words[at]!;
    if (!beginsStep(head)) continue;
    const actor = opActor(head);
    if (last >= 0 && actor !== last) {
      switches++;
      if (isEnabledAt(words, at, last)) preemptions++;
    }
    steps++;
    last = actor;
  }
  return { preemptions, switches, steps };
}

/** Below 0 if `a` is the cheaper one. */
export function compareCost(a: ScheduleCost, b: ScheduleCost): number {
  return a.preemptions - b.preemptions || a.switches - b.switches || a.steps - b.steps;
}

/** What makes two failures the same one. */
export interface Failure {
  readonly kind: string;
  readonly title: string;
}

/** What a run failed with: its findings, and the deadlock that the executor may have no words for. */
export function failuresOf({ findings, stop }: RunResult): readonly Failure[] {
  if (findings.length > 0) return findings;
  return stop === RunStop.DEADLOCK ? [{ kind: 'deadlock', title: 'deadlock' }] : [];
}

/** Whether a run failed with just that. */
export function failsWith(result: RunResult, { kind, title }: Failure): boolean {
  return failuresOf(result).some((found) => found.kind === kind && found.title === title);
}

const DIGEST_START = 0x811c9dc5;

function mixed(digest: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  const h = digest ^ k;
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

/**
 * A digest of 32 bits of what each step did: who, what, where, with which values. `atStep` is called with the digest of
 * everything up to a step's end, in order.
 *
 * Left out: which actors were enabled and whether a step was a choice point, since that depends on the runs that came
 * before; EVENT records, since a replay writes more of them than a search; and the ends of flows, so that a flow that goes on
 * where it used to end differs there, and not at the step before.
 */
export function logDigest(
  { words, records }: OperationLog,
  atStep?: (step: number, digest: number) => void,
): number {
  let digest = DIGEST_START;
  let step = -1;
  for (let record = 0; record < records; record++) {
    const at = record * OP_WORDS;
    const head = words[at]!;
    if (opType(head) >= OpType.EVENT || opType(head) === OpType.END) continue;
    if (beginsStep(head)) {
      if (step >= 0) atStep?.(step, digest >>> 0);
      step++;
    }
    digest = mixed(digest, head & ~(OpFlag.VISIBLE << 11));
    for (let word = OpWord.ADDRESS; word <= OpWord.SITE; word++) digest = mixed(digest, words[at + word]!);
  }
  if (step >= 0) atStep?.(step, digest >>> 0);
  return digest >>> 0;
}
