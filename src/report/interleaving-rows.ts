/** Which rows an interleaving has: what is folded away, from the whole run down to what decides. */
import { cpuOf } from '#base/strategy';
import type { ColumnRow } from './columns.ts';
import { type Frame, type InterleavingInput, type Item, contestedWords } from './interleaving-items.ts';

/** Two steps whose order decides: with it turned round, the failure goes. */
export interface DecisiveOrder {
  /** Number of a step. */
  readonly first: number;
  /** Number of a later step, or the index of a step in `waiting` or `unreached`. */
  readonly second: number;
}

/** CPUs' comings and goings, the last ones before the end, that stay when nearly all else is folded. */
const LANDMARKS = 12;

/** Calls from the outside in that are always said. */
const OUTERMOST = 2;

/** How much is folded away, from nothing to all but what decides. */
export const Fold = { NOTHING: 0, REPEATS: 1, CALLS: 2, BYSTANDERS: 3, UNDECISIVE: 4, MIDDLE: 5 } as const;

export interface Row extends ColumnRow {
  readonly cpu: number;
  /** The step it is about, or stands in front of. */
  readonly step: number;
  readonly item: Item | undefined;
  readonly decisive: boolean;
  /** Of the pairs that it is in. */
  readonly letters?: string;
}

/** Letters of the pairs each step is in, by the number of the step. */
export function marksOf(pairs: readonly DecisiveOrder[]): ReadonlyMap<number, string> {
  const marks = new Map<number, string>();
  for (const [pair, { first, second }] of pairs.entries()) {
    for (const step of [first, second]) {
      const before = marks.get(step);
      marks.set(step, before === undefined ? letter(pair) : `${before},${letter(pair)}`);
    }
  }
  return marks;
}

/** a .. z, then aa .. */
export function letter(number: number): string {
  const last = String.fromCodePoint(97 + (number % 26));
  return number < 26 ? last : letter(Math.floor(number / 26) - 1) + last;
}

/** The rows of a run, folded so far. */
export function interleavingRows(
  input: InterleavingInput,
  items: readonly Item[],
  marks: ReadonlyMap<number, string>,
  fold: number,
): readonly Row[] {
  return withoutRepeats(rowsOf(selected(input, items, marks, fold), marks, fold), fold);
}

/** The items that matter at a level of folding. */
function selected(
  { steps, waiting = [], unreached = [] }: InterleavingInput,
  items: readonly Item[],
  marks: ReadonlyMap<number, string>,
  fold: number,
): readonly Item[] {
  const isMarked = ({ class: kind, step }: Item): boolean => marks.has(step) && isOperation(kind);
  const contested = contestedWords([...steps, ...waiting, ...unreached]);
  const decided = new Set(items.filter(isMarked).flatMap(({ words }) => words));
  const words =
    fold >= Fold.BYSTANDERS && decided.size > 0
      ? decided
      : fold >= Fold.UNDECISIVE
        ? lastContested(items, contested)
        : contested;
  const landmarks = new Set(items.filter((item) => item.class === 'milestone').slice(-LANDMARKS));
  const hasInterrupts = items.some(({ class: kind }) => kind === 'irq-entry');
  const inner = items.filter((item) => {
    if (isMarked(item) || item.class === 'waiting') return true;
    // What the kernel says of itself, and CPUs that come and go, tell where in a long run this is.
    if (item.class === 'said' || item.class === 'milestone') return fold < Fold.MIDDLE || landmarks.has(item);
    if (fold >= Fold.UNDECISIVE && decided.size > 0) return false;
    if (item.class === 'access' || item.class === 'wait')
      return contested.size === 0 || item.words.some((word) => words.has(word));
    if (item.class === 'fence') return fold < Fold.BYSTANDERS;
    return item.class === 'flag' && hasInterrupts && fold < Fold.REPEATS;
  });
  const kept = new Set(inner);
  const interrupted = new Set(inner.flatMap(({ path }) => path.filter(({ interrupt }) => interrupt)));
  const inInterrupt = inner.filter(({ path }) => path.some(({ interrupt }) => interrupt));
  const targets = new Set(inInterrupt.map(({ actor }) => cpuOf(actor)));
  // An interrupt is drawn as a whole if anything in it is; who raised it belongs to it.
  return items.filter(
    (item) =>
      kept.has(item) ||
      (item.class === 'irq-exit' && item.path.some((frame) => interrupted.has(frame))) ||
      (item.class === 'ipi' && fold < Fold.UNDECISIVE && targets.has(item.target ?? -1)),
  );
}

/** Where no single pair decides, what the run came to is told best by what was fought over last. */
function lastContested(items: readonly Item[], contested: ReadonlySet<number>): ReadonlySet<number> {
  const last = items.findLast(
    ({ class: kind, words }) => kind === 'access' && words.some((word) => contested.has(word)),
  );
  return new Set(last?.words.filter((word) => contested.has(word)) ?? []);
}

