/**
 * SCTBench "bluetooth_driver": the driver stops between a request's look at the flag and its count of itself as pending,
 * so the request works on a stopped device. Fixed, a request counts itself first.
 */
import {
  DEFINE,
  READ_ONCE,
  type Scenario,
  WRITE_ONCE,
  expect,
  scenario,
  shared,
  spin_lock,
  spin_unlock,
  spinlock_t,
  waitUntil,
} from 'smplab';

const lock = DEFINE('lock', spinlock_t);
const stopping = shared('stopping');
const stopped = shared('stopped');
const event = shared('event');
/** Guarded by lock. The driver itself counts as one. */
const pending = shared('pending', 1);

function get(): void {
  spin_lock(lock);
  pending.value += 1;
  spin_unlock(lock);
}

function put(): void {
  spin_lock(lock);
  const left = (pending.value -= 1);
  spin_unlock(lock);
  if (left === 0) WRITE_ONCE(event, 'value', 1);
}

function stop(): void {
  WRITE_ONCE(stopping, 'value', 1);
  put();
  waitUntil(() => READ_ONCE(event, 'value') === 1);
  WRITE_ONCE(stopped, 'value', 1);
}

function work(): void {
  expect(READ_ONCE(stopped, 'value') === 0, 'a request works on a stopped device');
}

function request(): void {
  if (READ_ONCE(stopping, 'value') === 1) return;
  get();
  work();
  put();
}

function request_counted_first(): void {
  get();
  if (READ_ONCE(stopping, 'value') === 0) work();
  put();
}

export default scenario({ on: [request, stop] });
export const fixed: Scenario = scenario({ on: [request_counted_first, stop] });
