import { testScenario } from 'smplab/vitest';

testScenario('every packet is counted under the lock', new URL('./locked.ts', import.meta.url), {
  expect: 'complete',
});

// Fails on purpose: see what a failed test says.
testScenario('every packet is counted without the lock', new URL('./unlocked.ts', import.meta.url), {
  runs: 2000,
});
