import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** The project, and the houses that are wrong on purpose (test/fixtures/walls/README.md). */
export const projectRoot = path.resolve(import.meta.dirname, '../..');

/** The house with the faults of one gate. */
export const plantedHouse = (gate: string): string => path.join(projectRoot, 'test/fixtures/walls', gate);

export interface Planted {
  readonly file: string;
  readonly line: number;
  readonly rule: string;
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)).replaceAll(path.sep, '/'));
}

/** Every `planted: rule rule` of a house: what its gate has to find. */
export function plantedIn(gate: string): Planted[] {
  const house = plantedHouse(gate);
  return filesBelow(house).flatMap((file) =>
    readFileSync(path.join(house, file), 'utf8')
      .split('\n')
      .flatMap((text, index) => {
        const rules = /\bplanted: ([\w/ -]+)/.exec(text)?.[1] ?? '';
        return rules
          .split(' ')
          .filter(Boolean)
          .map((rule) => ({ file, line: index + 1, rule }));
      }),
  );
}

/** One line a fault, sorted, so that a difference reads as a list of what was missed and what was too much. */
export const byLine = (faults: readonly Planted[]): string[] =>
  faults.map(({ file, line, rule }) => `${file}:${line} ${rule}`).toSorted();

/** The same without lines, for gates that speak of files. */
export const byFile = (faults: readonly Planted[]): string[] =>
  faults.map(({ file, rule }) => `${file} ${rule}`).toSorted();

/** The names that are there, each once, in order. */
export const distinct = (names: readonly (string | undefined)[]): string[] =>
  [...new Set(names.filter((name) => name !== undefined))].toSorted();
