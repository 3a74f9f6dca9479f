/**
 * SCTBench "WSQ", from CHESS: a queue in a ring that grows. The owner pushes and pops at the tail, without the lock where it
 * can; a thief takes from the head under the lock, and says so at the head before it reads what it takes. So one place of
 * the ring has to stay free: a push that fills the last one overwrites what the thief is about to read. Fixed, it stays free.
 * Every item has to be taken once (Frigo, Leiserson, Randall, PLDI 1998, have the protocol).
 */
import {
  DEFINE,
  type Scenario,
  s32,
  scenario,
  shared,
  sharedArray,
  spin_lock,
  spin_unlock,
  spinlock_t,
} from 'smplab';

const ITEMS = 4;
const FIRST_SIZE = 2;
/** Rings of 2, 4 and 8 places, one behind the other. */
const PLACES = 14;
const lock = DEFINE('lock', spinlock_t);
const head = DEFINE('head', s32);
const tail = DEFINE('tail', s32);
const size = shared('size', FIRST_SIZE);
const places = sharedArray('places', PLACES);
const taken = sharedArray('taken', ITEMS);

/** Where an item is in the ring of that size. */
function placeOf(at: number, ring: number): number {
  return ring - FIRST_SIZE + (at & (ring - 1));
}

function take(item: number): void {
  taken.set(item, taken.get(item) + 1);
}

function steal(): void {
  spin_lock(lock);
  const first = head.value;
  head.value = first + 1;
  const isThere = first < tail.value;
  const item = isThere ? places.get(placeOf(first, size.value)) : -1;
  if (!isThere) head.value = first;
  spin_unlock(lock);
  if (isThere) take(item);
}

function pop(): void {
  const last = tail.value - 1;
  tail.value = last;
  if (head.value <= last) {
    take(places.get(placeOf(last, size.value)));
    return;
  }
  // Empty, or a thief is at the last item: under the lock there is no thief.
  tail.value = last + 1;
  popLocked();
}

function popLocked(): void {
  spin_lock(lock);
  const last = tail.value - 1;
  tail.value = last;
  const isThere = head.value <= last;
  const item = isThere ? places.get(placeOf(last, size.value)) : -1;
  if (!isThere) {
    head.value = 0;
    tail.value = 0;
  }
  spin_unlock(lock);
  if (isThere) take(item);
}

function pushLocked(item: number): void {
  spin_lock(lock);
  const ring = size.value;
  const first = head.value & (ring - 1);
  const count = tail.value - head.value;
  head.value = first;
  tail.value = first + count;
  if (count >= ring - 1) grow(first, count, ring);
  const at = tail.value;
  places.set(placeOf(at, size.value), item);
  tail.value = at + 1;
  spin_unlock(lock);
}

function grow(first: number, count: number, ring: number): void {
  for (let at = 0; at < count; at++) {
    places.set(placeOf(at, ring * 2), places.get(placeOf(first + at, ring)));
  }
  size.value = ring * 2;
  head.value = 0;
  tail.value = count;
}

function workStealing(isFixed: boolean): Scenario {
  function push(item: number): void {
    const at = tail.value;
    const room = isFixed ? size.value - 1 : size.value;
    if (at < head.value + room) {
      places.set(placeOf(at, size.value), item);
      tail.value = at + 1;
    } else {
      pushLocked(item);
    }
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
  function thief(): void {
    steal();
    steal();
  }
  return scenario({
    on: [owner, thief],
    check() {
      for (let item = 0; item < ITEMS; item++)
        if (taken.get(item) !== 1) return `item ${item} was taken ${taken.get(item)} times`;
      return true;
    },
    races: 'report',
  });
}

export default workStealing(false);
export const fixed: Scenario = workStealing(true);
