import { describe, expect, it } from 'vitest';
import { EBUSY, EEXIST, ENOENT, EWOULDBLOCK } from '#base/errno';
import { MODULE_IMAGE } from '#memory/image';
import { per_cpu } from '#memory/percpu';
import { u32 } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { mutex_is_locked } from '#smp/mutex';
import { stop_machine_run } from '#smp/stop_machine';
import { kernelInventory } from '#machine/inventory';
import {
  MODULE_STATE_COMING,
  MODULE_STATE_GOING,
  MODULE_STATE_LIVE,
  declare_module,
  find_module,
  module_mutex,
  module_put,
  module_refcount,
  request_module,
  try_module_get,
} from '#kernel/module';
import { O_NONBLOCK, sys_delete_module, sys_init_module } from '#kernel/module_load';
import { proc_modules } from '#kernel/proc-modules';
import { kernelBench } from '../../support/kernel-bench.ts';

const base = MODULE_IMAGE('base', { perCpuBytes: 64 });
const counter = base.DEFINE('counter', u32, 7);
const perCpu = base.DEFINE_PER_CPU('per_cpu_counter', u32, 9);
const BASE = declare_module(base, {});

const user = MODULE_IMAGE('user', { perCpuBytes: 64 });
const answer = user.DEFINE('answer', u32, 0);
const seen = user.DEFINE('seen', u32);
const user_init = kernel_function('user_init', (): number => {
  seen.value = USER.state * 16 + (mutex_is_locked(module_mutex) ? 1 : 0);
  return answer.value | 0;
});
const user_exit = kernel_function('user_exit', (): void => {
  counter.value = mutex_is_locked(module_mutex) ? 1 : 100 + USER.state;
});
const USER = declare_module(user, { init: user_init, exit: user_exit, depends: ['base'] });

const failing = MODULE_IMAGE('failing', { perCpuBytes: 64 });
const failing_init = kernel_function('failing_init', (): number => -EBUSY);
const FAILING = declare_module(failing, { init: failing_init, depends: ['base'] });

const permanent = MODULE_IMAGE('permanent', { perCpuBytes: 64 });
const permanent_init = kernel_function('permanent_init', (): number => 0);
declare_module(permanent, { init: permanent_init });

const insmod = (name: string): number => sys_init_module(0, 0, 0, name);
const rmmod = (name: string, flags = 0): number => sys_delete_module(0, flags, 0, name);

describe('modules', () => {
  it('loading initialises static and per-CPU data, each time anew, for every possible CPU', () => {
    kernelBench({ possible: 3 });
    for (let round = 0; round < 2; round++) {
      expect(insmod('base')).toBe(0);
      expect(counter.value).toBe(7);
      counter.value = 8;
      for (let cpu = 0; cpu < 3; cpu++) {
        expect(per_cpu(perCpu, cpu).value).toBe(9);
        per_cpu(perCpu, cpu).value = cpu;
      }
      expect(rmmod('base')).toBe(0);
    }
  });

  it('a module that is loaded cannot be loaded again, and one that does not exist not at all', () => {
    kernelBench();
    expect(insmod('nobody')).toBe(-ENOENT);
    expect(insmod('base')).toBe(0);
    expect(insmod('base')).toBe(-EEXIST);
    expect(rmmod('nobody')).toBe(-ENOENT);
  });

  it('a module whose dependency is missing is refused with a log line', () => {
    const bench = kernelBench();
    expect(insmod('user')).toBe(-ENOENT);
    expect(bench.log()).toContain('user: Unknown symbol of base');
    expect(find_module('user')).toBe(0);
  });

  it('init runs in state COMING without module_mutex, exit in state GOING without it', () => {
    kernelBench();
    insmod('base');
    expect(insmod('user')).toBe(0);
    expect(seen.value).toBe(MODULE_STATE_COMING * 16);
    expect(USER.state).toBe(MODULE_STATE_LIVE);
    expect(module_refcount(USER)).toBe(0);
    expect(rmmod('user')).toBe(0);
    expect(counter.value).toBe(100 + MODULE_STATE_GOING);
  });

  it('a dependency holds a reference, and keeps the module from going: -EWOULDBLOCK', () => {
    kernelBench();
    insmod('base');
    insmod('user');
    expect(module_refcount(BASE)).toBe(1);
    expect(kernelInventory().modules).toEqual([
      { name: 'user', state: 'live', references: 0, usedBy: [] },
      { name: 'base', state: 'live', references: 1, usedBy: ['user'] },
    ]);
    expect(proc_modules()).toMatch(/^user \d+ 0 - Live 0x[0-9a-f]+\nbase \d+ 1 user, Live 0x[0-9a-f]+\n$/);
    expect(rmmod('base')).toBe(-EWOULDBLOCK);
    expect(rmmod('user')).toBe(0);
    expect(module_refcount(BASE)).toBe(0);
    expect(rmmod('base')).toBe(0);
    expect(kernelInventory().modules).toEqual([]);
  });

  it('an init function that fails takes the module with it', () => {
    const bench = kernelBench();
    insmod('base');
    const before = kernelInventory();
    expect(insmod('failing')).toBe(-EBUSY);
    expect(kernelInventory()).toEqual(before);
    expect(bench.bus.load8(FAILING.addr)).toBe(0x6b);
  });

  it('a referenced module: O_NONBLOCK answers -EWOULDBLOCK, and it stays alive', () => {
    kernelBench();
    insmod('base');
    expect(try_module_get(BASE.addr)).toBe(true);
    expect(rmmod('base', O_NONBLOCK)).toBe(-EWOULDBLOCK);
    expect(BASE.state).toBe(MODULE_STATE_LIVE);
    module_put(BASE.addr);
    expect(rmmod('base', O_NONBLOCK)).toBe(0);
  });

  it('references: a module on its way out gives none, one that is coming does, built-in code always does', () => {
    kernelBench();
    insmod('base');
    BASE.state = MODULE_STATE_GOING;
    expect(try_module_get(BASE.addr)).toBe(false);
    expect(rmmod('base')).toBe(-EBUSY);
    BASE.state = MODULE_STATE_COMING;
    expect(try_module_get(BASE.addr)).toBe(true);
    module_put(BASE.addr);
    expect(try_module_get(0)).toBe(true);
    module_put(0);
  });

  it('a module with an init function and no exit function cannot be unloaded', () => {
    kernelBench();
    expect(insmod('permanent')).toBe(0);
    expect(rmmod('permanent')).toBe(-EBUSY);
  });

  it('memory of an unloaded module is poison', () => {
    const bench = kernelBench();
    insmod('base');
    rmmod('base');
    expect(counter.value).toBe(0x6b6b6b6b);
    expect(bench.findings()).toEqual([]);
  });

  it('the machine is stopped to link, to try, and to unlink: three times for a load and an unload', () => {
    const bench = kernelBench();
    insmod('base');
    rmmod('base');
    const stops = bench.trace().filter((event) => event.type === 1 && event.a === stop_machine_run.addr);
    expect(stops).toHaveLength(3);
  });

  it('an alias leads to no module', () => {
    kernelBench();
    expect(request_module('char-major-10-232')).toBe(-ENOENT);
  });
});
