/** The steps of a run, found in its log: what bounded and directed search branch on. */
import type { Actor } from '#base/strategy';
import type { OperationLog } from '#trace/operations';
import { OP_WORDS, OpFlag, OpType, OpWord, opActor, opFlags, opType } from '#trace/operations';
import type { Segment } from './executor.ts';

/** Bit masks hold this many actors: the log's own limit. */
export const MASK_ACTORS = 64;

/** Reused from run to run: valid until the next `read`. */
export class RunSteps {
  count = 0;
  log: OperationLog = { words: new Int32Array(0), records: 0 };
  /** By step: who made it; its first record; the record behind its last. */
  actor = new Int32Array(256);
  first = new Int32Array(256);
  end = new Int32Array(256);

  read(log: OperationLog): void {
    this.log = log;
    this.count = 0;
    const { words, records } = log;
    for (let record = 0; record < records; record++) {
      const head = words[record * OP_WORDS]!;
      if (opType(head) >= OpType.EVENT) continue;
      if ((opFlags(head) & OpFlag.CONTINUES) === 0) this.begin(opActor(head), record);
      if (this.count > 0) this.end[this.count - 1] = record + 1;
    }
  }

  private begin(actor: Actor, record: number): void {
    if (this.count === this.actor.length) this.grow();
    this.actor[this.count] = actor;
    this.first[this.count] = record;
    this.count++;
  }

  private grow(): void {
    for (const key of ['actor', 'first', 'end'] as const) {
      const larger = new Int32Array(this[key].length * 2);
      larger.set(this[key]);
      this[key] = larger;
    }
  }

  isVisible(step: number): boolean {
    return (opFlags(this.log.words[this.first[step]! * OP_WORDS]!) & OpFlag.VISIBLE) !== 0;
  }

  /** Whether the actor could have made this step. */
  couldGo(step: number, actor: Actor): boolean {
    if (actor < 0 || actor >= MASK_ACTORS) return false;
    const word = actor < 32 ? OpWord.ENABLED_LOW : OpWord.ENABLED_HIGH;
    return ((this.log.words[this.first[step]! * OP_WORDS + word]! >>> (actor & 31)) & 1) === 1;
  }

  /**
   * Whether the actor could probably have made this step. In front of a step that nobody was known to notice nobody
   * was asked, and its mask holds its own actor alone: then who could go when somebody was asked last, unless that one
   * has begun to wait for something since.
   */
  mightGo(step: number, actor: Actor): boolean {
    let asked = step;
    while (asked > 0 && !this.isVisible(asked) && this.actor[asked - 1] === this.actor[asked]) asked--;
    return this.couldGo(asked, actor);
  }

  /** The actor of the step before, if it could have made this one as well; -1 if it could not. */
  continuing(step: number): Actor {
    const before = step === 0 ? -1 : this.actor[step - 1]!;
    return this.couldGo(step, before) ? before : -1;
  }

  /** Whether a policy chose here: it is asked in front of what somebody sees, and when nobody goes on by himself. */
  isChoice(step: number): boolean {
    return this.isVisible(step) || this.continuing(step) < 0;
  }

  /** The schedule of the first `steps` steps, and then one of `actor`. */
  prefixTo(steps: number, actor: Actor): Segment[] {
    const segments: { actor: Actor; steps: number }[] = [];
    for (let step = 0; step <= steps; step++) {
      const who = step === steps ? actor : this.actor[step]!;
      const last = segments.at(-1);
      if (last?.actor === who) last.steps++;
      else segments.push({ actor: who, steps: 1 });
    }
    return segments;
  }
}
