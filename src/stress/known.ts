/** Reports of the simulated kernel about itself that are documented defects of kvm-54, recognised by where they happen. */
import type { FindingRecord } from '#smp/printk';

interface Defect {
  /** Any of these on the stack. */
  readonly on: readonly string[];
  readonly title?: RegExp;
  /** Only where this fault is injected; and also in a mended kernel. */
  readonly fault?: string;
  readonly where: string;
}

const DEFECTS: readonly Defect[] = [
  {
    on: ['pre_svm_run', 'reload_tss'],
    title: /NULL pointer/,
    where: 'spec 3.7, 7.8: a vCPU runs on a CPU that has lost its svm_data',
  },
  {
    on: ['svm_vcpu_run', 'svm_hardware_enable'],
    title: /invalid opcode|general protection/,
    where: 'spec 7.8: a vCPU runs on a CPU before CPU_ONLINE has enabled it',
  },
  {
    on: ['do_invalid_op'],
    title: /(?:vmread|vmwrite|vmptrld|vmclear|vmlaunch|vmresume)$/,
    where: 'spec 7.8: a vCPU is used on a CPU that is not in VMX operation',
  },
  {
    on: ['vmx_hardware_disable'],
    title: /vmxoff$/,
    where: 'spec 4.6, 7.8: VMXOFF on a CPU that is marked as enabled and is not in VMX operation',
  },
  {
    on: ['anon_inode_getfd'],
    title: /NULL pointer/,
    where: 'spec 1.4: /dev/kvm can be opened before the file system of its files is there',
  },
  {
    on: ['decache_vcpus_on_cpu', 'vcpu_clear'],
    title: /called with interrupts off/,
    where: 'spec 5.2: CPU_DYING makes a cross call with interrupts off',
  },
  {
    on: ['do_invalid_op'],
    fault: 'vmxon',
    where: 'injected: vmxon; kvm-54 does not look whether VMXON succeeded (spec 5.1, B.7)',
  },
  {
    on: ['sys_delete_module', 'sys_init_module'],
    title: /paging request at 6b6b6b/,
    fault: 'kthread_create',
    where:
      'injected: kthread_create; free_module of 2.6.24 does not look whether the machine could be stopped',
  },
];

/**
 * Where a report is documented; undefined: nowhere.
 * @param patched livepatches are on: what they mend is documented no more
 * @param faults sites of the faults that have struck
 */
export function knownDefect(
  { title, stack, detail }: FindingRecord,
  patched: boolean,
  faults: readonly string[],
): string | undefined {
  const text = `${title} ${detail ?? ''}`.trim();
  return DEFECTS.find(
    ({ on, title: wanted, fault }) =>
      (fault === undefined ? !patched : faults.includes(fault)) &&
      on.some((name) => stack.includes(name)) &&
      (wanted?.test(text) ?? true),
  )?.where;
}
