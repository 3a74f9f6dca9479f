/**
 * SCTBench "queue": a queue of one, used in turns that flags give. The consumer compares with what was queued in the round
 * it is in; either side may have had rounds in which it could do nothing. Fixed, it compares with what comes next.
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
const head = shared('head');
const tail = shared('tail');
/** What the producer has queued, by its round or, fixed, one after the other. */
const stored = sharedArray('stored', SIZE);
const may_enqueue = shared('may_enqueue', 1);
const may_dequeue = shared('may_dequeue');

function enqueue(value: number): void {
  slots.set(tail.value % SIZE, value);
  tail.value += 1;
}

function queue(isFixed: boolean): Scenario {
  function produce(): void {
    spin_lock(lock);
    enqueue(100);
    stored.set(0, 100);
    spin_unlock(lock);
    for (let round = 1; round < SIZE; round++) {
      spin_lock(lock);
      if (may_enqueue.value === 1) {
        stored.set(isFixed ? tail.value : round, 100 + round);
        enqueue(100 + round);
        may_enqueue.value = 0;
        may_dequeue.value = 1;
      }
      spin_unlock(lock);
    }
  }
  function consume(): void {
    for (let round = 0; round < SIZE; round++) {
      spin_lock(lock);
      if (may_dequeue.value === 1) {
        const at = head.value;
        expect(slots.get(at % SIZE) === stored.get(isFixed ? at : round), 'something else was queued');
        head.value = at + 1;
        may_dequeue.value = 0;
        may_enqueue.value = 1;
      }
      spin_unlock(lock);
    }
  }
  return scenario({ on: [produce, consume] });
}

export default queue(false);
export const fixed: Scenario = queue(true);
