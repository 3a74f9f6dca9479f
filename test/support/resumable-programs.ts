/**
 * Random programs for the tests of fibers/pass.ts, in the language of resumable-model.ts: two to four functions that call
 * each other, a class, an interrupt. A list of numbers decides everything, and where it ends the simplest is taken: so that
 * fast-check makes a program smaller by making the list shorter.
 */
import { type Arbitrary, array, nat } from 'fast-check';

const DEPTH_MAX = 4;
const OPERATORS = '+ - * & | ^ << >> >>> % < > === !== <= =='.split(' ');
const ASSIGNMENTS = '= += -= *= |= &= ^= <<= ||= &&= ??='.split(' ');

class Writer {
  readonly #numbers: readonly number[];
  #at = 0;
  readonly #functions: number;
  /** Names of variables that can be assigned to. */
  #locals: string[] = [];
  #declared = 0;
  #loops = 0;

  constructor(numbers: readonly number[]) {
    this.#numbers = numbers;
    this.#functions = 2 + this.#below(3);
  }

  program(): string {
    const functions = Array.from({ length: this.#functions }, (_, index) => this.#function(index));
    return [
      ...functions,
      `const o = { n: 2, v: a, m(p, q = a.x) { spend(); ${this.#scope(['p', 'q'], 2)} return this.n + p; },
        f: (p) => { spend(); ${this.#scope(['p'], 1)} return p; } };`,
      `class K { n = 1; #h(p) { spend(); ${this.#scope(['p'], 1)} return p + this.n; }
        m(p) { spend(); this.n += p; ${this.#scope(['p'], 2)} return this.#h(this.n); } }`,
      'const k = new K();',
      `function irq() { a.z ^= b.x; ${this.#scope([], 2)} c.z++; }`,
      `function main() { a.x; ${this.#scope([], 6)} return f0(a.x, b.x); }`,
    ].join('\n');
  }

  #below(limit: number): number {
    const number = this.#numbers[this.#at++] ?? 0;
    return number % limit;
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#below(list.length)]!;
  }

  #function(index: number): string {
    const shape = this.#pick(['p, q', 'p, q = b.y', 'p, ...[q = 2]', 'p, q = p + a.z']);
    const body = `spend(); ${this.#scope(['p', 'q'], 5)} return ${this.#scoped(['p', 'q'], () => this.#value(2))};`;
    return this.#below(2) === 0
      ? `function f${index}(${shape}) { ${body} }`
      : `const f${index} = (${shape}) => { ${body} };`;
  }

