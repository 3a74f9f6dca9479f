/**
 * Kernel-shaped functions, one for every construct that compiled code may hold: what each is about, and its source. `main`
 * is what runs; `irq`, where there is one, is what interrupts it.
 */
export const corpus: Readonly<Record<string, string>> = {
  'a field read and written': `function main() { const before = a.x; a.x = before + 1; return a.x; }`,
  'arithmetic on fields': `function main() { return a.x * 2 + b.x - (c.x << a.y) / b.y; }`,
  'short circuits': `
    const yes = (v) => { v.z++; return true; };
    const no = (v) => { v.z--; return false; };
    function main() {
      const r = [a.x && b.x, c.y || b.y, c.next ?? a.x, no(a) && yes(b), yes(a) || no(b), !no(c) && !yes(c)];
      return [...r, c.y && log('never'), a.x || log('never')];
    }`,
  'conditional expressions': `function main() { return a.x > b.x ? c.x : b.y > 3 ? (a.z ? a.y : 0) : c.z; }`,
  'compound assignments': `
    function main() {
      a.x += b.x; a.y -= c.x; a.z *= 2; b.x /= 4; b.y %= 4; b.z **= 2; c.x <<= 3; c.y |= 6; c.z &= 0xff;
      c.x >>= 1; c.z >>>= 1; c.y ^= 3;
      return (a.x += a.x) + (a.x -= b.x = 3);
    }`,
  'compound assignment: the old value is read before the right side runs': `
    const both_ways = () => { a.x = 100; l = 7; return 1; };
    let l = 2;
    function main() { a.x += both_ways(); l += both_ways() + a.x; return [a.x, l]; }`,
  'compound assignment: object, key, value, each once': `
    const at = (v, n) => { log(n, v.x); return v; };
    const key = (k) => { log(k, a.z); return k; };
    function main() { at(a, 1)[key('y')] += at(b, 2)[key('z')]; at(a, 3)[key('x')]++; at(b, 4).y = at(c, 5).x; return a.y; }`,
  'logical assignments': `
    function main() {
      c.y ||= b.x; c.next ??= 4; a.x &&= a.y; a.x ||= log(1, b.x); c.z &&= log(2, b.z); a.y ??= log(3);
      let l; l ??= a.x; l &&= b.x; let m = 0; m ||= c.x;
      const o = { p: 0, q: null };
      o.p ||= a.x; o.q ??= b.y; o.p &&= c.z;
      return [l, m, o, (a.z ||= 9), (c.y &&= 8)];
    }`,
  increments: `
    function main() {
      const r = [a.x++, ++a.x, b.y--, --b.y, slots[1]++, ++slots[2]];
      let i = 0; slots[i++]++; slots[++i]--;
      const o = { n: a.x }; o.n++; --o.n;
      return [r, i, o.n++, +slots[i++], i];
    }`,
  'big integers': `
    function main() {
      a.w++; --b.w; a.w += 5n; b.w <<= 2n; c.w = -(c.w ** 3n);
      const old = c.w++;
      return [old, a.w--, ++b.w, a.w === 5n, typeof a.w, BigInt(a.x) + BigInt.asUintN(8, b.w)];
    }`,
  'nested calls in arguments': `
    const add = (p, q) => { a.x += p; return p + q + a.x; };
    function main() { return add(add(a.x, b.x), add(add(c.x, a.x++), a.bump(add(1, 2)))); }`,
  'plain functions that are one operation': `
    function main() { return [poke(a, 3), poke(b, poke(a, b.x)), a.bump(a.bump(1)), b['bump'](2)]; }`,
  'one-operation functions of its own': `
    const read = () => a.x;
    const read_of = (v) => v.y;
    function set(v) { v.z = 3; }
    const test_bit = (v, bit) => (v.x & bit) !== 0;
    function main() { set(b); return [read(), read_of(b), test_bit(a, 1), test_bit(c, 2), a.next.next.x]; }`,
  comma: `function main() { let l; const r = (a.x++, l = b.x, log(l), c.x); for (let i = 0, j = a.y; i < j; i++, j -= a.z) l += i; return (r, l); }`,
  'template literals': 'function main() { return `${a.x}-${b.x++}-${`${c.x}${(a.x = 4)}`}-${a.x}`; }',
  'typeof, void, delete': `
    function main() {
      const o = { p: 1, q: { r: a.x, s: 2 }, t: { u: 1 } };
      const r = [typeof a.x, typeof a.next, typeof not_declared, void a.x, delete o.p, delete o.q.r, delete o[['t'][a.z - 8]], delete o?.q?.s, delete nothing?.x];
      return [r, o, typeof a.x === 'number' ? b.x : 0, !a.x, -b.x, ~c.x, +a.y, 'x' in o, o instanceof Object];
    }`,
  'objects and arrays': `
    function main() { return { p: a.x, [b.y]: b.x, ['k' + c.x]: [a.x, , ...[b.x, c.x], a.y], ...{ q: a.z }, nested: { r: b.z } }; }`,
  'sequences of if': `
    function main() {
      if (a.x) { if (b.x > 5) return 1; else if (c.x === 5) a.y = 4; else a.y = 5; } else return 3;
      if (!c.next) log('end');
      return a.y;
    }`,
  'while with a condition on a view': `function main() { let n = 0; while (a.x < 6) { a.x++; n += b.x; } do { n--; } while (--a.x > 2 && n > 0); return n; }`,
  'for with everything on views': `function main() { let n = 0; for (a.y = 0; a.y < 3; a.y++) { if (a.y === 1) continue; n += a.y; } for (;;) { if (c.x-- < 2) break; } return n; }`,
  'labelled loops': `
    function main() {
      let n = 0;
      outer: for (let i = 0; i < 4; i++) {
        inner: for (let j = 0; ; j++) {
          if (j > a.y) continue outer;
          if (i * j === b.x * 2) break outer;
          if (j === i) continue inner;
          n += a.x;
        }
      }
      block: { if (a.x) break block; n = 0; }
      return n;
    }`,
  'walking a list': `function main() { let n = 0; for (let v = a; v !== null; v = v.next) n += v.x; let w = a; while ((w = w.next)) n += w.y; return n; }`,
  'for of': `
    function main() {
      let n = 0;
      for (const v of [a, b, c]) n += v.x;
      for (const v of [a.next, b.next]) v.z++;
      for (let { x, y } of [a, b]) { x += y; n += x; }
      for (const [v, { x: [p] }] of [[a, { x: [1] }], [b, { x: [2] }]]) n += v.x * p;
      for (const { x, next: { y, z = 2 } } of [a, b]) n += x + y + z;
      for (const [{ x }, k = b.x] of [[a], [b, 3]]) n += x * k;
      for (var q of [a.x, b.x]) n += q;
      let r; for (r of [a, b]) n += r.x;
      return [n, q, r];
    }`,
  'for of and for in that write to fields': `
    function main() {
      for (a.x of [4, 5]) log(a.x);
      for (slots[a.x - 5] of [1, b.x]) log(slots[0]);
      for ({ x: b.x, y: a.y } of [c, { x: 1, y: 2 }]) log(b.x, a.y);
      for ([a.x, { x: a.z }] of [[3, c], [4, b]]) log(a.x, a.z);
      let k, s = ''; for (k in { p: 1, q: 2 }) s += k; for (const m in { n: a.x }) s += m;
      const o = {}; for (o.key in { last: 1 }) s += o.key;
      return s;
    }`,
  destructuring: `
    function main() {
      const { x, y: q, z = log('never'), w: big } = a;
      const { x: x2 = 3, next: { next: { x: x3, missing = b.x } } } = a;
      let { [['x', 'y'][a.x]]: computed, 'z': literal, 0: first = 9 } = b;
      const [m, , n = c.x, ...rest] = [a.x, b.x, undefined, b.y, c.z];
      const [{ x: p }, [{ y: s = 4 }], { t } = { t: b.z }] = [c, [b]];
      var { y: v } = c, u = v;
      for (let { x: i } = a; i < 4; i++) u += i;
      return [x, q, z, big, x2, x3, missing, computed, literal, first, m, n, rest, p, s, t, v, u];
    }`,
  'destructuring assignments': `
    function main() {
      let l, m, rest;
      ({ x: l, y: m = 4 } = a);
      [a.x, b.x] = [b.x, a.x];
      [slots[0], slots[1], ...rest] = [slots[1], slots[0], a.y, b.y];
      ({ x: b.y, next: { z: b.z }, missing: a.z = log(3, c.x) } = a);
      [l, [m = a.x] = [], { x: a.y }] = [m, [], c];
      const got = ({ x: l } = b) === b;
      const o = {}; [o.p, o['q'], this_one().r] = [a.x, b.x, c.x];
      function this_one() { log(a.x); return o; }
      return [l, m, rest, got, o, ([l, m] = [m, l]), (({ z: l, w: m } = c), l)];
    }`,
  'destructuring null': `function main() { const { x } = c.next; return x; }`,
  'default and destructured parameters': `
    function f(p, q = a.x, { x, y: r = p } = b, [s, { z } = c] = [1], ...rest) { return [p, q, x, r, s, z, rest, a.x]; }
    const g = (p = a.x, q = p + b.x) => p + q;
    const h = ({ x, y }) => x + y;
    const i = ({ x }) => x;
    const j = (v, w = v.x) => w;
    const k = (...[v, { y }]) => v.x + y;
    const l = ([{ x, next: { y = 1 } }], m = () => x + y) => m();
    function main() { return [f(1), f(a.y, undefined, c, [2, a], 3, b.x), g(), g(1), g(undefined, a.x++), h(a), i(b), j(a), j(a, 2), k(a, b), l([a])]; }`,
  'rest and spread': `
    const f = (...v) => { let n = 0; for (const one of v) n += one.x; return n + v.length; };
    function main() { const list = [a, b]; return [f(), f(...list), f(c, ...list, ...[a.next]), Math.max(...[a.x, b.x]), f.length]; }`,
  switch: `
    const choose = (n) => {
      switch (n) {
        case a.x: return 'a';
        case b.x: case c.x++: { log('b or c'); }
        default: a.y++; break;
        case a.bump(1) + 5: return 'late';
      }
      return a.y;
    };
    function main() { return [choose(1), choose(2), choose(5), choose(99), choose(a.x), choose(7), choose(8)]; }`,
  'switch with closures and declarations': `
    function main() {
      switch (a.x) { case 0: return 0; case 1: { const n = b.x; function f() { return n + c.x + c.y; } return f() + (() => n + a.y + a.x)(); } }
    }`,
  'try, catch, finally': `
    const f = (n) => {
      a.z = n;
      try { a.x++; if (n === 1) throw new Error('one' + a.x); if (n === 2) return b.x; b.y--; }
      catch (error) { c.y += 10; if (c.y > 25) throw error; return error.message + a.x; }
      finally { c.x++; if (n === 3) return 'finally' + a.x; }
      return a.z + c.x;
    };
    function main() { const r = []; for (const n of [0, 1, 2, 3, 1]) r.push(f(n)); try { f(1); } catch ({ message }) { r.push(message); } finally { r.push(c.x); } return r; }`,
  'exceptions through suspended calls': `
    const deep = (n) => { a.x++; if (n === 0) throw new TypeError('deep ' + a.x); try { deep(n - 1); } finally { b.x += n; } a.y = 99; };
    function main() { try { deep(3); } catch (error) { return [error.name, error.message, b.x, a.y]; } }`,
  'exceptions nobody catches': `const f = () => { a.x++; throw new RangeError('at ' + a.x); }; function main() { try { f(); } finally { b.x = 4; } }`,
  'breaking out of finally': `
    function main() { let n = 0; for (;;) { try { n += a.x; if (n > 2) return n; } finally { a.x++; if (a.x < 5) continue; break; } } return [n, a.x]; }`,
  faults: `
    const f = (v) => { v.x++; const r = v.bad; v.y = 99; return r; };
    function main() { try { return f(a); } catch (error) { log(error.message); b.bad = 3; } finally { c.x = 1; a.x--; } }`,
  interrupts: `
    function irq() { a.y += 10; b.x += b.y; }
    function main() { const l = a.y; a.x = l + b.x; const m = a.y; return [l, m, a.x++, b.x]; }`,
  'exceptions through interrupts': `
    function irq() { a.z++; try { if (a.z % 3 === 0) throw new Error('from the interrupt'); } finally { b.z = a.z; } }
    const f = (n) => { try { a.x += n; b.x += a.x; } catch (error) { log(error.message); c.x = n; throw new TypeError('again'); } finally { c.z += 1; } return c.x; };
    function main() { const r = []; for (let i = 0; i < 5; i++) try { r.push(f(i)); } catch (error) { r.push(error.name); } return r; }`,
  recursion: `
    function ack(m, n) { spend(); a.y++; return m === 0 ? n + 1 : n === 0 ? ack(m - 1, a.x) : ack(m - 1, ack(m, n - 1)); }
    const even = (n) => n === 0 ? a.x === 1 : odd(n - 1), odd = (n) => (b.x++, n !== 0 && even(n - 1));
    const fib = function self(n) { return n < 2 ? n + a.x - a.x : self(n - 1) + self(n - 2); };
    function main() { return [ack(2, 2), even(5), fib(6)]; }`,
  'closures given to wait-until': `
    function main() { waitUntil(() => a.y > 5); const l = a.y; waitUntil(() => a.y > l + b.x && a.x === 1); waitUntil(function () { return a.y >= 3; }); const done = () => a.y > 1 && b.x > 1; waitUntil(done); return a.y; }`,
  closures: `
    const counter = (v) => { let n = v.x; return { up: () => (n += v.x), down() { n -= v.y; return n; }, get_it: function () { return n + v.x - v.x; } }; };
    function main() { const k = counter(b), m = counter(a); k.up(); m.up(); m.down(); return [k.up(), k.down(), m.up(), k.get_it(), (() => { const { x } = c; return () => x + a.x + a.y; })()()]; }`,
  'closures in loops keep their own variables': `
    function main() {
      const list = [];
      for (let i = a.x; i < 4; i++) { list.push(() => i * 10 + a.x); if (i === 2) i += 0; }
      for (const v of [a, b]) list.push(() => v.x++);
      for (const { x } of [a, b]) list.push(() => x + a.y);
      let n = 0; while (n < 2) { const m = n++; list.push(() => m + b.x); }
      for (let i = 0, f = () => i + a.x + b.x; i < 1; i++) list.push(f);
      return list.map((f) => f());
    }`,
  'functions of this': `
    const o = {
      n: 4,
      m(v) { this.n += v.x; return this.inner(() => this.n + v.x + v.y); },
      inner(f) { return f() + [1, 2].map((k) => this.n * k + a.x).length; },
      f: function () { return [this.n, a.x, b.x]; },
      arrow: () => typeof a.x + b.x,
      ['comp' + 1](v = this.n + a.x) { return v; },
      'quoted name'() { return this.n + a.x + b.x; },
      5() { return this.n - a.x - a.y; },
    };
    function whose() { a.x++; return this === undefined ? 'nobody' : typeof this; }
    function outer() { const f = (p = this.n + a.x) => p + b.x; return f() + (() => () => this.n + a.x + b.y)()(); }
    function main() { const { f } = { f: whose }; return [o.m(a), o.f(), o.arrow(), o.comp1(), o['quoted name'](), o[5](), (o.m)(b), whose(), f(), (0, o.m === undefined ? 1 : whose)(), outer.call({ n: 5 })]; }`,
  'call, apply and bind': `
    function f(p, q = b.y) { this.n += a.x; a.x++; return [this.n, p, q]; }
    const read = (p) => p + a.x + b.x;
    function main() { const o = { n: 1 }, g = f.bind(o, 7), call = { call: (n) => a.x + n + b.x, apply: 4 }; return [f.call(o, 1), f.apply(o, [2, 3]), f.apply(o), g(), g(8), read.call(null, 1), read.apply(undefined, [2]), read.bind(null)(3), call.call(2), log.call(null, 1), Math.max.apply(null, [a.x, b.x]), f?.call(o, 5)]; }`,
  classes: `
    class Base {
      count = 0;
      static made = 0;
      #secret = 5;
      constructor(v) { this.v = v; Base.made++; }
      bump(by = this.v.x) { this.count += by; this.v.x = this.count; return this.#hidden(by, ...[1]) + this.both(); }
      #hidden(by, k) { this.#secret += this.v.y * k; return this.#secret + by; }
      both() { return this.v.x + this.v.y; }
      static of(v) { const made = new this(v); made.v.z++; return made.#secret + this.#more(v); }
      static #more(v) { return v.x + v.y; }
      later() { return [1, 2].map((n) => this.#hidden(n, this.v.x)); }
      pass() { return [1, 2].map(this.#twice); }
      #twice(n) { return n * a.x + b.x; }
      'quoted'() { return this.v.x + this.v.z; }
      arrow = () => this.v.x + this.v.y + this.count;
    }
    class Derived extends Base { both() { return this.v.x * 100 + this.v.z; } own() { const { bump } = this; return bump.call(this, 2); } }
    function main() { const k = new Base(a), d = new Derived(b); return [k.bump(), d.bump(2), d.bump(), Base.of(c), Derived.of(a), k.later(), Base.made, d.both(), d.own(), k.pass(), k.quoted(), k.arrow(), d?.both(), d.missing?.()]; }`,
  'methods of super': `
    class Base { constructor(v) { this.v = v; } m(k = 1) { this.v.x += k; return this.v.x; } static s(v) { return v.x + v.y; } name = 'base'; get_it() { return this.v.y; } }
    class Derived extends Base {
      m(k) { const r = super.m(k) + this.v.y; return r + super.m(...[1]) + super.get_it(); }
      static s(v) { return super.s(v) * 2; }
      n() { return super['m']() + typeof super.missing; }
    }
    function main() { const d = new Derived(a); return [d.m(4), Derived.s(b), d.n()]; }`,
  'optional chaining': `
    const o = { v: a, f: (n = 3) => a.x + n + b.x, list: [a, b], deep: { g() { return this.n + a.x + b.x; }, n: 5 }, get_f() { a.z++; return this.f; } };
    function main() {
      let i = 0;
      return [
        a?.x, a.next?.x, a?.next?.next?.x, c.next?.x, c.next?.x.y.z, c.next?.[log('never')], nothing?.x[a.x++], nothing?.(a.x++), nothing?.f(a.x++),
        o.f?.(), o.f?.(a.x), o.none?.(a.x++), o?.f(1), o?.none?.(), o.none?.x.y(a.x++), o.deep?.g(), o?.deep.g(), o.deep.g?.(), o?.['deep']?.['g']?.(), (o?.deep.g)(), (o.deep?.g)(),
        o.list?.[i++]?.x, o.list[i++]?.y, o.list?.[i++]?.z, i, o.get_f?.()?.(4), o[(i++, 'f')]?.(), i, o.list[i++ - 4]?.bump(2), i,
        o.v?.next.bump?.(1), a.next?.next.next?.next.x, (a?.next).x, (c.next?.next)?.x, o?.list.map?.((v) => v.x), o.v?.x + (o.v?.y ?? 1), typeof nothing?.x, nothing?.x?.y ?? b.x,
        c.next?.bump(a.x++), ((nothing)?.x, 1), o.deep?.n ? a?.y : 0, \`\${o?.v?.x}\`, [nothing]?.[0]?.x,
      ];
    }`,
  'optional calls of a computed name evaluate it once': `
    const o = { p: { q: (n) => n + a.x + b.x } };
    const key = (k) => { log(k); a.y++; return k; };
    function main() { return [o[key('p')][key('q')]?.(1), o?.[key('p')]?.[key('q')](2), o[key('none')]?.[key('never')](3), o.p[key('nope')]?.(key('never')), a.y]; }`,
  'null and undefined where a field is read or a function called': `
    const tries = [
      () => c.next.x + a.x, () => nothing.x, () => { c.next.x = a.x + b.x; }, () => { nothing[a.x]++; }, () => nothing(), () => a.x + nothing(a.x++), () => a.x.f(b.x), () => a.missing(b.x), () => null.f(a.x++),
      () => { const { x } = nothing; return x + a.x; }, () => c.next?.x.y + nothing.z, () => new (class { constructor() { null.x; } })(), () => a.next.next.next.next,
    ];
    function main() { return tries.map((f) => { try { return f(); } catch (error) { return [error instanceof TypeError, a.x]; } }); }`,
  'array methods that call back': `
    function main() {
      const list = [a, b, c];
      return [
        list.map((v) => v.x), list.map((v, i, all) => v.x + i + all.length), list.filter((v) => v.x > 1 && v.y < 9).length,
        list.some((v) => v.x === 2), list.every((v) => v.x++ < 5), list.find((v) => v.y === 9), list.findIndex((v) => v.y === 0), list.findLast((v) => v.x > 1), list.findLastIndex((v) => v.x === 99),
        list.reduce((n, v) => n + v.x, 0), list.reduce((p, q) => (p.x > q.x ? p : q)), list.reduceRight((n, v) => n * 2 + v.x, a.x), list.flatMap((v) => [v.x, [v.y]]), list.flatMap((v) => v.z),
        list.forEach((v, i) => { v.z = i; }), list.map(({ x, y = 2 }) => x + y), list.map(function () { return this.n + a.x + b.x; }, { n: 3 }),
        [3, 1, 2].sort((p, q) => p - q), [3, 1, 10].sort(), 'abc'.replace('b', () => 'x'),
        Array.from([a, b], (v, i) => v.x + i), Array.from({ length: 2 }, (_, i) => i + a.x + b.x), Array.from([a.x, b.x]), Array.from('ab'),
        [].reduce((n) => n, a.x), (() => { try { return [].reduce((n) => n + a.x); } catch (error) { return error.message; } })(), list.indexOf(b), list.concat([a.x]).includes(c), list.slice(a.x).length, list.at(-1).x, list.entries().next().value,
      ];
    }`,
  'methods called as array methods are': `
    const o = { map(f) { return f(a) + f(b); }, find: (n) => a.x + n + b.x, sort() { return this.map((v) => v.x + v.y); } };
    function main() { return [o.map((v) => v.x + 1), o.find(3), o.sort(), o?.map?.((v) => v.y)]; }`,
  'maps and sets': `
    function main() {
      const m = new Map([[a, 1], [b, 2]]), s = new Set([a, b]), r = [];
      m.forEach((n, v) => { r.push(v.x + n + v.y); });
      s.forEach((v) => { r.push(v.x + v.y); });
      for (const [v, n] of m) r.push(v.x * n);
      for (const { x } of s) r.push(x);
      new Uint8Array([1, 2]).forEach((n) => { r.push(n + a.x + b.x); });
      return [r, [...m.keys()].map((v) => v.z), m.get(a), s.has(c), Object.entries({ p: a.x }).map(([k, n]) => k + n + b.x)];
    }`,
  'functions in all their places': `
    const table = { add: (p, q) => p + q + a.x, 'sub': function (p, q) { return p - q - a.x; }, f };
    function f(n) { return n > 0 ? f(n - 1) + a.x : b.x + g(); function g() { return c.x + a.y; } }
    let l; l = (n) => n + a.x + b.x;
    const pick = a === b ? null : (n) => n * a.x + b.x, later = [(n) => n + a.x + b.x];
    const wrap = (inner) => (n) => inner(n) + a.x;
    function main() {
      { function in_block(n) { a.x++; return n + a.x; } l = in_block; }
      const call = (inner, ...rest) => inner(...rest) + b.x;
      return [table.add(1, 2), table.sub(4, 1), table.f(2), l(3), pick(2), later[0](4), wrap(wrap(f))(1), call(f, 2), call((n) => n + a.x + a.y, 1), (function () { return a.x + b.x; })(), (() => a.x + b.y)(), ((v) => { v.x++; return v.x; })(a)];
    }`,
  'names of functions': `
    const arrow = () => a.x + b.x; const o = { prop: () => a.x + b.x, meth() { return a.x + b.x; }, fn: function inner() { return a.x + b.x; }, 'str': () => a.x + b.x };
    function decl() { return a.x + b.x; } let l; l = function () { return a.x + b.x; }; const { d = () => a.x + b.x } = {}; let m; m ??= () => a.x + b.x;
    class K { meth() { return a.x + b.x; } static s() { return a.x + b.x; } field = () => a.x + b.x; #p() { return a.x + b.x; } p() { return this.#p.name; } }
    const with_default = (f = () => a.x + b.x) => f.name;
    function main() { const in_main = () => a.x + b.x; const { x, e = () => a.x + b.x } = {}; const k = new K(); return [arrow.name, o.prop.name, o.meth.name, o.fn.name, o.str.name, decl.name, l.name, d.name, m.name, in_main.name, e.name, k.meth.name, K.s.name, k.field.name, k.p(), with_default(), (() => a.x + b.x).name, [() => a.x + b.x][0].name, arrow.length, decl.length, ((p, q) => p.x + q.x).length, a.x]; }`,
  'names that the pass itself knows': `
    const look = (f) => f() + a.x, unseen = (f) => [f(), f()], o = { waitUntil: (f) => f() * 2 + a.x };
    const parseInt = (v) => { v.x++; return v.x; }, String = { of: (v) => { v.y++; return v.y; } };
    function assert(ok) { a.z++; b.z++; return ok; }
    const V = a, bus = { load32: () => { a.x++; return a.x; }, get_it: (v) => v };
    const short = () => bus.load32(1);
    function main() { const bus = b; const two = () => bus.x + bus.y; const constant = { X: 1 }; return [look(() => a.x + a.y), unseen(() => a.x++ + a.y), o.waitUntil(() => a.x + b.x), parseInt(a), String.of(a), assert(a.x), V.x, short(), two(), constant.X]; }`,
  'fields named length': `function main() { a.length = 4; const v = b; v.length += c.length; return [a.length, v.length++, [1, 2].length, 'abc'.length, slots.length, { ...[a.length] }]; }`,
  'computed fields': `function main() { let i = 0; const k = 'x'; slots[i + 1] = slots[i++] + slots[3 - a.x]; return [slots[1], a[k], a['y'], slots[slots[0] / 10], (slots[0] ||= 3), slots[i]++, --slots[slots[i] - 23], i, [5, 6, 7][a.x], 'abc'[b.x]]; }`,
  types: `
    interface Pair { readonly x: number; y: number }
    type Maybe<T> = T | undefined;
    function f<T extends Pair>(this: void, v: T, n?: number, ...rest: readonly Pair[]): number { return (v as Pair).x + n! + (<Pair>rest[0]!).y; }
    abstract class K<T> { protected abstract g(v: T): number; declare z: number; private readonly n: number = 1; m?(v: T): void; h(v: T, o?: { k: number }): number { return this.g(v) + this.n + (o?.k ?? a.x); } }
    class L extends K<Pair> { protected override g(v: Pair): number { return (v!.x)! + v.y; } }
    function over(v: Pair): number; function over(v: Pair, n: number): number; function over(v: Pair, n = v.x): number { return n + v.y; }
    function main(): unknown { (a as Pair).y = 4; (a!.y)++; const l = { k: 1 } satisfies { k: number }; return [f(a, 1, b), new L().h(a), new L().h(b, l), over(a), over(a, 9), (a as any)?.x!, ((b.y as number) += 2), f<Pair>(a, 2, c), (a satisfies Pair).x]; }`,
  constructors: `
    class Plain { constructor(p, q) { this.p = p; this.q = q; } }
    function main() { const k = new Plain(a.x, (b.x++, b.x)); return [k, new Plain(...[a.y, k.p]), new (class { n = 4; })().n, new Error('m' + a.x).message]; }`,
  arguments: `function f() { a.x++; return arguments.length + arguments[0] + a.x; } function main() { return [f(1, 2), f(a.x)]; }`,
  'declarations hoisted': `function main() { const r = later(3) + a.x; var v = b.x; { var v = v + c.x; } return [r, v, hoisted, typeof later]; function later(n) { return n + a.x + b.x; } var hoisted; }`,
  'regular expressions and host calls': `function main() { return ['a1b2'.replace(/[0-9]/g, '#'), /(\\d)/.exec('x' + a.x)?.[1], Number(a.x) + Math.min(b.x, c.x), Object.keys({ p: a.x }).length, JSON.stringify({ n: b.y }), String(a.x), [a.x, b.x].join('/'), parseInt('4', a.y + 7), Number.isInteger(a.x), Object.freeze([a.x])]; }`,
};
