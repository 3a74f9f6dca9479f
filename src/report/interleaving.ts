/**
 * A run as kernel commit messages draw it: a column for each CPU, time downwards, and of all that happened only what
 * matters: operations on memory that two flows fought over, the calls they happen in, interrupts, what the kernel said.
 *
 *     CPU 0                              CPU 1
 *     -----                              -----
 *     increment()
 *       reads counter: 0  <-a
 *                                        increment()
 *                                          counter = 1 (was 0)  <-a
 *
 * What does not fit is folded, step by step, from what says least.
 */
import { columnLines } from './columns.ts';
import { type InterleavingInput, type Item, interleavingItems } from './interleaving-items.ts';
import {
  type DecisiveOrder,
  Fold,
  type Row,
  interleavingRows,
  letter,
  marksOf,
  stepTold,
  withoutMiddle,
} from './interleaving-rows.ts';
import { type Paint, plain } from './paint.ts';

export type { InterleavingInput, InterleavingNames } from './interleaving-items.ts';
export type { DecisiveOrder } from './interleaving-rows.ts';

export interface InterleavingOptions {
  /** Empty: it was looked for, and no single pair decides. */
  readonly decisive?: readonly DecisiveOrder[];
  /** What the run came to, at the end. */
  readonly finding?: { readonly title: string; readonly detail?: string };
  /** Characters of a line. Default 100. */
  readonly width?: number;
  /** Lines of the whole. Default 40. */
  readonly linesMax?: number;
  readonly paint?: Paint;
}

const WIDTH_DEFAULT = 100;
const LINES_DEFAULT = 40;

/** The diagram, its legend and the finding. A run in which nothing was contested is drawn whole. */
export function interleaving(input: InterleavingInput, options: InterleavingOptions = {}): string[] {
  const items = interleavingItems(input);
  const linesMax = options.linesMax ?? LINES_DEFAULT;
  let lines: string[] = [];
  for (let fold: number = Fold.NOTHING; fold <= Fold.MIDDLE; fold++) {
    lines = drawn(input, items, options, fold);
    if (lines.length <= linesMax) break;
  }
  return lines;
}

function drawn(
  input: InterleavingInput,
  items: readonly Item[],
  options: InterleavingOptions,
  fold: number,
): string[] {
  const marks = marksOf(options.decisive ?? []);
  const rows = interleavingRows(input, items, marks, fold);
  const cpus = [...new Set(rows.map(({ cpu }) => cpu))].toSorted((a, b) => a - b);
  const tail = [...legend(items, options, fold), ...verdict(options)];
  const space = (options.linesMax ?? LINES_DEFAULT) - tail.length - 2;
  const kept = fold < Fold.MIDDLE ? rows : withoutMiddle(rows, space);
  const paint = options.paint ?? plain;
  const columns = columnLines(
    cpus.map((cpu) => `CPU ${cpu}`),
    kept.map((row) => ({ ...row, column: cpus.indexOf(row.cpu) })),
    options.width ?? WIDTH_DEFAULT,
    (row, text) => painted(row as Row, text, paint),
  );
  return [...(rows.length === 0 ? [] : columns), ...tail];
}

function painted({ cpu, item, decisive }: Row, text: string, paint: Paint): string {
  if (decisive) return paint.strong(paint.cpu(cpu, text));
  if (item?.class === 'said') return paint.good(text);
  return item?.class === 'waiting' ? paint.bad(text) : paint.cpu(cpu, text);
}

/** More pairs than this are better looked for in the columns. */
const PAIRS_SAID_MAX = 6;

function legend(items: readonly Item[], options: InterleavingOptions, fold: number): string[] {
  const { decisive: pairs, paint = plain, width = WIDTH_DEFAULT } = options;
  if (pairs === undefined) return [];
  if (pairs.length === 0) return ['', paint.faint('(whichever one pair is turned round, it fails)')];
  const head = '<- decides: turn one pair round, and the failure goes';
  if (pairs.length > PAIRS_SAID_MAX || fold >= Fold.UNDECISIVE) return ['', paint.faint(head)];
  const lines = pairs.map(
    ({ first, second }, pair) =>
      `  ${letter(pair)}  ${stepTold(items, first)}, before ${stepTold(items, second)}`,
  );
  const cut = lines.map((line) => (line.length <= width ? line : `${line.slice(0, width - 3)}...`));
  return ['', paint.faint(head), ...cut.map((line) => paint.faint(line))];
}

/** Titles that say themselves what they are: `BUG: KCSAN: ...`, `WARNING: ...`, `Kernel panic - ...`. */
const SPEAKS_FOR_ITSELF = /^(BUG|WARNING|INFO|Oops|general protection|[Kk]ernel )/;

function verdict({ finding, paint = plain, width = WIDTH_DEFAULT }: InterleavingOptions): string[] {
  if (finding === undefined) return [];
  const { title } = finding;
  const line = SPEAKS_FOR_ITSELF.test(title) ? title : `BUG: ${title}`;
  return ['', paint.bad(line.length <= width ? line : `${line.slice(0, width - 3)}...`)];
}