  #scoped<T>(names: readonly string[], work: () => T): T {
    const outer = this.#locals;
    const loops = this.#loops;
    this.#locals = [...names];
    this.#loops = 0;
    const result = work();
    this.#locals = outer;
    this.#loops = loops;
    return result;
  }

  /** The statements of a function that has these parameters. */
  #scope(names: readonly string[], length: number): string {
    return this.#scoped(names, () => this.#statements(length, DEPTH_MAX - 1));
  }

  /** A block's: what it declares ends with it. */
  #statements(length: number, depth: number): string {
    const before = this.#locals;
    this.#locals = [...before];
    const result = Array.from({ length: this.#below(length + 1) }, () => this.#statement(depth)).join(' ');
    this.#locals = before;
    return result;
  }

  #block(depth: number): string {
    return `{ ${this.#statements(3, depth - 1)} }`;
  }

  #new(): string {
    return `l${this.#declared++}`;
  }

  #statement(depth: number): string {
    if (depth <= 0) return `${this.#value(1)};`;
    switch (this.#below(20)) {
      case 0:
      case 1:
      case 2:
        return `${this.#value(depth)};`;
      case 3:
      case 4:
        return this.#declaration(depth);
      case 5:
        return `if (${this.#value(depth - 1)}) ${this.#block(depth)}`;
      case 6:
        return `if (${this.#value(depth - 1)}) ${this.#block(depth)} else ${this.#block(depth)}`;
      case 7:
        return this.#loop(`while (${this.#value(depth - 1)})`, depth);
      case 8: {
        const body = this.#loop('do', depth);
        return `${body} while (${this.#value(depth - 1)});`;
      }
      case 9: {
        const name = this.#new();
        const begin = this.#value(depth - 1);
        return this.#loop(
          `for (let ${name} = ${begin} & 1; ${name} < ${this.#value(1)} % 5; ${name}++)`,
          depth,
          name,
        );
      }
      case 10: {
        const name = this.#new();
        const [pattern, list] = this.#pick([
          [name, `[${this.#value(depth - 1)}, ${this.#value(1)}]`],
          [`{ x: ${name} }`, '[a, b, c]'],
          [`[${name}, { y }]`, `[[${this.#value(depth - 1)}, a], [2, b]]`],
          [`{ z: ${name} = ${this.#value(1)}, next }`, '[a, c, { next: 1 }]'],
        ] as const);
        return this.#loop(`for (const ${pattern} of ${list})`, depth, name);
      }
      case 11:
        return `try ${this.#block(depth)} catch (error) { log(error.name); ${this.#statements(2, depth - 1)} }`;
      case 12:
        return `try ${this.#block(depth)} finally ${this.#block(depth)}`;
      case 13:
        return `try ${this.#block(depth)} catch { ${this.#statements(1, depth - 1)} } finally ${this.#block(depth)}`;
      case 14:
        return `switch (${this.#value(depth - 1)}) { case ${this.#value(1)}: { ${this.#statements(2, depth - 1)} } ${this.#pick(['', 'break;'])} default: { ${this.#statements(2, depth - 1)} } case ${this.#value(1)}: { ${this.#statements(1, depth - 1)} } }`;
      case 15:
        return this.#below(3) === 0
          ? `throw new RangeError('t' + ${this.#value(1)});`
          : `${this.#value(depth)};`;
      case 16:
        return this.#below(3) === 0 ? `return ${this.#value(depth - 1)};` : this.#block(depth);
      case 17:
        return this.#loops === 0 ? `${this.#value(depth)};` : this.#pick(['break;', 'continue;']);
      case 18: {
        const name = this.#new();
        const parameter = this.#new();
        const inside = this.#locals;
        const loops = this.#loops;
        this.#locals = [...inside, parameter];
        this.#loops = 0;
        const body =
          this.#below(2) === 0
            ? this.#value(depth - 1)
            : `{ ${this.#statements(2, depth - 1)} return ${this.#value(1)}; }`;
        this.#locals = inside;
        this.#loops = loops;
        const shape = body.startsWith('{') ? body : `(${body})`;
        return `const ${name} = (${parameter} = ${this.#value(1)}) => ${shape}; ${name}(); ${name}(${this.#value(1)});`;
      }
      default:
        return `waitUntil(() => a.y > ${this.#below(5)});`;
    }
  }

  #declaration(depth: number): string {
    const name = this.#new();
    const value = this.#value(depth - 1);
    const text = this.#pick([
      `let ${name} = ${value};`,
      `let { x: ${name} } = ${this.#view()};`,
      `let { missing: ${name} = ${value}, next: { y: ${name}y } } = a;`,
      `let [${name}, { z: ${name}z = 1 } = b] = [${value}, c];`,
    ]);
    this.#locals.push(name);
    return text;
  }

  #loop(head: string, depth: number, name?: string): string {
    const outer = this.#locals;
    this.#locals = name === undefined || !head.includes('let') ? [...outer] : [...outer, name];
    this.#loops++;
    const body = this.#statements(3, depth - 1);
    this.#loops--;
    this.#locals = outer;
    return `${head} { spend(); ${body} }`;
  }

  #view(): string {
    return this.#pick(['a', 'b', 'c', 'a.next', 'b.next', 'o.v']);
  }

  #field(depth: number): string {
    const name = this.#pick(['x', 'y', 'z', 'length']);
    switch (this.#below(8)) {
      case 0:
        return `${this.#view()}[['x', 'y', 'z'][(${this.#value(depth - 1)}) & 1]]`;
      case 1:
        return `slots[(${this.#value(depth - 1)}) & 3]`;
      case 2:
        return `slots[${this.#below(4)}]`;
      case 3:
        return `${this.#pick(['o', 'k'])}.n`;
      default:
        return `${this.#view()}.${name}`;
    }
  }

  #place(depth: number): string {
    return this.#locals.length > 0 && this.#below(2) === 0 ? this.#pick(this.#locals) : this.#field(depth);
  }

  /** An expression, in parentheses where it needs them. */
  #value(depth: number): string {
    if (depth <= 0) return this.#leaf();
    const part = (): string => this.#value(depth - 1);
    switch (this.#below(30)) {
      case 0:
      case 1:
        return this.#leaf();
      case 2:
      case 3:
      case 4:
        return this.#field(depth);
      case 5:
      case 6:
      case 7:
        return `(${part()} ${this.#pick(OPERATORS)} ${part()})`;
      case 8:
        return `(${part()} ${this.#pick(['&&', '||', '??'])} ${part()})`;
      case 9:
        return `(${part()} ? ${part()} : ${part()})`;
      case 10:
      case 11:
      case 12:
        return `(${this.#place(depth)} ${this.#pick(ASSIGNMENTS)} ${part()})`;
      case 13:
      case 14: {
        const place = this.#place(depth);
        const operator = this.#pick(['++', '--']);
        return this.#below(2) === 0 ? `(${operator}${place})` : `(${place}${operator})`;
      }
      case 15:
        return `(${this.#pick(['-', '!', '~', '+', 'typeof ', 'void '])}${part()})`;
      case 16:
      case 17:
        return `f${this.#below(this.#functions)}(${part()}, ${part()})`;
      case 18:
        return `f${this.#below(this.#functions)}(...[${part()}, ${part()}])`;
      case 19:
        return `${this.#pick(['o.m', 'k.m', 'o.f', 'o?.m', 'o.f?.', 'k?.m?.', "o['m']", 'o.none?.'])}(${part()})`;
      case 20:
        return this.#pick([
          `poke(${this.#view()}, ${part()})`,
          `${this.#view()}.bump(${part()})`,
          `log(${part()})`,
        ]);
      case 21:
        return this.#pick([
          'a?.x',
          'c.next?.x',
          'a.next?.next?.next?.x',
          `c.next?.[${part()}]`,
          `nothing?.(${part()})`,
          `b.next?.bump?.(${part()})`,
          `(c.next?.y ?? ${part()})`,
          'c.next.x',
        ]);
      case 22:
        return `[${part()}, ${part()}].${this.#pick([
          `map((e) => e + ${part()}).length`,
          `reduce((e, g) => e * 2 + g + ${part()})`,
          `some((e) => e > ${part()})`,
          `findIndex((e) => e === ${part()})`,
          `filter((e) => ${part()}).length`,
        ])}`;
      case 23:
        return `[a, b].${this.#pick(['map(({ x, y }) => x - y).length', 'every((v) => v.x++ < 5)', 'forEach((v) => { v.z--; })', 'findLast(({ x }) => x > 2)?.y'])}`;
      case 24:
        return `(${part()}, ${part()})`;
      case 25:
        return `\`\${${part()}}\${${part()}}\`.length`;
      case 26: {
        const place = this.#place(1);
        return this.#pick([
          `([${place}, ${this.#place(1)}] = [${part()}, ${part()}]).length`,
          `(({ x: ${place}, y: ${this.#place(1)} = ${part()} } = ${this.#view()}), ${part()})`,
          `([{ z: ${place} }, ${this.#place(1)} = ${part()}] = [${this.#view()}]).length`,
        ]);
      }
      case 27:
        return `((p) => p + ${part()})(${part()})`;
      case 28:
        return this.#pick([
          `f0.call(o, ${part()})`,
          `f1.apply(null, [${part()}, ${part()}])`,
          `f0.bind(null, ${part()})(${part()})`,
        ]);
      default:
        return `(function g(n) { spend(); return n < 1 ? ${part()} : g(n - 1) + a.x; })(${part()} & 1)`;
    }
  }

  #leaf(): string {
    const locals = this.#locals.length === 0 ? ['1'] : this.#locals;
    return this.#pick(['1', 'a.x', this.#pick(locals), 'b.x', 'c.y', '0', '3', 'a.y', 'b.z', 'undefined']);
  }
}

export const programs: Arbitrary<string> = array(nat({ max: 839 }), { minLength: 60, maxLength: 600 }).map(
  (numbers) => new Writer(numbers).program(),
);
