/** `atomic_t` and bit operations: what x86 does with a lock prefix. @linux include/asm-x86/atomic.h, as of 2.6.24 */
import { AccessKind } from '#trace/events';
import { bus } from './bus.ts';
import { type Ptr, type StructView, s32, struct } from './struct.ts';

export const atomic_t = struct('atomic_t', { counter: s32 });
export type atomic_t = StructView<typeof atomic_t>;

/** A marked load; orders nothing. */
export function atomic_read(v: atomic_t): number {
  return bus.load32Marked(v.addr, AccessKind.ONCE) | 0;
}

/** A marked store; orders nothing. */
export function atomic_set(v: atomic_t, value: number): void {
  bus.store32Marked(v.addr, value, AccessKind.ONCE);
}

export function atomic_inc(v: atomic_t): void {
  bus.add32(v.addr, 1);
}

export function atomic_dec(v: atomic_t): void {
  bus.add32(v.addr, -1);
}

export function atomic_add_return(amount: number, v: atomic_t): number {
  return (bus.add32(v.addr, amount) + amount) | 0;
}

/** @plain */
export function atomic_inc_return(v: atomic_t): number {
  return atomic_add_return(1, v);
}

/**
 * True if the counter is now 0.
 * @plain
 */
export function atomic_dec_and_test(v: atomic_t): boolean {
  return atomic_add_return(-1, v) === 0;
}

/** Adds one unless the counter is `unless`; true if it did. */
export function atomic_add_unless(v: atomic_t, amount: number, unless: number): boolean {
  for (;;) {
    const seen = atomic_read(v);
    if (seen === unless) return false;
    if ((bus.compareExchange32(v.addr, seen, seen + amount) | 0) === seen) return true;
  }
}

/** Atomic, by number from the lowest bit of the word at `address` upward. */
export function set_bit(bit: number, address: Ptr): void {
  bus.or32(address + (bit >>> 5) * 4, 1 << (bit & 31));
}

export function clear_bit(bit: number, address: Ptr): void {
  bus.and32(address + (bit >>> 5) * 4, ~(1 << (bit & 31)));
}

/** True if it was set before. */
export function test_and_set_bit(bit: number, address: Ptr): boolean {
  return (bus.or32(address + (bit >>> 5) * 4, 1 << (bit & 31)) & (1 << (bit & 31))) !== 0;
}

export function test_and_clear_bit(bit: number, address: Ptr): boolean {
  return (bus.and32(address + (bit >>> 5) * 4, ~(1 << (bit & 31))) & (1 << (bit & 31))) !== 0;
}

/** A marked read: Linux reads through a pointer to volatile. */
export function test_bit(bit: number, address: Ptr): boolean {
  return (bus.load32Marked(address + (bit >>> 5) * 4, AccessKind.ONCE) & (1 << (bit & 31))) !== 0;
}

/** Not atomic: a plain read and a plain write. */
export function __set_bit(bit: number, address: Ptr): void {
  const word = address + (bit >>> 5) * 4;
  bus.store32(word, bus.load32(word) | (1 << (bit & 31)));
}

/** Not atomic: a plain read and a plain write. */
export function __clear_bit(bit: number, address: Ptr): void {
  const word = address + (bit >>> 5) * 4;
  bus.store32(word, bus.load32(word) & ~(1 << (bit & 31)));
}
