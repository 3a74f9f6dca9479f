/** The operation log of a model machine: grows as long as the run does. */
import type { Actor } from '#base/strategy';
import { OP_WORDS, OpFlag, OpWord, type OperationLog, opHead } from '#trace/operations';

const RECORDS_FIRST = 256;

export class ModelLog implements OperationLog {
  words = new Int32Array(RECORDS_FIRST * OP_WORDS);
  records = 0;
  /** Who could have made the step that is being made, and whether it is a choice point. */
  enabledLow = 0;
  enabledHigh = 0;
  visible = 0;
  /** What stands for the function that makes it. */
  site = 0;

  /** The first record of a step. */
  step(
    type: number,
    kind: number,
    flags: number,
    actor: Actor,
    address: number,
    size: number,
    read: number,
    written: number,
  ): void {
    const at = this.append(opHead(type, kind, flags | this.visible, actor), address, size, read, written);
    this.words[at + OpWord.ENABLED_LOW] = this.enabledLow;
    this.words[at + OpWord.ENABLED_HIGH] = this.enabledHigh;
  }

  /** A further record of the same step. */
  more(
    type: number,
    kind: number,
    flags: number,
    actor: Actor,
    address: number,
    size: number,
    read: number,
    written: number,
  ): void {
    const head = opHead(type, kind, flags | OpFlag.CONTINUES, actor);
    const at = this.append(head, address, size, read, written);
    this.words[at + OpWord.ENABLED_LOW] = 0;
    this.words[at + OpWord.ENABLED_HIGH] = 0;
  }

  private append(head: number, address: number, size: number, read: number, written: number): number {
    const at = this.records * OP_WORDS;
    if (at === this.words.length) {
      const larger = new Int32Array(this.words.length * 2);
      larger.set(this.words);
      this.words = larger;
    }
    const { words } = this;
    words[at + OpWord.HEAD] = head;
    words[at + OpWord.ADDRESS] = address;
    words[at + OpWord.SIZE] = size;
    words[at + OpWord.READ] = read;
    words[at + OpWord.WRITTEN] = written;
    words[at + OpWord.SITE] = this.site;
    this.records++;
    return at;
  }
}
