// @ts-check
/**
 * Draws the table of rooms.mjs into docs/architecture.md, between two markers.
 *
 *   node scripts/graph.mjs            writes the picture
 *   node scripts/graph.mjs --check    fails when the picture in the page is not the table
 */
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { everyones, mayImport, outsiders } from './rooms.mjs';
import { report, rootArgument, textOf } from './sources.mjs';

/** @typedef {import('./sources.mjs').Fault} Fault */

const PAGE = 'docs/architecture.md';
const BEGIN = '<!-- rooms:begin (drawn by scripts/graph.mjs from scripts/rooms.mjs) -->';
const END = '<!-- rooms:end -->';

/** The picture: an arrow means "may import". */
export function picture() {
  const arrows = Object.entries(mayImport).flatMap(([room, others]) =>
    others.map((other) => `  ${room} --> ${other}`),
  );
  const lonely = Object.keys(mayImport).filter(
    (room) =>
      !everyones.includes(room) && !arrows.some((arrow) => arrow.trim().split(' --> ').includes(room)),
  );
  return [
    '```mermaid',
    'flowchart TD',
    ...arrows,
    ...lonely.map((room) => `  ${room}`),
    `  everyone([every room but ${outsiders.join(' and ')}]) -.-> trace`,
    '  trace --> base',
    '```',
  ].join('\n');
}

/**
 * The page as it is and as it should be.
 * @param {string} text
 * @returns {string | undefined} undefined when the page has no markers
 */
export function drawnInto(text) {
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  if (begin === -1 || end < begin) return undefined;
  return `${text.slice(0, begin)}${BEGIN}\n\n${picture()}\n\n${text.slice(end)}`;
}

/** @param {string} root @returns {{ looked: string, faults: Fault[] }} */
export function checkGraph(root) {
  if (!existsSync(path.join(root, PAGE))) return { looked: `${PAGE} is not there yet`, faults: [] };
  const text = textOf(root, PAGE);
  const drawn = drawnInto(text);
  if (drawn === text) return { looked: PAGE, faults: [] };
  const [rule, message] =
    drawn === undefined
      ? ['no-markers', `put '${BEGIN}' and '${END}' where the picture belongs.`]
      : ['stale-picture', 'the picture is not the table of scripts/rooms.mjs: run `npm run graph`.'];
  return { looked: PAGE, faults: [{ file: PAGE, line: 1, rule, message }] };
}

if (process.argv[1] === import.meta.filename) {
  const root = rootArgument(process.argv.slice(2));
  if (!process.argv.includes('--check') && existsSync(path.join(root, PAGE))) {
    const drawn = drawnInto(textOf(root, PAGE));
    if (drawn !== undefined) writeFileSync(path.join(root, PAGE), drawn);
  }
  const { looked, faults } = checkGraph(root);
  process.exitCode = report('graph', faults, looked);
}
