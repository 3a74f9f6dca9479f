/** Machines of many CPUs on few cores: they boot, load, go down to one CPU and come back; and what a CPU costs the host. */
import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { type Machine, closeSharedPool, kvmState } from 'smplab';
import { cpuDown, cpuUp, insmod, rmmod, succeeds, valueOf, withMachine } from '../support/kvm-machine.ts';

afterAll(closeSharedPool);

const LONG = process.env['SMPLAB_LONG'] !== undefined;
const PM_SUSPEND_MEM = 3;
const MIB = 1024 * 1024;
/** Resident memory that a CPU more may cost. */
const MIB_PER_CPU = 12;
const CALL_TIMEOUT_MS = 60_000;

/** Bytes of this process that are in memory, all threads together. */
function residentBytes(): number {
  const found = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
  return Number(found?.[1] ?? NaN) * 1024;
}

/** As somebody does who writes to sysfs, one after the other. */
async function offAndOn(smp: Machine, cpus: number): Promise<void> {
  for (let cpu = 1; cpu < cpus; cpu++) await succeeds(`cpu_down ${cpu}`, cpuDown(smp, cpu));
  expect(kvmState(smp).filter(({ online }) => online)).toHaveLength(1);
  for (let cpu = 1; cpu < cpus; cpu++) await succeeds(`cpu_up ${cpu}`, cpuUp(smp, cpu));
}

describe('many CPUs', () => {
  it.skipIf(process.platform !== 'linux')(
    '64: boot, load, all but one off and on in a suspend, unload; at most 12 MiB for a CPU',
    async () => {
      const config = { vendor: 'intel', callTimeoutMs: CALL_TIMEOUT_MS } as const;
      // What is loaded once for all is loaded before.
      await withMachine({ ...config, cpus: 2 }, async (smp) => succeeds('insmod', insmod(smp, 'kvm')));
      const before = residentBytes();
      await withMachine({ ...config, cpus: 64 }, async (smp) => {
        await succeeds('insmod kvm', insmod(smp, 'kvm'));
        await succeeds('insmod kvm-intel', insmod(smp, 'kvm-intel', 5));
        expect(kvmState(smp).filter((cpu) => cpu.online && 'inVmxRoot' in cpu && cpu.inVmxRoot)).toHaveLength(
          64,
        );
        expect((residentBytes() - before) / 62 / MIB).toBeLessThanOrEqual(MIB_PER_CPU);
        if (LONG) await offAndOn(smp, 64);
        // Every CPU but the first goes off, and comes back.
        await succeeds('pm_suspend', smp.call('pm_suspend', { args: [PM_SUSPEND_MEM] }).then(valueOf));
        expect(kvmState(smp).filter((cpu) => cpu.online && 'inVmxRoot' in cpu && cpu.inVmxRoot)).toHaveLength(
          64,
        );
        await succeeds('rmmod kvm-intel', rmmod(smp, 'kvm-intel'));
        await succeeds('rmmod kvm', rmmod(smp, 'kvm'));
        expect(smp.findings().records).toEqual([]);
      });
    },
  );

  it.runIf(LONG)('256 possible: boot, load, unload', async () => {
    await withMachine({ cpus: 256, vendor: 'amd', callTimeoutMs: CALL_TIMEOUT_MS }, async (smp) => {
      await succeeds('insmod kvm', insmod(smp, 'kvm'));
      await succeeds('insmod kvm-amd', insmod(smp, 'kvm-amd', 200));
      expect(kvmState(smp).filter((cpu) => cpu.online && cpu.hardwareEnabled)).toHaveLength(256);
      await offAndOn(smp, 256);
      await succeeds('rmmod kvm-amd', rmmod(smp, 'kvm-amd'));
      await succeeds('rmmod kvm', rmmod(smp, 'kvm'));
      expect(smp.findings().records).toEqual([]);
    });
  });
});
