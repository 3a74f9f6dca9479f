/**
 * What is known of waits: on which values of which words a wait's condition has held, or has not.
 *
 * A condition is code, and between runs nobody can evaluate it. But it is a function of what its actor has read before
 * and of the words it looks at. So each time one was looked at and the outcome is in a log, or in what a run says of
 * the actors it left waiting, that is a certificate: with these values in these words it holds, or does not, whatever
 * other words hold. A case without a certificate has to be tried, and is known from then on.
 */
interface Certificate {
  readonly words: readonly number[];
  readonly values: readonly number[];
  readonly holds: boolean;
}

/** Certificates kept for one wait: more states than a wait that can be searched exhaustively has. */
const CERTIFICATES_MAX = 4096;

export class WaitMemory {
  private readonly known = new Map<number, Certificate[]>();

  learn(wait: number, words: readonly number[], values: readonly number[], holds: boolean): void {
    if (values.some(Number.isNaN)) return;
    let list = this.known.get(wait);
    if (list === undefined) this.known.set(wait, (list = []));
    if (list.length < CERTIFICATES_MAX && !list.some((one) => isSame(one, words, values)))
      list.push({ words, values, holds });
  }

  /** Whether anything is known of the wait. */
  knows(wait: number): boolean {
    return this.known.has(wait);
  }

  /** Whether the wait's condition holds where a word has the value that `valueOf` says; undefined: not known. */
  judge(wait: number, valueOf: (word: number) => number): boolean | undefined {
    return this.known
      .get(wait)
      ?.find(({ words, values }) => words.every((word, at) => valueOf(word) === values[at]))?.holds;
  }

  /** Every word that the wait's condition was ever seen to look at, beside those. */
  wordsOf(wait: number, words: readonly number[]): readonly number[] {
    const list = this.known.get(wait);
    return list === undefined ? words : [...new Set([...words, ...list.flatMap((one) => one.words)])];
  }
}

function isSame(one: Certificate, words: readonly number[], values: readonly number[]): boolean {
  return (
    one.words.length === words.length &&
    one.words.every((word, at) => word === words[at] && one.values[at] === values[at])
  );
}
