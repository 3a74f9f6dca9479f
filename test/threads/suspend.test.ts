/**
 * Suspend to memory with kvm loaded (spec 5.4): the order of a sleep, and what each vendor's module has when the machine is awake
 * again. On Intel all is as it was; kvm-54 on AMD has switched SVM off on every CPU for good.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { EventType, type Machine, closeSharedPool, kvmState, symbolTable } from 'smplab';
import { cpuUp, describeCpu, insmod, succeeds, valueOf, withMachine } from '../support/kvm-machine.ts';

afterAll(closeSharedPool);

const PM_SUSPEND_MEM = 3;
const ENODEV = 19;
const EINVAL = 22;
const NR_CPUS = 4;

const SETTINGS = (['amd', 'intel'] as const).flatMap((vendor) =>
  (['parallel', 'deterministic'] as const).map((mode) => ({
    vendor,
    mode,
    cpus: NR_CPUS,
    seed: 3,
    trace: 1,
  })),
);

/** The steps of a sleep, as calls, each with the CPU it was made on. */
const STEPS = [
  'disable_nonboot_cpus',
  'sysdev_suspend',
  'kvm_suspend',
  'acpi_pm_enter',
  'sysdev_resume',
  'kvm_resume',
  'enable_nonboot_cpus',
];

function stepsOf(smp: Machine): string[] {
  const names = symbolTable();
  return smp
    .trace()
    .events.filter(({ type }) => type === EventType.FUNCTION_ENTRY)
    .map(({ a, cpu, context }) => ({
      name: names[(a - 0xc0100000) / 16] ?? '',
      cpu,
      off: (context & 1) !== 0,
    }))
    .filter(({ name }) => STEPS.includes(name))
    .map(({ name, cpu, off }) => `${name} on CPU ${cpu}${off ? ', interrupts off' : ''}`);
}

describe('pm_suspend', () => {
  it.each(SETTINGS)(
    'sleeps and wakes in order, kvm loaded ($vendor, $mode, nr_cpus=4, seed=3)',
    async (setting) => {
      await withMachine(setting, async (smp) => {
        await succeeds('insmod kvm', insmod(smp, 'kvm'));
        await succeeds('insmod', insmod(smp, `kvm-${setting.vendor}`));
        const before = kvmState(smp).map(describeCpu);
        smp.clearTrace();

        // From a CPU that has to go: the task goes on on the boot CPU.
        expect(valueOf(await smp.call('pm_suspend', { cpu: 2, args: [PM_SUSPEND_MEM] }))).toBe(0);

        const [begin, ...rest] = stepsOf(smp);
        expect(begin).toBe('disable_nonboot_cpus on CPU 2');
        expect(rest.slice(0, 5)).toEqual([
          'sysdev_suspend on CPU 0, interrupts off',
          'kvm_suspend on CPU 0, interrupts off',
          'acpi_pm_enter on CPU 0, interrupts off',
          'sysdev_resume on CPU 0, interrupts off',
          'kvm_resume on CPU 0, interrupts off',
        ]);
        expect(rest[5]).toMatch(/^enable_nonboot_cpus on CPU/);
        expect(rest).toHaveLength(6);

        const after = kvmState(smp).map(describeCpu);
        if (setting.vendor === 'intel') expect(after).toEqual(before);
        else
          expect(after).toEqual(
            [0, 1, 2, 3].map((cpu) => `${cpu}: online, bit, svm_data none, EFER 0xd01 VM_HSAVE_PA 0x0`),
          );
        expect(smp.findings().records).toEqual([]);
      });
    },
  );

  it('every CPU has had a RESET: registers that nothing gives back are those of power-up (intel, nr_cpus=4)', async () => {
    await withMachine({ cpus: NR_CPUS, vendor: 'intel' }, async (smp) => {
      const before = kvmState(smp).map(describeCpu);
      await succeeds('insmod kvm', insmod(smp, 'kvm'));
      await succeeds('insmod kvm-intel', insmod(smp, 'kvm-intel'));
      await succeeds('rmmod', smp.call('sys_delete_module', { text: 'kvm-intel' }).then(valueOf));
      await succeeds('rmmod kvm', smp.call('sys_delete_module', { text: 'kvm' }).then(valueOf));
      // kvm leaves CR4.VMXE set (spec 4.7): the boot CPU keeps it over the sleep, as it keeps all of CR4; the others boot anew.
      await succeeds('pm_suspend', smp.call('pm_suspend', { args: [PM_SUSPEND_MEM] }).then(valueOf));
      expect(kvmState(smp).map(describeCpu)).toEqual([
        before[0]!.replace('0x6e0', '0x26e0'),
        ...before.slice(1),
      ]);
    });
  });

  it('another state than S3: -EINVAL, and every CPU is back', async () => {
    await withMachine({ cpus: 2, vendor: 'amd' }, async (smp) => {
      expect(valueOf(await smp.call('pm_suspend', { args: [1] }))).toBe(-EINVAL);
      expect(kvmState(smp).every(({ online }) => online)).toBe(true);
    });
  });

  it('a platform that cannot sleep: -ENODEV, and nothing has happened', async () => {
    await withMachine({ cpus: 2, vendor: 'amd' }, async (smp) => {
      await smp.call('suspend_set_ops', { args: [0] });
      expect(valueOf(await smp.call('pm_suspend', { args: [PM_SUSPEND_MEM] }))).toBe(-ENODEV);
      expect(kvmState(smp).every(({ online }) => online)).toBe(true);
    });
  });

  it('a CPU that was off stays off, and can be started afterwards', async () => {
    await withMachine({ cpus: 3, vendor: 'intel' }, async (smp) => {
      await succeeds('cpu_down', smp.call('cpu_down', { args: [1] }).then(valueOf));
      await succeeds('pm_suspend', smp.call('pm_suspend', { args: [PM_SUSPEND_MEM] }).then(valueOf));
      expect(kvmState(smp).map(({ online }) => online)).toEqual([true, false, true]);
      await succeeds('cpu_up', cpuUp(smp, 1));
    });
  });
});
