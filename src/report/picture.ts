/** A run or a trace as a picture to look at: everything the page of `--view html` shows, from what the trace holds alone. */
import {
  At,
  EVENT_CLASSES,
  type Picture,
  type PictureDrawing,
  type PicturePair,
  type PictureRow,
  type RowKind,
} from '#page/data';
import { type InterleavingInput, type Item, interleavingItems } from './interleaving-items.ts';
import {
  type DecisiveOrder,
  Fold,
  type Row,
  interleavingRows,
  letter,
  marksOf,
  stepTold,
} from './interleaving-rows.ts';
import type { Finding, TraceModel } from './model.ts';
import { knownVector } from './names.ts';
import { findingLines } from './finding.ts';
import { PictureBuilder } from './picture-builder.ts';
import { type LoggedRun, addRun } from './picture-run.ts';
import { addTrace } from './picture-trace.ts';

/** Said at the head of the page, in pairs. */
export type PictureFacts = readonly (readonly [name: string, value: string])[];

export interface DecisivePair extends DecisiveOrder {
  /** What becomes of the failure with the two turned round. */
  readonly outcome: string;
}

export interface RunPictureInput {
  readonly run: LoggedRun;
  /** Undefined: nobody looked. */
  readonly decisive?: readonly DecisivePair[];
  /** What went wrong, the first first. */
  readonly findings: readonly Finding[];
  readonly title?: string;
  readonly facts: PictureFacts;
  /** What shows this again. */
  readonly command?: string;
}

/** Rows a reader looks at first, at most. */
const ROWS_SHOWN = 60;
/** Rows of a drawing that is worth its place in the page. */
const ROWS_MAX = 1_500;

/** A logged run: a finding, most of the time. */
export function runPicture(input: RunPictureInput): Picture {
  const { run, decisive, findings, facts, command } = input;
  const builder = new PictureBuilder(run.cpus);
  const eventOf = addRun(builder, run);
  // What is drawn names interrupts; the text has no room for it.
  const names = {
    symbol: (address: number) => run.names.symbol(address),
    variable: (address: number) => run.names.variable(address),
    vector: knownVector,
  };
  const items = interleavingItems({ ...run, names });
  const [finding] = findings;
  const parts = builder.finish();
  const place = (row: Row): number => placeOf(row, eventOf.get(row.step) ?? 0, parts);
  const drawings = drawingsOf(run, items, decisive ?? [], place);
  return {
    schema: 'smplab.picture/1',
    title: input.title ?? finding?.title ?? 'Nothing went wrong in this run',
    kind: finding?.kind ?? 'run',
    isBad: finding !== undefined,
    facts,
    ...(command === undefined ? {} : { command }),
    cpus: run.cpus,
    unit: 'step',
    ...parts,
    ...(decisive === undefined ? {} : { pairs: pairsOf(decisive, items, eventOf) }),
    drawings,
    drawing: firstShown(drawings),
    report: reportLines(findings),
  };
}

export interface TracePictureInput {
  readonly model: TraceModel;
  readonly title: string;
  readonly facts: PictureFacts;
  readonly command?: string;
}

/** A trace of a machine: a boot, or what a file holds. */
export function tracePicture({ model, title, facts, command }: TracePictureInput): Picture {
  const builder = new PictureBuilder(model.cpus);
  addTrace(builder, model);
  const findings = model.findings ?? [];
  const lost: PictureFacts = model.lost === 0 ? [] : [['events that did not fit', String(model.lost)]];
  return {
    schema: 'smplab.picture/1',
    title,
    kind: findings[0]?.kind ?? 'trace',
    isBad: findings.length > 0,
    facts: [...facts, ...lost],
    ...(command === undefined ? {} : { command }),
    cpus: model.cpus,
    unit: 'event',
    ...builder.finish(),
    drawings: [],
    drawing: 0,
    report: reportLines(findings),
  };
}

function reportLines(findings: readonly Finding[]): string[] {
  return findings.flatMap((finding, at) => [...(at === 0 ? [] : ['']), ...findingLines(finding)]);
}

function pairsOf(
  decisive: readonly DecisivePair[],
  items: readonly Item[],
  eventOf: ReadonlyMap<number, number>,
): PicturePair[] {
  return decisive.map(({ first, second, outcome }, number) => ({
    letter: letter(number),
    first: eventOf.get(first) ?? 0,
    second: eventOf.get(second) ?? 0,
    firstText: stepTold(items, first),
    secondText: stepTold(items, second),
    outcome,
  }));
}

/** The interleaving at every level of folding that differs from the one before. */
function drawingsOf(
  input: InterleavingInput,
  items: readonly Item[],
  decisive: readonly DecisiveOrder[],
  place: (row: Row) => number,
): PictureDrawing[] {
  const marks = marksOf(decisive);
  const drawings: PictureDrawing[] = [];
  for (let fold: number = Fold.NOTHING; fold < Fold.MIDDLE; fold++) {
    const rows = interleavingRows(input, items, marks, fold);
    if (rows.length > ROWS_MAX || rows.length === 0 || rows.length === drawings.at(-1)?.rows.length) continue;
    const cpus = [...new Set(rows.map(({ cpu }) => cpu))].toSorted((a, b) => a - b);
    drawings.push({ cpus, rows: rows.map((row) => pictureRow(row, place(row))) });
  }
  return drawings;
}

const CALL = EVENT_CLASSES.indexOf('call');

/** The event a row stands for: of a call where it begins, if the trace has that. */
function placeOf(row: Row, event: number, { events, strings }: Pick<Picture, 'events' | 'strings'>): number {
  if (row.item !== undefined) return event;
  for (let at = event; at >= 0; at--) {
    const found = events[at]!;
    if (found[At.CLASS] === CALL && found[At.CPU] === row.cpu && strings[found[At.TEXT]!] === row.text)
      return at;
  }
  return event;
}

function firstShown(drawings: readonly PictureDrawing[]): number {
  const fits = drawings.findIndex(({ rows }) => rows.length <= ROWS_SHOWN);
  return Math.max(0, fits < 0 ? drawings.length - 1 : fits);
}

const ROW_KINDS: Readonly<Partial<Record<Item['class'], RowKind>>> = {
  said: 'said',
  milestone: 'milestone',
  waiting: 'never',
  'irq-exit': 'irq',
};

function pictureRow({ cpu, indent, text, item, letters }: Row, event: number): PictureRow {
  let kind: RowKind = item === undefined ? 'call' : (ROW_KINDS[item.class] ?? 'operation');
  if (item === undefined && text.startsWith('... ')) kind = 'note';
  if (item === undefined && text.startsWith('<')) kind = 'irq';
  return { cpu, indent, text, event, kind, ...(letters === undefined ? {} : { letters }) };
}
