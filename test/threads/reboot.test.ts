/** A machine that is told to restart, halt or switch off does so, and that is neither a panic nor a hang. */
import { afterAll, expect, it } from 'vitest';
import { closeSharedPool } from 'smplab';
import { withMachine } from '../support/kvm-machine.ts';

afterAll(closeSharedPool);

const MAGIC = [0xfee1dead | 0, 0x28121969] as const;

it.each(
  (['parallel', 'deterministic'] as const).flatMap((mode) =>
    (
      [
        ['restart', 0x01234567],
        ['halt', 0xcdef0123 | 0],
        ['power-off', 0x4321fedc],
      ] as const
    ).map(([by, command]) => ({ mode, by, command })),
  ),
)('sys_reboot: the machine is stopped by a $by ($mode)', async ({ mode, by, command }) => {
  await withMachine({ cpus: 2, vendor: 'amd', mode, seed: 1 }, async (smp) => {
    expect(await smp.call('sys_reboot', { cpu: 1, args: [...MAGIC, command, 0] })).toEqual({
      kind: 'stopped',
      by,
    });
    expect(smp.findings().records).toEqual([]);
    // It answers nothing else from then on.
    expect(await smp.call('schedule', { cpu: 0 })).toEqual({ kind: 'stopped', by });
  });
});
