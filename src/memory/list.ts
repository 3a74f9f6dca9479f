/** Circular doubly linked lists. @linux include/linux/list.h, as of 2.6.24 */
import { type Ptr, type StructView, ptr, struct } from './struct.ts';

export const list_head = struct('list_head', { next: ptr, prev: ptr });
export type list_head = StructView<typeof list_head>;

export function INIT_LIST_HEAD(head: list_head): void {
  head.next = head.addr;
  head.prev = head.addr;
}

function insertBetween(entry: list_head, before: Ptr, after: Ptr): void {
  list_head.at(after).prev = entry.addr;
  entry.next = after;
  entry.prev = before;
  list_head.at(before).next = entry.addr;
}

/** Behind the head: a stack. */
export function list_add(entry: list_head, head: list_head): void {
  insertBetween(entry, head.addr, head.next);
}

/** In front of the head: a queue. */
export function list_add_tail(entry: list_head, head: list_head): void {
  insertBetween(entry, head.prev, head.addr);
}

/** What a deleted entry's pointers become: an address nobody has, so that a use of it is an oops. */
export const LIST_POISON1: Ptr = 0x100;
export const LIST_POISON2: Ptr = 0x200;

export function list_del(entry: list_head): void {
  const { next, prev } = entry;
  list_head.at(next).prev = prev;
  list_head.at(prev).next = next;
  entry.next = LIST_POISON1;
  entry.prev = LIST_POISON2;
}

export function list_empty(head: list_head): boolean {
  return head.next === head.addr;
}
