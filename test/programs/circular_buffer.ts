/**
 * SCTBench "circular_buffer": the sender sends the number of its round, and the receiver expects that of its own. Either
 * may have had a round in which it could do nothing. Fixed, each counts what it has done.
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

const ROUNDS = 7;
const SIZE = 10;
const lock = DEFINE('lock', spinlock_t);
const buffer = sharedArray('buffer', SIZE);
const head = shared('head');
const tail = shared('tail');
const may_send = shared('may_send', 1);
const may_receive = shared('may_receive');

function circularBuffer(isFixed: boolean): Scenario {
  function send(): void {
    for (let round = 0; round < ROUNDS; round++) {
      spin_lock(lock);
      if (may_send.value === 1) {
        const at = head.value;
        buffer.set(at % SIZE, isFixed ? at : round);
        head.value = at + 1;
        may_send.value = 0;
        may_receive.value = 1;
      }
      spin_unlock(lock);
    }
  }
  function receive(): void {
    for (let round = 0; round < ROUNDS; round++) {
      spin_lock(lock);
      if (may_receive.value === 1) {
        const at = tail.value;
        expect(buffer.get(at % SIZE) === (isFixed ? at : round), 'something else was received');
        tail.value = at + 1;
        may_receive.value = 0;
        may_send.value = 1;
      }
      spin_unlock(lock);
    }
  }
  return scenario({ on: [send, receive] });
}

export default circularBuffer(false);
export const fixed: Scenario = circularBuffer(true);
