import { describe, expect, it } from 'vitest';
import { checkKernelMap } from '../../scripts/kernel-map.mjs';
import { checkWalkthrough, filled } from '../../scripts/walkthrough.mjs';
import { projectRoot } from '../support/planted.ts';

/** Machines and searches in turn, each a process: generous, for a busy host. */
const TIMEOUT_MS = 180_000;

describe('docs/walkthrough.md, the lessons and the README', () => {
  it(
    'show what the machines show today (node scripts/walkthrough.mjs)',
    async () => {
      expect(await checkWalkthrough(projectRoot, false)).toEqual([]);
    },
    TIMEOUT_MS,
  );

  it('an excerpt that is not current is noticed', () => {
    const page = '<!-- shown:begin a -->\n\n```text\nold\n```\n\n<!-- shown:end -->\n';
    expect(filled(page, { a: ['new'] })).toEqual({ page: page.replace('old', 'new'), wrong: [] });
    expect(filled(page, { a: ['old'] }).page).toBe(page);
  });

  it('a marker that nothing fills, and one without an end, are noticed', () => {
    expect(filled('<!-- shown:begin a -->\n<!-- shown:end -->\n', {}).wrong).toHaveLength(1);
    expect(filled('<!-- shown:begin a -->\n', { a: ['line'] }).wrong).toHaveLength(1);
  });
});

describe('docs/kernel-map.md', () => {
  it('says where each symbol is today (node scripts/kernel-map.mjs)', () => {
    expect(checkKernelMap(projectRoot)).toEqual([]);
  });
});
