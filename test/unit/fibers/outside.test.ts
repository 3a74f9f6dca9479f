/** What a scenario's functions may keep in the heap from one run to the next. */
import { mayKeepState } from '#fibers/outside';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

const HEAD = `
import { DEFINE, READ_ONCE, scenario, shared, spinlock_t } from 'smplab';
import { other, count } from './other.ts';
const x = shared('x');
const words = [shared('a'), shared('b')] as const;
const many = Array.from({ length: 3 }, (_, index) => shared('many' + index));
const lock = DEFINE('lock', spinlock_t);
const order = [2, 0, 1];
const table = [[1, 2], [3, 4]];
const seen = new Set();
let last = 0;
`;

describe('a scenario keeps state in the heap', () => {
  it.each([
    ['a variable of the file is written', 'function f() { last = x.value; }'],
    ['it is counted up', 'function f() { last++; }'],
    ['it is taken apart into', 'function f() { [last] = [1]; }'],
    ['an array of the file is pushed to', 'function f() { order.push(1); }'],
    ['an element of it is written', 'function f() { order[0] = 1; }'],
    ['an array within an array is had', 'function f() { const row = table[0]; row[0] = 7; }'],
    ['a set of the file is added to', 'function f() { seen.add(x.value); }'],
    ['it is handed to somebody', 'function f(g) { g(seen); }'],
    ['a closure counts for all runs', 'function make() { let n = 0; return () => { n += 1; }; }'],
    ['a closure pushes to what it is given', 'function make(to) { return () => { to.push(1); }; }'],
    ['something of another file is written', 'function f() { other.n = 1; }'],
    ['something global is written', 'function f() { globalThis.n = 1; }'],
    ['an object writes itself', 'class C { n = 0; add() { this.n += 1; } } function f() {}'],
  ])('where %s', (_what, code) => {
    expect(mayKeepState(HEAD + code)).toBe(true);
  });

  it.each([
    ['views of memory are written', 'function f() { x.value += 1; lock.owner_cpu = 2; }'],
    [
      'views in arrays are',
      'function f(i) { words[i].value = 1; many[0].value = READ_ONCE(many[1], "value"); }',
    ],
    [
      'lists are gone through',
      'function f() { for (const i of order) words[0].value = i; many.forEach((one) => { one.value = 1; }); }',
    ],
    [
      'variables of its own are written',
      'function f() { let n = 0; const seen = []; n++; seen.push(n); seen[0] = 1; }',
    ],
    ['other functions are called', 'function f() { count(1); g(); } function g() {}'],
    [
      'a list is compared with something',
      'function f(o) { const { n } = o; return () => n.next !== 0 && n > 1; }',
    ],
    ['types name things of other files', 'function f(a: other): typeof other | number { return 1; }'],
    ['the file itself fills a list', 'order.push(3); function f() { x.value = order.length; }'],
  ])('not where %s', (_what, code) => {
    expect(mayKeepState(HEAD + code)).toBe(false);
  });

  it('what other files export is what it is there', () => {
    const there = `
      import { shared } from 'smplab';
      export const x = shared('x'), LIMIT = 4, list = [1];
      const y = shared('y');
      export { y as z };
    `;
    const keeps = (code: string): boolean =>
      mayKeepState(code, (source) => (source === './there.ts' ? there : undefined));
    expect(keeps(`import { x, LIMIT, z } from './there.ts'; function f() { x.value = z.get(LIMIT); }`)).toBe(
      false,
    );
    expect(keeps(`import { list } from './there.ts'; function f() { list.push(1); }`)).toBe(true);
    expect(keeps(`import { x } from './elsewhere.ts'; function f() { x.value = 1; }`)).toBe(true);
  });

  it('none of the programs does, and of the hostile ones those that say so', () => {
    const keeping = (folder: string): string[] => {
      const names = readdirSync(folder).filter((name) => name.endsWith('.ts'));
      return names.filter((name) => mayKeepState(readFileSync(path.join(folder, name), 'utf8')));
    };
    expect(keeping('test/programs')).toEqual([]);
    expect(keeping('test/programs/hostile')).toEqual(
      expect.arrayContaining(['fills_the_heap.ts', 'remembers.ts']),
    );
  });
});
