/** Scenarios by chance for parallel runs: as much traffic on a few variables as flows of this length can make. */
import { seedState } from '#base/prng';

/** Steps of each flow. */
const STEPS = 60;

const PRELUDE = `const s = require('smplab');
const t = s.struct('t', { a: s.u32, b: s.u32, h: s.u16, i: s.u16, c: s.u8, d: s.u8, e: s.u8, f: s.u8, w: s.u64 });
const v = s.DEFINE('v', t);
const x = s.shared('x');
const y = s.shared('y');
const bits = s.sharedArray('bits', 2);
const lock = s.DEFINE('lock', s.spinlock_t);
const count = s.DEFINE('count', s.atomic_t);
`;

/** What a step may be; `n` is a number no other step has. */
const STEP: readonly ((n: number, bit: number) => string)[] = [
  (n) => `x.value = ${n};`,
  (n) => `y.value = ${n};`,
  () => `x.value;`,
  () => `y.value;`,
  (n) => `s.WRITE_ONCE(x, 'value', ${n});`,
  () => `s.READ_ONCE(y, 'value');`,
  (n) => `s.smp_store_release(y, 'value', ${n});`,
  () => `s.smp_load_acquire(x, 'value');`,
  () => `s.smp_mb();`,
  (_, bit) => `s.set_bit(${bit}, bits.addressOf(0));`,
  (_, bit) => `s.clear_bit(${bit}, bits.addressOf(0));`,
  (_, bit) => `s.test_and_set_bit(${bit}, bits.addressOf(0));`,
  () => `bits.get(0);`,
  () => `s.atomic_inc(count);`,
  () => `s.atomic_add_return(3, count);`,
  () => `s.atomic_read(count);`,
  (n) => `s.xchg(v, 'a', ${n});`,
  (n) => `s.cmpxchg(v, 'a', v.a, ${n});`,
  (n) => `v.h = ${n & 0xffff};`,
  (n) => `v.i = ${n & 0xffff};`,
  () => `v.h + v.i;`,
  (n) => `v.c = ${n & 0xff};`,
  (n) => `v.d = ${n & 0xff};`,
  () => `v.c + v.d + v.e;`,
  (n) => `v.w = ${n}n * 0x100000001n;`,
  () => `v.w;`,
  (n) => `s.spin_lock(lock); v.b = v.b + ${n}; s.spin_unlock(lock);`,
];

/** A scenario as CPU threads take it. @param cpus flows of it */
export function parallelProgram(
  seed: number,
  cpus: number,
): { readonly file: string; readonly code: string } {
  let state = seedState(seed);
  const below = (limit: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  // A few kinds of steps for each program, so that flows meet often in each.
  const kinds = Array.from({ length: 6 }, () => STEP[below(STEP.length)]!);
  const flows = Array.from({ length: cpus }, (_, cpu) => {
    const steps = Array.from({ length: STEPS }, (__, step) =>
      kinds[below(kinds.length)]!((cpu + 1) * 1000 + step, below(64)),
    );
    return `function cpu${cpu}() { ${steps.join(' ')} }`;
  });
  const names = flows.map((_, cpu) => `cpu${cpu}`).join(', ');
  return {
    file: `program ${seed}`,
    code: `${PRELUDE}${flows.join('\n')}\nexports.default = s.scenario({ on: [${names}], races: 'ignore' });\n`,
  };
}

/** Flows that set the bits of one word in turn, and nothing else. */
export const BITS = {
  file: 'bits',
  code: `const s = require('smplab');
const bits = s.shared('bits');
const flow = (first) => () => {
  for (let bit = first; bit < 32; bit += 2) s.set_bit(bit, bits.addr);
};
exports.default = s.scenario({ on: [flow(0), flow(1)], races: 'ignore' });
`,
};
