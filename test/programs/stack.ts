/**
 * SCTBench "stack": one push raises a flag, and the other side takes it as leave to pop as often as it likes. Fixed, it
 * looks whether there is something.
 */
import {
  DEFINE,
  type Scenario,
  expect,
  scenario,
  shared,
  sharedArray,
  spin_lock,
  spin_unlock,
  spinlock_t,
} from 'smplab';

const SIZE = 5;
const lock = DEFINE('lock', spinlock_t);
const slots = sharedArray('slots', SIZE);
const top = shared('top');
const flag = shared('flag');

function push(): void {
  for (let round = 0; round < SIZE; round++) {
    spin_lock(lock);
    slots.set(top.value, round);
    top.value += 1;
    flag.value = 1;
    spin_unlock(lock);
  }
}

function stack(mayPop: () => boolean): Scenario {
  function pop(): void {
    for (let round = 0; round < SIZE; round++) {
      spin_lock(lock);
      if (mayPop()) {
        expect(top.value > 0, 'pop from an empty stack');
        slots.get(top.value - 1);
        top.value -= 1;
      }
      spin_unlock(lock);
    }
  }
  return scenario({ on: [push, pop] });
}

export default stack(() => flag.value === 1);
export const fixed: Scenario = stack(() => top.value > 0);
