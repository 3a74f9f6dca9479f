import { describe, expect, it } from 'vitest';
import { EIO } from '#base/errno';
import type { QuirkName } from '#memory/firmware';
import { int_on_bench } from './values.ts';
import { setup_vmcs_config, vmx_check_processor_compat } from '#kernel/kvm/vmx_setup';
import { vmcs_config } from '#kernel/kvm/vmx_data';
import { boot } from './bench.ts';

/** MSRs in the order setup_vmcs_config reads them, and one letter for a list of them. */
const READ = { p: 0x481, c: 0x482, s: 0x48b, x: 0x483, e: 0x484, b: 0x480 } as const;
const reads = (letters: string): number[] =>
  Array.from(letters, (letter) => READ[letter as keyof typeof READ]);

interface Row {
  readonly set: QuirkName;
  readonly i386: boolean;
  readonly result: number;
  readonly reads: string;
  readonly primary?: number;
  readonly secondary?: number;
  readonly exit?: number;
}

/** Spec B.6. */
const ROWS: readonly Row[] = [
  { set: 'P', i386: false, result: 0, reads: 'pcsxeb', primary: 0x86a1e1fa, secondary: 0x41, exit: 0x36fff },
  { set: 'P', i386: true, result: 0, reads: 'pcsxeb', primary: 0x86a1e1fa, secondary: 0x41, exit: 0x36dff },
  { set: 'F', i386: false, result: -EIO, reads: 'pcsxeb' },
  { set: 'F', i386: true, result: -EIO, reads: 'pcsxeb' },
  { set: 'F1', i386: false, result: -EIO, reads: 'p' },
  { set: 'F1', i386: true, result: -EIO, reads: 'p' },
  { set: 'F2', i386: false, result: -EIO, reads: 'pc' },
  { set: 'F2', i386: true, result: -EIO, reads: 'pc' },
  { set: 'F3', i386: false, result: -EIO, reads: 'pcsx' },
  { set: 'F3', i386: true, result: 0, reads: 'pcsxeb', primary: 0x86a1e1fa, secondary: 0x41, exit: 0x36dff },
  { set: 'F4', i386: false, result: -EIO, reads: 'pcsxeb' },
  { set: 'F4', i386: true, result: 0, reads: 'pcsxeb', primary: 0x86a1e1fa, secondary: 0x41, exit: 0x36dff },
  { set: 'D1', i386: false, result: 0, reads: 'pcxeb', primary: 0x0699e1fa, secondary: 0, exit: 0x36fff },
  { set: 'D1', i386: true, result: 0, reads: 'pcxeb', primary: 0x0681e1fa, secondary: 0, exit: 0x36dff },
  { set: 'D2', i386: false, result: 0, reads: 'pcsxeb', primary: 0x86a1e1fa, secondary: 0x40, exit: 0x36fff },
  { set: 'D2', i386: true, result: 0, reads: 'pcsxeb', primary: 0x8681e1fa, secondary: 0x40, exit: 0x36dff },
];

describe('setup_vmcs_config: the capability sets of spec B.6', () => {
  it.each(ROWS)('set $set, i386=$i386: $result after reading $reads', (row) => {
    const bench = boot({ vendor: 'intel', i386: row.i386, quirks: [row.set] });
    expect(setup_vmcs_config(vmcs_config)).toBe(row.result);
    expect(bench.msrReads).toEqual(reads(row.reads));
    if (row.result !== 0) {
      expect(vmcs_config.size).toBe(0);
      return;
    }
    expect(vmcs_config.size).toBe(0x800);
    expect(vmcs_config.order).toBe(0);
    expect(vmcs_config.revision_id).toBe(0xd);
    expect(vmcs_config.pin_based_exec_ctrl).toBe(0x1f);
    expect(vmcs_config.cpu_based_exec_ctrl).toBe(row.primary);
    expect(vmcs_config.cpu_based_2nd_exec_ctrl).toBe(row.secondary);
    expect(vmcs_config.vmexit_ctrl).toBe(row.exit);
    expect(vmcs_config.vmentry_ctrl).toBe(0x11ff);
  });
});

describe('vmx_check_processor_compat', () => {
  it('a CPU like the loading one: 0 through the pointer, nothing logged', () => {
    const bench = boot({ vendor: 'intel' });
    setup_vmcs_config(vmcs_config);
    const answer = int_on_bench(bench, 77);
    vmx_check_processor_compat(answer.addr);
    expect(answer.value).toBe(0);
    expect(bench.log()).not.toContain('kvm: CPU 0 feature inconsistency!');
  });

  it('a CPU with other controls: -EIO and the log says so', () => {
    const bench = boot({ vendor: 'intel', quirks: ['D2'] });
    setup_vmcs_config(vmcs_config);
    vmcs_config.cpu_based_2nd_exec_ctrl = 0x41;
    const answer = int_on_bench(bench, 0);
    vmx_check_processor_compat(answer.addr);
    expect(answer.value).toBe(-EIO);
    expect(bench.log()).toContain('kvm: CPU 0 feature inconsistency!');
  });
});
