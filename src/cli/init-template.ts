/** What `smplab init scenario NAME` writes: a scenario that holds, and its test. */

export interface Template {
  readonly file: string;
  readonly text: string;
}

export function scenarioTemplate(name: string): Template[] {
  return [
    { file: `${name}.ts`, text: scenarioText(name) },
    { file: `${name}.test.ts`, text: testText(name) },
  ];
}

function scenarioText(name: string): string {
  return `/** Two CPUs count, under a lock. Take the lock away, and see what is found: smplab explore ${name}.ts */
import { DEFINE, scenario, shared, spin_lock, spin_unlock, spinlock_t } from 'smplab';

// What CPUs share is in the simulated machine's memory. A variable of this file would not be.
const lock = DEFINE('lock', spinlock_t);
const counter = shared('counter');

// What a CPU runs. Between any two accesses to shared memory another CPU may go on.
function increment(): void {
  spin_lock(lock);
  counter.value = counter.value + 1;
  spin_unlock(lock);
}

export default scenario({
  name: '${name}',
  on: [increment, increment],
  // When all have ended: true, or what is wrong.
  check: () => counter.value === 2 || \`counter is \${counter.value}\`,
});
`;
}

function testText(name: string): string {
  return `import { testScenario } from 'smplab/vitest';

testScenario('${name}', new URL('./${name}.ts', import.meta.url), { expect: 'complete' });
`;
}
