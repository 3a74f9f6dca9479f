/**
 * A5 after A1 is as if nothing had been: no object, page, notifier, device or enabled bit stays. And it stays so a thousand times in
 * one machine, whose memory is so small that a page lost now and then would end it long before.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { type Machine, type MachineConfig, closeSharedPool, kernelInventory, kvmState } from 'smplab';
import {
  type Vendor,
  changes,
  describeCpu,
  insmod,
  rmmod,
  succeeds,
  variable,
  withMachine,
} from '../support/kvm-machine.ts';

afterAll(closeSharedPool);

const LOADER = 1;
const isLong = process.env['SMPLAB_LONG'] !== undefined;
/** The kernel's part is the same for both: what they do not share takes fewer rounds to show a leak. */
const CYCLES = isLong ? { amd: 10_000, intel: 10_000 } : { amd: 1_000, intel: 500 };
/** Ten times what it takes on two busy cores. */
const CYCLE_MILLISECONDS = 60;
/** Page frames of the machine that loads a thousand times: kvm-amd needs thirteen of them, and with half of them nothing loads. */
const FEW_PAGES = 16;
/** A process's memory goes up and down by some megabytes: less than 45 KB for each cycle is noise. */
const HOST_GROWTH_BYTES = 32 * 1024 * 1024;
const MEASURE_FROM = 250;

async function load(smp: Machine, vendor: Vendor): Promise<void> {
  await succeeds('insmod kvm', insmod(smp, 'kvm', LOADER));
  await succeeds(`insmod kvm-${vendor}`, insmod(smp, `kvm-${vendor}`, LOADER));
}

async function unload(smp: Machine, vendor: Vendor): Promise<void> {
  await succeeds(`rmmod kvm-${vendor}`, rmmod(smp, `kvm-${vendor}`, LOADER));
  await succeeds('rmmod kvm', rmmod(smp, 'kvm', LOADER));
}

const SETTINGS = (['amd', 'intel'] as const).flatMap((vendor) =>
  (['x86_64', 'i386'] as const).flatMap((arch) =>
    (['slab', 'slub'] as const).flatMap((allocator) =>
      (['parallel', 'deterministic'] as const).map((mode) => ({ vendor, arch, allocator, mode })),
    ),
  ),
);

describe('A5 after A1', () => {
  it.each(SETTINGS)(
    'leaves nothing behind ($vendor, $arch, $allocator, $mode, nr_cpus=4, seed=9)',
    async (setting) => {
      const { vendor } = setting;
      await withMachine({ ...setting, cpus: 4, seed: 9 }, async (smp) => {
        const before = smp.look(kernelInventory);
        const registers = kvmState(smp).map(describeCpu);
        await load(smp, vendor);
        expect(changes(before, smp.look(kernelInventory)).length).toBeGreaterThan(10);
        await succeeds('rmmod', rmmod(smp, `kvm-${vendor}`, LOADER));
        // Read while kvm.ko, whose they are, is still there.
        expect(variable(smp, 'kvm_x86_ops')).toBe(0);
        expect(kvmState(smp).some(({ hardwareEnabled }) => hardwareEnabled)).toBe(false);
        await succeeds('rmmod kvm', rmmod(smp, 'kvm', LOADER));

        expect(changes(before, smp.look(kernelInventory))).toEqual([]);
        const left = kvmState(smp).map(describeCpu);
        // The one exception: kvm-54 does not take CR4.VMXE back (spec 4.7), bit 13.
        const vmxe = setting.arch === 'i386' ? ['CR4 0x6d0', 'CR4 0x26d0'] : ['CR4 0x6e0', 'CR4 0x26e0'];
        expect(left).toEqual(registers.map((line) => line.replace(vmxe[0]!, vmxe[1]!)));
        expect(smp.findings().records).toEqual([]);
      });
    },
  );

  it.each(Object.entries(CYCLES) as ['amd' | 'intel', number][])(
    'leaves nothing behind, %s, %i times in one machine (parallel, nr_cpus=2)',
    async (vendor, cycles) => {
      const config: MachineConfig = { cpus: 2, vendor, pages: FEW_PAGES };
      await withMachine(config, async (smp) => {
        // Once, so that what the kernel keeps for good (slabs of its own caches) is there.
        await load(smp, vendor);
        await unload(smp, vendor);
        const before = smp.look(kernelInventory);
        let hostBefore = 0;
        for (let cycle = 0; cycle < cycles; cycle++) {
          await load(smp, vendor);
          await unload(smp, vendor);
          if (cycle % 100 === 0)
            expect(changes(before, smp.look(kernelInventory)), `cycle ${cycle}`).toEqual([]);
          if (cycle === MEASURE_FROM) hostBefore = process.memoryUsage().rss;
        }
        expect(changes(before, smp.look(kernelInventory))).toEqual([]);
        expect(smp.findings().records).toEqual([]);
        expect(process.memoryUsage().rss - hostBefore).toBeLessThan(HOST_GROWTH_BYTES);
      });
    },
    CYCLES.amd * CYCLE_MILLISECONDS,
  );

  it.each(['amd', 'intel'] as const)(
    'half as many pages are too few to load once: above, none was lost (%s)',
    async (vendor) => {
      await withMachine({ cpus: 2, vendor, pages: FEW_PAGES / 2 }, async (smp) => {
        await succeeds('insmod kvm', insmod(smp, 'kvm', LOADER));
        expect(await insmod(smp, `kvm-${vendor}`, LOADER)).toBe(-12);
      });
    },
  );
});
