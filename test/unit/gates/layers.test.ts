import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import configuration from '../../../.dependency-cruiser.mjs';
import { drawnInto, picture } from '../../../scripts/graph.mjs';
import { checkLayers } from '../../../scripts/layers.mjs';
import {
  entryPoints,
  kernelRooms,
  mayImport,
  packageRooms,
  pureRooms,
  rawMemoryRooms,
} from '../../../scripts/rooms.mjs';
import { byFile, distinct, plantedHouse, plantedIn } from '../../support/planted.ts';

describe('gate layers', () => {
  it('finds every planted arrow, and nothing else', async () => {
    const { faults } = await checkLayers(plantedHouse('layers'));
    expect(byFile(faults)).toEqual(byFile(plantedIn('layers')));
  });

  it('has a fault planted for every rule', () => {
    const rules = configuration.forbidden?.map((rule) => rule.name) ?? [];
    expect(distinct(rules)).toEqual(distinct(plantedIn('layers').map(({ rule }) => rule)));
  });

  it('says of every rule what to do instead', () => {
    for (const rule of configuration.forbidden ?? []) expect(rule.comment, rule.name).toMatch(/Instead: \S/);
  });

  it('fails when it saw no module', async () => {
    const empty = mkdtempSync(path.join(tmpdir(), 'smplab-layers-'));
    try {
      mkdirSync(path.join(empty, 'src'));
      expect((await checkLayers(empty)).faults).toMatchObject([{ rule: 'saw-nothing' }]);
    } finally {
      rmSync(empty, { recursive: true });
    }
  });
});

describe('the table of rooms', () => {
  it('names only rooms that it lists', () => {
    const named = [
      ...Object.values(mayImport).flat(),
      ...Object.values(packageRooms).flat(),
      ...kernelRooms,
      ...pureRooms,
      ...rawMemoryRooms,
    ];
    expect(named.filter((room) => !(room in mayImport))).toEqual([]);
  });

  it('has no ring', () => {
    const below = (room: string, seen: readonly string[]): readonly string[] =>
      (mayImport[room] ?? []).flatMap((other) =>
        seen.includes(other) ? [[...seen, other].join(' -> ')] : below(other, [...seen, other]),
      );
    expect(Object.keys(mayImport).flatMap((room) => below(room, [room]))).toEqual([]);
  });

  it('starts from files in src', () => {
    expect(entryPoints.every((file) => /^src\/.+\.ts$/.test(file))).toBe(true);
  });
});

describe('gate graph', () => {
  const page = (between: string): string =>
    `# Page\n\n<!-- rooms:begin (drawn by scripts/graph.mjs from scripts/rooms.mjs) -->${between}<!-- rooms:end -->\n`;

  it('draws the table between the markers, and the same again the second time', () => {
    const drawn = drawnInto(page('old'));
    expect(drawn).toContain(picture());
    expect(drawnInto(drawn ?? '')).toBe(drawn);
  });

  it('shows a stale picture by being different, and a page without markers by answering nothing', () => {
    const text = page('\n\nold\n\n');
    expect(drawnInto(text)).not.toBe(text);
    expect(drawnInto('# Page\n')).toBeUndefined();
  });

  it('shows every room', () => {
    for (const room of Object.keys(mayImport)) expect(picture()).toMatch(new RegExp(`\\b${room}\\b`));
  });
});
