/**
 * Array methods that call back, as loops: what compiled code (fibers/pass.ts) uses for arrays, since the host's own methods
 * cannot be suspended in the middle. As in the standard, but for holes and for arrays that change their length meanwhile.
 */
import { functions, resumable } from './resumable.ts';

type Callback = (value: unknown, index: number, list: readonly unknown[]) => unknown;
type Reducer = (before: unknown, value: unknown, index: number, list: readonly unknown[]) => unknown;

export const arrays = {
  ...functions,

  /**
   * A constructor has been told to wait, and cannot.
   * @plain
   */
  refuse(): never {
    resumable.parked = false;
    throw new Error(
      'a constructor used shared memory, and a CPU cannot be suspended in one: write a function that answers the object',
    );
  },

  /**
   * Whether `forEach` of an object is a loop below.
   * @plain
   */
  hasForEach(list: unknown): boolean {
    // wall: typed-array: asked about, and none is made.
    return Array.isArray(list) || list instanceof Map || list instanceof Set || ArrayBuffer.isView(list);
  },

  map(list: readonly unknown[], callback: Callback): unknown[] {
    const result: unknown[] = [];
    for (let index = 0; index < list.length; index++) result.push(callback(list[index], index, list));
    return result;
  },

  forEach(list: readonly unknown[], callback: Callback): void {
    if (list instanceof Map || list instanceof Set) {
      for (const [key, value] of list.entries()) callback(value, key, list as never);
      return;
    }
    for (let index = 0; index < list.length; index++) callback(list[index], index, list);
  },

  filter(list: readonly unknown[], callback: Callback): unknown[] {
    const result: unknown[] = [];
    for (let index = 0; index < list.length; index++) {
      const value = list[index];
      if (callback(value, index, list)) result.push(value);
    }
    return result;
  },

  some(list: readonly unknown[], callback: Callback): boolean {
    for (let index = 0; index < list.length; index++) if (callback(list[index], index, list)) return true;
    return false;
  },

  every(list: readonly unknown[], callback: Callback): boolean {
    for (let index = 0; index < list.length; index++) if (!callback(list[index], index, list)) return false;
    return true;
  },

  find(list: readonly unknown[], callback: Callback): unknown {
    for (let index = 0; index < list.length; index++) {
      const value = list[index];
      if (callback(value, index, list)) return value;
    }
    return undefined;
  },

  findIndex(list: readonly unknown[], callback: Callback): number {
    for (let index = 0; index < list.length; index++) if (callback(list[index], index, list)) return index;
    return -1;
  },

  findLast(list: readonly unknown[], callback: Callback): unknown {
    for (let index = list.length - 1; index >= 0; index--) {
      const value = list[index];
      if (callback(value, index, list)) return value;
    }
    return undefined;
  },

  findLastIndex(list: readonly unknown[], callback: Callback): number {
    for (let index = list.length - 1; index >= 0; index--)
      if (callback(list[index], index, list)) return index;
    return -1;
  },

  reduce(list: readonly unknown[], callback: Reducer, ...initial: readonly unknown[]): unknown {
    if (initial.length === 0 && list.length === 0)
      throw new TypeError('Reduce of empty array with no initial value');
    let value = initial.length > 0 ? initial[0] : list[0];
    for (let index = initial.length > 0 ? 0 : 1; index < list.length; index++)
      value = callback(value, list[index], index, list);
    return value;
  },

  reduceRight(list: readonly unknown[], callback: Reducer, ...initial: readonly unknown[]): unknown {
    if (initial.length === 0 && list.length === 0)
      throw new TypeError('Reduce of empty array with no initial value');
    let value = initial.length > 0 ? initial[0] : list[list.length - 1];
    for (let index = list.length - (initial.length > 0 ? 1 : 2); index >= 0; index--)
      value = callback(value, list[index], index, list);
    return value;
  },

  flatMap(list: readonly unknown[], callback: Callback): unknown[] {
    const result: unknown[] = [];
    for (let index = 0; index < list.length; index++) {
      const made = callback(list[index], index, list);
      if (Array.isArray(made)) for (const value of made) result.push(value);
      else result.push(made);
    }
    return result;
  },
};
