import { describe, expect, it } from 'vitest';
import { array, assert, asyncProperty, constantFrom, property } from 'fast-check';
import { PassError, type PassOptions, makeResumable, twinsIn } from '#fibers/pass';
import { Choice, Program, STRICT } from '../../support/resumable-model.ts';
import { programs } from '../../support/resumable-programs.ts';
import { corpus } from './corpus.ts';

const choices = array(constantFrom(Choice.GO, Choice.PARK, Choice.INTERRUPT), {
  minLength: 1,
  maxLength: 40,
});

const isLong = process.env['SMPLAB_LONG'] !== undefined;

describe('compiled functions', () => {
  it.each(Object.entries(corpus))('behave as they stand: %s', async (_about, source) => {
    const program = await Program.make(source);
    assert(
      property(choices, (schedule) => {
        const plain = program.runPlain(schedule);
        expect(program.runPlainForm(schedule)).toEqual(plain);
        expect(program.runResumable(schedule)).toEqual(plain);
      }),
      {
        numRuns: 20,
        examples: [[[Choice.GO]], [[Choice.PARK]], [[Choice.INTERRUPT]], [[Choice.GO, Choice.PARK]]],
      },
    );
  });
});

describe('generated programs', () => {
  it('behave as they stand', async () => {
    await assert(
      asyncProperty(programs, choices, async (source, schedule) => {
        const program = await Program.make(source);
        const plain = program.runPlain(schedule);
        expect(program.runPlainForm(schedule)).toEqual(plain);
        expect(program.runResumable(schedule)).toEqual(plain);
        expect(program.runResumable([Choice.PARK])).toEqual(program.runPlain([Choice.PARK]));
        expect(program.runResumable([Choice.INTERRUPT, Choice.GO])).toEqual(
          program.runPlain([Choice.INTERRUPT, Choice.GO]),
        );
      }),
      { numRuns: Number(process.env['PASS_PROGRAMS'] ?? (isLong ? 1_000 : 80)) },
    );
  });
});

describe('a call of what is no function', () => {
  it.each([
    'const f = undefined; f();',
    'const o = {}; o.missing(1);',
    'const o = { p: {} }; o.p.missing();',
    'const l = [1]; l[0]();',
    'const l = {}, i = "k"; l[i]();',
    'const o = {}; o["k"]();',
    'const f = () => 4; f()();',
    'new (class { m() { this.n(); } })().m();',
    'const f = { n: 3 }; f(a.x);',
  ])('says so as it stands, and names what was called: %s', async (body) => {
    const source = `function main() { try { ${body} } catch (error) { return [error.name, error.message, a.x]; } }`;
    const program = await Program.make(source);
    expect(program.runResumable([Choice.PARK])).toEqual(program.runPlain([Choice.PARK]));
  });
});

/** What is refused, the line it is on, and words of the sentence that says so. */
const refused: Readonly<Record<string, readonly [source: string, line: number, words: RegExp]>> = {
  'an async function': ['\nasync function f() { await a.x; }', 2, /async function cannot be suspended/],
  'an async arrow': ['const g = 1;\n\nconst f = async () => a.x;', 3, /async function/],
  'an async method': ['class K {\n  async m() { a.x; }\n}', 2, /async function/],
  'a generator function': ['\n\nfunction* f() { yield a.x; }', 3, /generator function/],
  'a generator method of an object': ['const o = {\n  *m() { yield a.x; } };', 2, /generator function/],
  'a getter of an object': ['const o = {\n  get x() { return a.x; } };', 2, /getter or setter/],
  'a setter of a class': ['class K {\n\n  set x(v) { a.x = v; } }', 3, /getter or setter/],
  'a static getter': ['class K {\n  static get x() { return a.x; } }', 2, /getter or setter/],
  'a private getter': ['class K {\n  get #x() { return a.x; } }', 2, /getter or setter/],
  'a tagged template': ['function f() {\n  return log`${a.x}`;\n}', 2, /tagged template/],
  'for await': [
    'function f() { return async () => { for await (const x of [a]) x; }; }',
    1,
    /async function/,
  ],
  'the rest of a structure': [
    'function f() {\n  const { x, ...rest } = a; return rest; }',
    2,
    /rest of a structure/,
  ],
  'the rest of a structure, assigned': [
    'let r;\nfunction f() {\n  ({ x: a.y, ...r } = b); }',
    3,
    /rest of a structure/,
  ],
  'the rest of a structure, as a parameter': ['\nconst f = ({ x, ...rest }) => x;', 2, /rest of a structure/],
  'super in an arrow function': [
    'class K extends Object {\n  m() {\n    return () => super.m(a.x) + b.x; } }',
    3,
    /super in an arrow/,
  ],
  'super in a method of an object': ['const o = {\n  m() { return super.m(a.x) + b.x; } };', 2, /super/],
  'arguments in an arrow function': [
    'function f() {\n  return (() => arguments[0].x + a.x)(); }',
    2,
    /arguments in an arrow/,
  ],
  'a function declared in a case': [
    'function f(n) {\n  switch (n) { case 1:\n    function g() { return a.x + b.x; } } }',
    3,
    /put the case into braces/,
  ],
  'a method with a computed name': [
    'const k = "m";\nclass K {\n  [k]() { return a.x + b.x; } }',
    3,
    /name is computed/,
  ],
  'an iterator of its own': [
    'const o = {\n  [Symbol.iterator]() { return { x: a.x + b.x }; } };',
    2,
    /language itself calls/,
  ],
  'a toString that looks at memory': [
    'class K {\n  toString() { return a.x + b.x; } }',
    2,
    /language itself calls/,
  ],
  using: ['function f() {\n  using lock = a.take(); lock.x; }', 2, /write try and finally/],
  'a comparison for sort': [
    'function f(list) {\n  return list.sort(\n    (p, q) => p.x - q.x); }',
    3,
    /sort\(\) calls/,
  ],
  'a function for replace': [
    'function f(s) {\n  return s.replace(/x/, () => a.x + b.x); }',
    2,
    /replace\(\) calls/,
  ],
  'a private method of somebody else as a value': [
    'class K {\n  #m() { return a.x + b.x; }\n  n(k) { return [a].map(k.#m); } }',
    3,
    /private method of something other than this/,
  ],
};

