import { describe, expect, it } from 'vitest';
import { settleConstants } from '../../../scripts/constants.mjs';

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
