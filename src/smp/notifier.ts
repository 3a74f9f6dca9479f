/**
 * Notifier chains. @linux kernel/notifier.c, as of 2.6.24 (spec 7.3)
 * Leaves out: atomic and SRCU chains.
 */
import { ENOENT } from '#base/errno';
import { NULL, type Ptr, type StructView, addressOf, ptr, s32, struct, variableAt } from '#memory/struct';
import { call_pointer, kernel_function } from '#memory/symbols';
import { down_read, down_write, rw_semaphore, up_read, up_write } from './mutex.ts';

export const NOTIFY_DONE = 0x0000;
export const NOTIFY_OK = 0x0001;
export const NOTIFY_STOP_MASK = 0x8000;
export const NOTIFY_BAD = NOTIFY_STOP_MASK | 0x0002;
export const NOTIFY_STOP = NOTIFY_OK | NOTIFY_STOP_MASK;

/** `next` and the chain are guarded by the chain's lock, whatever that is. */
export const notifier_block = struct('notifier_block', { notifier_call: ptr, next: ptr, priority: s32 });
export type notifier_block = StructView<typeof notifier_block>;

export const raw_notifier_head = struct('raw_notifier_head', { head: ptr });
export type raw_notifier_head = StructView<typeof raw_notifier_head>;

export const blocking_notifier_head = struct('blocking_notifier_head', { rwsem: rw_semaphore, head: ptr });
export type blocking_notifier_head = StructView<typeof blocking_notifier_head>;

/** In front of the first block of lower priority: equals keep the order they came in. No duplicate check. */
function chain_register(link: Ptr, block: notifier_block): number {
  let place = variableAt(ptr, link);
  for (let at = place.value; at !== NULL; at = place.value) {
    const other = notifier_block.at(at);
    if (block.priority > other.priority) break;
    place = variableAt(ptr, addressOf(other, 'next'));
  }
  block.next = place.value;
  place.value = block.addr;
  return 0;
}

function chain_unregister(link: Ptr, block: notifier_block): number {
  let place = variableAt(ptr, link);
  for (let at = place.value; at !== NULL; at = place.value) {
    if (at === block.addr) {
      place.value = block.next;
      return 0;
    }
    place = variableAt(ptr, addressOf(notifier_block.at(at), 'next'));
  }
  return -ENOENT;
}

export const raw_notifier_chain_register = kernel_function(
  'raw_notifier_chain_register',
  (nh: raw_notifier_head, block: notifier_block): number => chain_register(addressOf(nh, 'head'), block),
);

export const raw_notifier_chain_unregister = kernel_function(
  'raw_notifier_chain_unregister',
  (nh: raw_notifier_head, block: notifier_block): number => chain_unregister(addressOf(nh, 'head'), block),
);

/**
 * Calls the chain from its head until a callback's answer has the stop bit.
 * @param nr_to_call at most so many calls, -1 for all
 * @param nr_calls where to count the calls made, or NULL
 */
export const notifier_call_chain = kernel_function(
  'notifier_call_chain',
  (link: Ptr, val: number, v: number, nr_to_call: number, nr_calls: Ptr): number => {
    let result = NOTIFY_DONE;
    let left = nr_to_call;
    let at = variableAt(ptr, link).value;
    while (at !== NULL && left !== 0) {
      const block = notifier_block.at(at);
      // A callback may unregister its own block: read the successor first.
      const { next } = block;
      result = call_pointer(block.notifier_call, at, val, v) as number;
      if (nr_calls !== NULL) variableAt(s32, nr_calls).value += 1;
      if ((result & NOTIFY_STOP_MASK) !== 0) break;
      at = next;
      left--;
    }
    return result;
  },
);

export function __raw_notifier_call_chain(
  nh: raw_notifier_head,
  val: number,
  v: number,
  nr_to_call: number,
  nr_calls: Ptr,
): number {
  return notifier_call_chain(addressOf(nh, 'head'), val, v, nr_to_call, nr_calls);
}

export function raw_notifier_call_chain(nh: raw_notifier_head, val: number, v: number): number {
  return __raw_notifier_call_chain(nh, val, v, -1, NULL);
}

export const blocking_notifier_chain_register = kernel_function(
  'blocking_notifier_chain_register',
  (nh: blocking_notifier_head, block: notifier_block): number => {
    down_write(nh.rwsem);
    const result = chain_register(addressOf(nh, 'head'), block);
    up_write(nh.rwsem);
    return result;
  },
);

export const blocking_notifier_chain_unregister = kernel_function(
  'blocking_notifier_chain_unregister',
  (nh: blocking_notifier_head, block: notifier_block): number => {
    down_write(nh.rwsem);
    const result = chain_unregister(addressOf(nh, 'head'), block);
    up_write(nh.rwsem);
    return result;
  },
);

export const blocking_notifier_call_chain = kernel_function(
  'blocking_notifier_call_chain',
  (nh: blocking_notifier_head, val: number, v: number): number => {
    down_read(nh.rwsem);
    const result = notifier_call_chain(addressOf(nh, 'head'), val, v, -1, NULL);
    up_read(nh.rwsem);
    return result;
  },
);
