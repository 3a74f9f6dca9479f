/** Where a per-CPU variable is. What is expected is wrong on purpose: it takes the variable for one place. */
import { DEFINE_PER_CPU, __get_cpu_var, expect, per_cpu_ptr, printk, scenario, u32 } from 'smplab';

export const hits = DEFINE_PER_CPU('hits', u32);
const KERN_INFO = 6;

const hex = (address: number): string => `0x${address.toString(16)}`;

/** `hits.addr` is in the template, which every CPU got a copy of at boot: nobody counts there. */
function where(cpu: number): string {
  const copy = per_cpu_ptr(hits, cpu);
  return `hits: ${hex(hits.addr)} + offset ${hex(copy - hits.addr)} = ${hex(copy)}`;
}

export function tell(): void {
  for (let cpu = 0; cpu < 2; cpu++) printk(KERN_INFO, where(cpu));
}

function look(): void {
  __get_cpu_var(hits).value = 1;
  tell();
  expect(per_cpu_ptr(hits, 0) === per_cpu_ptr(hits, 1), 'hits is not one place');
}

export default scenario({ on: [look] });
