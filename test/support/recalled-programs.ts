/**
 * Scenarios by chance of what flows can be remembered doing (src/fibers/known-flows.ts): waits, interrupts, cross calls, counters
 * that no step touches, and what is wider than a word, beside loads and stores. Every wait is for something that comes.
 */
import { seedState } from '#base/prng';

const PRELUDE = `import {
  DEFINE, DEFINE_PER_CPU, READ_ONCE, WRITE_ONCE, __get_cpu_var, atomic_add_return, atomic_inc, atomic_read, atomic_t, cmpxchg,
  get_cpu_var, kfree, kmalloc, GFP_KERNEL, kernel_function, kzalloc, local_irq_disable,
  local_irq_enable, preempt_disable, preempt_enable, printk, put_cpu_var, scenario, shared, smp_call_function,
  smp_call_function_single, smp_mb, smp_processor_id, spin_lock, spin_lock_irqsave, spin_unlock, spin_unlock_irqrestore, spinlock_t,
  stack_alloc, struct, u16, u32, u64, u8, waitUntil, xchg,
} from 'smplab';
const t = struct('t', { a: u32, b: u32, h: u16, i: u16, c: u8, d: u8, w: u64 });
const v = DEFINE('v', t);
const x = shared('x');
const y = shared('y');
const flags = [0, 1, 2].map((cpu) => shared('flag' + cpu));
const lock = DEFINE('lock', spinlock_t);
const hits = DEFINE('hits', atomic_t);
const mine = DEFINE_PER_CPU('mine', u32);
const called = kernel_function('called', (by: number): void => {
  x.value = x.value + by;
  const own = __get_cpu_var(mine);
  own.value = own.value + READ_ONCE(y, 'value');
});
function device(): void {
  const own = __get_cpu_var(mine);
  own.value = own.value * 3 + 1;
  if ((own.value & 1) === 0) WRITE_ONCE(y, 'value', own.value);
}
function locked(): void {
  spin_lock(lock);
  v.b = v.b + 1;
  spin_unlock(lock);
}
`;

type Step = (n: number, cpu: number, other: number) => string;

const STEPS: readonly Step[] = [
  (n) => `x.value = ${n};`,
  () => `y.value = x.value + 1;`,
  () => `if (x.value > y.value) v.a = 1; else v.h = 2;`,
  (n) => `WRITE_ONCE(y, 'value', ${n});`,
  (n) => `if (xchg(v, 'a', ${n}) === 0) v.c = 3;`,
  (n) => `if (cmpxchg(v, 'a', v.a, ${n}) !== 0) v.d = v.c;`,
  () => `if (atomic_add_return(3, hits) > 6) v.i = 4;`,
  () => `smp_mb();`,
  (n) => `{ const on = spin_lock_irqsave(lock); v.b = v.b + ${n}; spin_unlock_irqrestore(lock, on); }`,
  () => `local_irq_disable(); __get_cpu_var(mine).value += 2; local_irq_enable();`,
  () => `{ const own = get_cpu_var(mine); own.value = own.value + 1; put_cpu_var(mine); }`,
  () => `preempt_disable(); v.c = v.c + smp_processor_id(); preempt_enable();`,
  (_, cpu, other) => `smp_call_function_single(${other}, called, ${cpu + 1}, 1, 1);`,
  (_, __, other) => `smp_call_function_single(${other}, called, 5, 1, 0);`,
  () => `smp_call_function(called, 7, 1, 1);`,
  (n) => `v.w = ${n}n * 0x100000001n;`,
  () => `if (v.w > 0x500000000n) x.value = 9;`,
  (n) => `{ const p = kzalloc(${n < 5 ? 4 : 2}, GFP_KERNEL); y.value = p & 1; kfree(p); }`,
  (n) => `{ const p = kzalloc(64, GFP_KERNEL); x.value = x.value + t.at(p).b + ${n}; kfree(p); }`,
  (n) => `{ const p = stack_alloc(t); p.a = ${n}; p.w = v.w; y.value = p.a + Number(p.w & 7n); }`,
  (n) => `printk(6, 'seen ${n}');`,
  (n) => `{ const p = kmalloc(32, GFP_KERNEL); t.at(p).b = ${n}; kfree(p); }`,
  (n) =>
    `waitUntil(() => READ_ONCE(x, 'value') + atomic_read(hits) < ${100 + n} || READ_ONCE(y, 'value') > 0);`,
];

/** A program in TypeScript. What it waits for: flags that lower CPUs set at their end, or values that are there. */
export function recalledProgram(seed: number): string {
  let state = seedState(seed);
  const below = (limit: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const cpus = 2 + below(2);
  const kinds = Array.from({ length: 4 }, () => STEPS[below(STEPS.length)]!);
  const flows = Array.from({ length: cpus }, (_, cpu) => {
    const steps = Array.from({ length: 1 + below(3) }, () => {
      const other = (cpu + 1 + below(cpus - 1)) % cpus;
      return `    ${kinds[below(kinds.length)]!(1 + below(9), cpu, other)}`;
    });
    if (cpu > 0 && below(2) === 0)
      steps.splice(
        below(steps.length + 1),
        0,
        `    waitUntil(() => READ_ONCE(flags[${below(cpu)}], 'value') !== 0);`,
      );
    return [`  () => {`, ...steps, `    WRITE_ONCE(flags[${cpu}], 'value', 1);`, `  },`].join('\n');
  });
  const interrupts = Array.from(
    { length: below(3) },
    () => `{ cpu: ${below(cpus)}, handler: ${below(3) === 0 ? 'locked' : 'device'} }`,
  );
  return `${PRELUDE}export default scenario({
  cpus: ${cpus},
  races: 'ignore',
  on: [
${flows.join('\n')}
  ],
  interrupts: [${interrupts.join(', ')}],
});
`;
}