export function isOperation(kind: Item['class']): boolean {
  return kind !== 'said' && kind !== 'milestone' && kind !== 'irq-exit';
}

/** Calls that are said: with much to say, only those in which something happens itself. */
function framesOf(shown: readonly Item[], fold: number): (path: readonly Frame[]) => readonly Frame[] {
  if (fold < Fold.CALLS) return (path) => path;
  const busy = new Set(shown.map(({ path }) => path.at(-1)));
  // The outermost two say what the flow is about: the scenario's own function, and what it called.
  return (path) => path.filter((frame, depth) => depth < OUTERMOST || frame.interrupt || busy.has(frame));
}

function rowsOf(shown: readonly Item[], marks: ReadonlyMap<number, string>, fold: number): Row[] {
  const rows: Row[] = [];
  const frames = framesOf(shown, fold);
  const said = new Map<number, readonly Frame[]>();
  for (const item of shown) {
    const cpu = cpuOf(item.actor);
    const path = frames(item.path);
    const before = said.get(item.actor) ?? [];
    let common = 0;
    while (common < path.length && path[common] === before[common]) common++;
    const letters = isOperation(item.class) ? marks.get(item.step) : undefined;
    const mark = letters === undefined ? {} : { mark: ` <-${letters}` };
    const shared = { cpu, column: 0, step: item.step, decisive: letters !== undefined };
    const told = letters === undefined ? {} : { letters };
    for (const [at, frame] of path.entries()) {
      if (at < common) continue;
      const own = item.text === '' && at === path.length - 1 ? { ...mark, ...told } : {};
      rows.push({
        ...shared,
        decisive: 'mark' in own,
        indent: at * 2,
        text: frame.text,
        item: undefined,
        ...own,
      });
    }
    const depth = item.class === 'irq-exit' ? path.length - 1 : path.length;
    if (item.text !== '')
      rows.push({ ...shared, indent: Math.max(0, depth) * 2, text: item.text, item, ...mark, ...told });
    said.set(item.actor, item.class === 'irq-exit' ? [] : path);
  }
  return rows;
}

/** Rounds of a loop longer than this are no rounds to a reader. */
const PERIOD_MAX = 6;

/** What one CPU does over and over without anybody else is drawn once, with how often. */
function withoutRepeats(rows: readonly Row[], fold: number): readonly Row[] {
  if (fold < Fold.REPEATS) return rows;
  const kept: Row[] = [];
  for (let at = 0; at < rows.length;) {
    const { period, rounds } = roundsFrom(rows, at);
    kept.push(...rows.slice(at, at + period));
    const times = rounds - 1;
    const { cpu, indent, step } = rows[at]!;
    const text = `... ${times} times more`;
    if (times > 0) kept.push({ cpu, step, column: 0, indent, text, item: undefined, decisive: false });
    at += period * rounds;
  }
  return kept;
}

/** The period that from here on repeats over the most rows; worth a line of its own if it saves two. */
function roundsFrom(rows: readonly Row[], at: number): { period: number; rounds: number } {
  let best = { period: 1, rounds: 1 };
  let saved = 1;
  for (let period = 1; period <= PERIOD_MAX; period++) {
    let end = at + period;
    while (end < rows.length && isAgain(rows[end - period]!, rows[end]!)) end++;
    const cpu = rows[at]!.cpu;
    if (rows.slice(at, at + period).some((row) => row.cpu !== cpu || row.decisive)) break;
    const rounds = Math.floor((end - at) / period);
    if ((rounds - 1) * period - 1 > saved) {
      saved = (rounds - 1) * period - 1;
      best = { period, rounds };
    }
  }
  return best;
}

function isAgain(before: Row, row: Row): boolean {
  return before.cpu === row.cpu && before.indent === row.indent && before.text === row.text && !row.decisive;
}

/** The last resort: the beginning and the end, and everything that decides between them as far as there is room. */
export function withoutMiddle(rows: readonly Row[], space: number): readonly Row[] {
  if (rows.length <= space) return rows;
  const head = Math.max(1, Math.floor((space - 1) / 3));
  const tail = Math.max(1, space - 1 - head);
  const left = rows.length - head - tail;
  const { cpu, step } = rows[head]!;
  const gap: Row = {
    cpu,
    step,
    column: 0,
    indent: 0,
    text: `... (${left} lines)`,
    item: undefined,
    decisive: false,
  };
  return [...rows.slice(0, head), gap, ...rows.slice(-tail)];
}

/** What a step says, with its CPU. */
export function stepTold(items: readonly Item[], step: number): string {
  const item = items.find(({ step: of, class: kind }) => of === step && isOperation(kind));
  if (item === undefined) return `step ${step}`;
  return `CPU ${cpuOf(item.actor)} ${item.text === '' ? (item.path.at(-1)?.text ?? '') : item.text}`;
}
