/**
 * SCTBench "work-stealing queue": the owner pushes and pops at the tail, a thief takes from the head, under a lock. The
 * thief looks at the tail before it has announced itself at the head, so both may take the last item. Fixed, it announces
 * itself first, as Cilk's does (Frigo, Leiserson, Randall, PLDI 1998).
 */
import {
  DEFINE,
  type Scenario,
  s32,
  scenario,
  sharedArray,
  spin_lock,
  spin_unlock,
  spinlock_t,
} from 'smplab';

const ITEMS = 4;
const lock = DEFINE('lock', spinlock_t);
const head = DEFINE('head', s32);
const tail = DEFINE('tail', s32);
const slots = sharedArray('slots', ITEMS);
const taken = sharedArray('taken', ITEMS);

function take(at: number): void {
  const item = slots.get(at);
  taken.set(item, taken.get(item) + 1);
}

function push(item: number): void {
  slots.set(tail.value, item);
  tail.value += 1;
}

function pop(): void {
  const last = tail.value - 1;
  tail.value = last;
  if (head.value <= last) {
    take(last);
    return;
  }
  // Empty, or a thief is at the last item: under the lock there is no thief.
  tail.value = last + 1;
  spin_lock(lock);
  tail.value = last;
  const isThere = head.value <= last;
  if (!isThere) tail.value = last + 1;
  spin_unlock(lock);
  if (isThere) take(last);
}

function owner(): void {
  for (let item = 0; item < ITEMS; item += 2) {
    push(item);
    push(item + 1);
    pop();
  }
  pop();
  pop();
}

function workStealing(isFixed: boolean): Scenario {
  function steal(): void {
    spin_lock(lock);
    const first = head.value;
    if (isFixed) head.value = first + 1;
    const isThere = first < tail.value;
    if (isThere !== isFixed) head.value = isThere ? first + 1 : first;
    spin_unlock(lock);
    if (isThere) take(first);
  }
  function thief(): void {
    steal();
    steal();
  }
  return scenario({
    on: [owner, thief],
    check() {
      for (let item = 0; item < ITEMS; item++)
        if (taken.get(item) > 1) return `item ${item} was taken ${taken.get(item)} times`;
      return true;
    },
    races: 'report',
  });
}

export default workStealing(false);
export const fixed: Scenario = workStealing(true);