describe('what cannot be compiled', () => {
  it.each(Object.entries(refused))('is refused with its line: %s', async (_about, [source, line, words]) => {
    const refusal = await makeResumable(source, STRICT).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(PassError);
    expect(refusal).toMatchObject({ line, message: expect.stringMatching(words) as string });
  });

  it('a constructor that has to wait says so', async () => {
    const program = await Program.make(
      'class K { constructor(v) { v.x = 7; } }\nfunction main() { const k = new K(a); return [k, b.x]; }',
    );
    expect(program.runResumable([Choice.GO])).toEqual(program.runPlain([Choice.GO]));
    expect(program.runResumable([Choice.PARK]).end).toMatch(
      /^throws Error: a constructor used shared memory/,
    );
  });
});

/** As our own code is compiled. */
const OWN: PassOptions = {
  file: 'own.ts',
  runtime: { resumable: '#base/resumable', callbacks: '#base/callbacks' },
};
const TAKES_TWO_STEPS = 'export function twice(v) { v.x = 1; return v.x; }';
const LOOKS_NOWHERE = 'export function nowhere(v) { return v + 1; }';

/** The calls of a function in the twins of code that imports `twice` and `nowhere`, without the names of temporaries. */
async function twinOfMain(body: string, hasTwin?: PassOptions['hasTwin']): Promise<string> {
  const code = `import { twice, nowhere } from '#smp/lib';\nexport function main(v) { ${body} }`;
  const made = await makeResumable(code, hasTwin === undefined ? OWN : { ...OWN, hasTwin });
  const start = made.indexOf('function*');
  return made.slice(start, made.indexOf('export function main', start)).replaceAll(/\s+/g, ' ');
}

describe('a call in our own code', () => {
  const known = new Map([...twinsIn(TAKES_TWO_STEPS, OWN), ...twinsIn(LOOKS_NOWHERE, OWN)]);
  const hasTwin = (module: string, name: string): boolean | undefined =>
    module === '#smp/lib' ? known.get(name) : undefined;

  it('of what has a twin in another module has no second way', async () => {
    expect(known).toEqual(
      new Map([
        ['twice', true],
        ['nowhere', false],
      ]),
    );
    expect(await twinOfMain('twice(v);')).toContain('typeof');
    const twin = await twinOfMain('twice(v);', hasTwin);
    expect(twin).toContain('(0, twice.$)(v)');
    expect(twin).not.toContain('typeof');
  });

  it('of what has no twin asks for none', async () => {
    const twin = await twinOfMain('nowhere(v.x);', hasTwin);
    expect(twin).toContain('nowhere(');
    expect(twin).not.toContain('nowhere.$');
    expect(twin).not.toContain('?.$');
    expect(await twinOfMain('nowhere(v.x);')).toContain('?.$');
  });

  it('of a name that also means something else is not taken for the function', async () => {
    const code = 'const call = (twice) => twice(v); return call(v.x);';
    expect(await twinOfMain(code, hasTwin)).not.toContain('(0, twice.$)');
    const parameter =
      'export function once(v) { v.x = 1; return v.x; }\nexport function main(once) { once(1); }';
    expect(await makeResumable(parameter, OWN)).not.toContain('(0, once.$)');
  });

  it('of a method that is no operation stays one of its object', async () => {
    expect(await twinOfMain('v.list.push(v.x); v.y;')).toMatch(/\.list, [^;]*\)\.push\(/);
  });

  it('of such a method is refused where there is one that would have to wait', async () => {
    const code = '\nclass K { push(v) { v.x = 1; return v.x; } }';
    const refusal = await makeResumable(code, OWN).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(PassError);
    expect(refusal).toMatchObject({ line: 2, message: expect.stringContaining('push()') as string });
  });

  it('of a place in memory is no reason for a twin, whoever asks', async () => {
    const code =
      "import { addressOf } from '#memory/struct';\nexport function place(v) { return addressOf(v, 'x'); }";
    expect(twinsIn(code, OWN).get('place')).toBe(false);
    expect(await makeResumable(code, OWN)).not.toContain('place.$');
  });
});
