/** Loads KVM and unloads it, again and again. */
import { EAGAIN, EBUSY, EEXIST, ENOENT } from '#base/errno';
import { bus } from '#memory/bus';
import { MACHINE_BLOCK, MachineWord } from '#memory/layout';
import { kernel_function } from '#memory/symbols';
import { O_NONBLOCK, sys_delete_module, sys_init_module } from '../module_load.ts';
import { torture_count, torture_count_here, torture_now, torture_stopping } from './smptorture.ts';

const LOAD = 6;
const UNLOAD = 7;

/** The module that fits the processors. */
function vendor_module(): string {
  return bus.loadLocal32(MACHINE_BLOCK + MachineWord.VENDOR * 4) === 0 ? 'kvm-amd' : 'kvm-intel';
}

/** Errors that mean that somebody else was faster, or has /dev/kvm open. */
function is_lost_race(error: number): boolean {
  return error === -EEXIST || error === -ENOENT || error === -EBUSY || error === -EAGAIN;
}

/** Loads both modules; what is there already is no error. */
export const kvm_load = kernel_function('kvm_torture_load', (): number => {
  const error = sys_init_module(0, 0, 0, 'kvm');
  return error !== 0 && error !== -EEXIST ? error : sys_init_module(0, 0, 0, vendor_module());
});

/** Unloads both modules, unless one is in use. */
export const kvm_unload = kernel_function('kvm_torture_unload', (): number => {
  const error = sys_delete_module(0, O_NONBLOCK, 0, vendor_module());
  return error !== 0 && error !== -ENOENT ? error : sys_delete_module(0, O_NONBLOCK, 0, 'kvm');
});

function timed(kind: number, fn: () => number): number {
  const begin = torture_now();
  const error = fn();
  torture_count(kind, error, torture_now() - begin);
  torture_count_here();
  return error;
}

/** One of the two: 0 loads, 1 unloads. What half a load has left is taken away again. */
export const load_torture_half = kernel_function('load_torture_half', (unload: number): number => {
  if (unload !== 0) return timed(UNLOAD, kvm_unload);
  const error = timed(LOAD, kvm_load);
  if (error !== 0 && !is_lost_race(error)) sys_delete_module(0, O_NONBLOCK, 0, 'kvm');
  return error;
});

/** A caller loads and unloads, `ops` of either. It ends with KVM as it found it, if nobody else interferes. */
export const load_torture = kernel_function('load_torture', (_slot: number, ops: number): number => {
  let made = 0;
  for (; made < ops && !torture_stopping(); made += 2) {
    load_torture_half(0);
    load_torture_half(1);
  }
  return made;
});
