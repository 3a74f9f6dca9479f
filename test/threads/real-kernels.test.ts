/**
 * What stock kernels from 5.10 to 7.2 were recorded doing on four AMD CPUs, where kvm-54 did the same: which kernels, and where later
 * ones went other ways, is in docs/real-kernels.md. One sentence here is one line of its first table.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TraceEvent, closeSharedPool, dmesg } from 'smplab';
import { cpuDown, cpuUp, insmod, rmmod, succeeds, withMachine } from '../support/kvm-machine.ts';
import { StepReader, TRACE_STEPS, windows } from '../support/trace-steps.ts';

const LOADER = 1;
const VICTIM = 3;
const CPUS = [0, 1, 2, 3];
/** Where a function ran that was called by IPI, and where the caller ran it itself. */
const at = (cpu: number): string => (cpu === LOADER ? `[${cpu} i-]` : `[${cpu} i- irq]`);
const enabling = (cpu: number): string[] => [
  `${at(cpu)} rdmsr EFER 0xd01`,
  `${at(cpu)} wrmsr EFER 0x1d01`,
  `${at(cpu)} wrmsr VM_HSAVE_PA save_area(${cpu})`,
];
const disabling = (where: string): string[] => [
  `${where} wrmsr VM_HSAVE_PA 0x0`,
  `${where} rdmsr EFER 0x1d01`,
  `${where} wrmsr EFER 0xd01`,
];

/** A value is read or written: what is only probed for has none. */
const isMsr = (text: string): boolean => / (rdmsr|wrmsr) (EFER|VM_HSAVE_PA) /.test(text);

afterAll(closeSharedPool);

describe.each(['parallel', 'deterministic'] as const)('like real kernels (%s, seed 1)', (mode) => {
  /** The steps of what was done, by what it was. */
  let load: string[];
  let down: string[];
  let up: string[];
  let unload: string[];
  let reboot: string[];

  beforeAll(() =>
    withMachine({ cpus: 4, vendor: 'amd', mode, seed: 1, trace: TRACE_STEPS }, async (smp) => {
      await succeeds('insmod kvm', insmod(smp, 'kvm', LOADER));
      await succeeds('insmod', insmod(smp, 'kvm-amd', LOADER));
      await succeeds('cpu_down', cpuDown(smp, VICTIM, LOADER));
      await succeeds('cpu_up', cpuUp(smp, VICTIM, LOADER));
      await succeeds('rmmod', rmmod(smp, 'kvm-amd', LOADER));
      await succeeds('insmod again', insmod(smp, 'kvm-amd', LOADER));
      await smp.call('kernel_restart_prepare', { cpu: LOADER, args: [0] });
      const { events, lost } = smp.trace();
      expect(lost).toBe(0);
      const reader = new StepReader(smp.look(dmesg));
      const texts = (of: TraceEvent[] | undefined): string[] => reader.read(of ?? []).map(({ text }) => text);
      load = texts(windows(events, 'svm_init')[0]);
      down = texts(windows(events, 'cpu_down')[0]);
      up = texts(windows(events, 'cpu_up').at(-1));
      unload = texts(windows(events, 'svm_exit')[0]);
      reboot = texts(windows(events, 'kernel_restart_prepare')[0]);
    }),
  );

  const only = (texts: readonly string[], pattern: RegExp): string[] =>
    texts.filter((text) => pattern.test(text));
  const of = (texts: readonly string[], cpu: number): string[] =>
    texts.filter((text) => text.startsWith(`[${cpu}`) && isMsr(text));

  it('processors are checked in the order of their numbers, each waited for, the own one without an IPI', () => {
    expect(only(load, / (IPI CALL_FUNCTION|svm_check_processor_compat|on_each_cpu)/).slice(0, 8)).toEqual([
      '[1] IPI CALL_FUNCTION to 0',
      '[0 i- irq] svm_check_processor_compat',
      '[1 i-] svm_check_processor_compat',
      '[1] IPI CALL_FUNCTION to 2',
      '[2 i- irq] svm_check_processor_compat',
      '[1] IPI CALL_FUNCTION to 3',
      '[3 i- irq] svm_check_processor_compat',
      '[1] on_each_cpu',
    ]);
  });

  it.each(CPUS)(
    'SVM is switched on with interrupts off, EFER first, then the own save area (CPU %i)',
    (cpu) => {
      expect(of(load, cpu)).toEqual(enabling(cpu));
    },
  );

  it('a broadcast asks the others, waits for them, and then its own CPU', () => {
    const writes = only(load, /wrmsr VM_HSAVE_PA/);
    expect(writes.map((text) => Number(text[1])).toSorted((a, b) => a - b)).toEqual(CPUS);
    expect(writes.at(-1)).toBe(`[${LOADER} i-] wrmsr VM_HSAVE_PA save_area(${LOADER})`);
  });

  it('who is told of reboots, of a sleeping machine and of /dev/kvm is told in this order', () => {
    expect(only(load, / (register_\w+_notifier|sysdev_register|misc_register)$/)).toEqual([
      '[1] register_cpu_notifier',
      '[1] register_reboot_notifier',
      '[1] sysdev_register',
      '[1] misc_register',
    ]);
  });

  it('a CPU that goes switches itself off, with interrupts off, the save area first', () => {
    expect(only(down, /wrmsr|rdmsr/)).toEqual(disabling(`[${VICTIM} i-]`));
  });

  it('it does so while the machine stands still', () => {
    const between = down.slice(
      down.findIndex((text) => text.includes('milestone MACHINE_STOPPED')),
      down.findIndex((text) => text.includes('milestone MACHINE_RUNS')),
    );
    expect(only(between, /wrmsr/)).toHaveLength(2);
  });

  it('INIT has switched SVM off on a CPU that comes back', () => {
    expect(only(up, /INIT|SIPI/).length).toBeGreaterThan(0);
    expect(only(up, /wrmsr EFER/)).toEqual([]);
  });

  it('at unloading /dev/kvm goes first, then who is told, and the broadcast that switches off comes last', () => {
    expect(only(unload, / (misc_deregister|sysdev_unregister|unregister_\w+_notifier|on_each_cpu)$/)).toEqual(
      [
        '[1] misc_deregister',
        '[1] sysdev_unregister',
        '[1] unregister_reboot_notifier',
        '[1] unregister_cpu_notifier',
        '[1] on_each_cpu',
      ],
    );
  });

  it.each([0, 1, 2])('SVM is switched off in the order: save area, EFER (CPU %i)', (cpu) => {
    expect(of(unload, cpu)).toEqual(disabling(at(cpu)));
  });

  it.each(CPUS)('a reboot switches SVM off everywhere, before the machine goes down (CPU %i)', (cpu) => {
    expect(of(reboot, cpu)).toEqual(disabling(at(cpu)));
  });
});
