import { describe, expect, it } from 'vitest';
import { inlineTables, settleConstants } from '../../../scripts/constants.mjs';

describe('settleConstants: what a bundle never writes again is a const', () => {
  it('keeps every line as long as it was', () => {
    const code = 'var A = 1;\nvar b = {\n  C: 2\n};\nvar D = class {\n};\n';
    expect(settleConstants(code)).toBe('const A=1;\nconst b={\n  C: 2\n};\nconst D=class {\n};\n');
  });

  it.each([
    'a = 2;',
    '  a += 1;',
    'a ??= f();',
    'a++;',
    '--a;',
    'for (a of list) {}',
    'for (a in table) {}',
    '[a, c] = pair;',
    '({ a, c } = pair);',
    '({ c: a } = pair);',
    'f(c, [a] = pair);',
  ])('leaves a var that is written again: %s', (write) => {
    expect(settleConstants(`var a = 1;\n${write}\n`)).toBe(`var a = 1;\n${write}\n`);
  });

  it.each([
    'x.a = 2;',
    'if (a === 2) f(a);',
    'b[a] = 3;',
    'const g = (a) => a;',
    '  let a = 3;',
    '  const { a, c } = pair;',
    'this.#a = 2;',
    'f({ a: 2 });',
  ])('is not misled by what is no write of it: %s', (other) => {
    expect(settleConstants(`var a = 1;\n${other}\n`)).toBe(`const a=1;\n${other}\n`);
  });
});

describe('inlineTables: a number stands where code looked it up', () => {
  const TABLE = 'const Word={\n  /** so it is */\n  ONE: 1,\n  TWO: 22\n};\n';

  it('takes away a table that nobody asks any more, and keeps every column', () => {
    expect(inlineTables(`${TABLE}f(Word.ONE, Word.TWO);\n`)).toBe(
      `${TABLE.replaceAll(/[^\n]/g, ' ')}f(1       , 22      );\n`,
    );
  });

  it.each([
    ['of which all are wanted', 'f(Object.values(Word), Word.ONE);', 'f(Object.values(Word), 1       );'],
    ['that a text asks', 'f(`${Word.ONE}`, Word.TWO);', 'f(`${Word.ONE}`, 22      );'],
  ])('leaves a table %s', (_what, before, after) => {
    expect(inlineTables(`${TABLE}${before}\n`)).toBe(`${TABLE}${after}\n`);
  });

  it.each([
    ['a name of a block of its own', 'function g(Word) { return Word.ONE; }'],
    ['somebody else gets the table', 'f(Word);'],
    ['a name that only the run knows', 'f(Word[name], Word.ONE);'],
    ['a number is written', 'Word.ONE = 3;'],
    ['a name that is not in it', 'f(Word.ONE, Word.THREE);'],
  ])('leaves everything where there is %s', (_what, other) => {
    expect(inlineTables(`${TABLE}${other}\n`)).toBe(`${TABLE}${other}\n`);
  });

  it.each(['"Word.ONE"', '// Word.ONE', 'f(a.Word.ONE);', 'f(Words.ONE);'])(
    'is not misled by %s',
    (other) => {
      const inlined = inlineTables(`${TABLE}${other}\n`);
      expect(inlined.split('\n').at(-2)).toBe(other);
    },
  );
});
