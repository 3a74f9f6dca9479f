/**
 * Names for the numbers in events, as kernel developers write them. MSR names are those of the processor manuals; a test
 * compares the table with the MSRs the machine has.
 */
import { errnoName } from '#base/errno';
import { Instruction, Milestone, Outcome } from '#trace/events';

const MSR_NAMES: ReadonlyMap<number, string> = new Map([
  [0x10, 'TSC'],
  [0x3a, 'FEATURE_CONTROL'],
  [0x174, 'SYSENTER_CS'],
  [0x175, 'SYSENTER_ESP'],
  [0x176, 'SYSENTER_EIP'],
  [0x1a0, 'MISC_ENABLE'],
  [0x2ff, 'MTRR_DEF_TYPE'],
  [0x480, 'VMX_BASIC'],
  [0x481, 'VMX_PINBASED'],
  [0x482, 'VMX_PROCBASED'],
  [0x483, 'VMX_EXIT'],
  [0x484, 'VMX_ENTRY'],
  [0x485, 'VMX_MISC'],
  [0x486, 'VMX_CR0_FIXED0'],
  [0x487, 'VMX_CR0_FIXED1'],
  [0x488, 'VMX_CR4_FIXED0'],
  [0x489, 'VMX_CR4_FIXED1'],
  [0x48a, 'VMX_VMCS_ENUM'],
  [0x48b, 'VMX_PROCBASED2'],
  [0x48c, 'VMX_EPT_VPID'],
  [0x48d, 'VMX_TRUE_PINBASED'],
  [0x48e, 'VMX_TRUE_PROCBASED'],
  [0x48f, 'VMX_TRUE_EXIT'],
  [0x490, 'VMX_TRUE_ENTRY'],
  [0x491, 'VMX_VMFUNC'],
  [0xc0000080, 'EFER'],
  [0xc0000081, 'STAR'],
  [0xc0000082, 'LSTAR'],
  [0xc0000083, 'CSTAR'],
  [0xc0000084, 'SYSCALL_MASK'],
  [0xc0000100, 'FS_BASE'],
  [0xc0000101, 'GS_BASE'],
  [0xc0000102, 'KERNEL_GS_BASE'],
  [0xc0010114, 'VM_CR'],
  [0xc0010115, 'IGNNE'],
  [0xc0010117, 'VM_HSAVE_PA'],
  [0xc0010118, 'SVM_KEY'],
]);

export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

export function msrName(msr: number): string {
  return MSR_NAMES.get(msr) ?? hex(msr);
}

/** Interrupt vectors as the machine numbers them: its pending bits. */
const VECTOR_NAMES: ReadonlyMap<number, string> = new Map([
  [1, 'reschedule'],
  [2, 'call-function'],
  [4, 'invalidate-tlb'],
  [8, 'NMI'],
  [0x200, 'INIT'],
  [0x400, 'STARTUP'],
]);

/** Taking INIT or STARTUP is an instruction's event: which signal it was that was sent. */
export function startSignal(instruction: number): number | undefined {
  if (instruction === Instruction.INIT) return 0x200;
  return instruction === Instruction.SIPI ? 0x400 : undefined;
}

/** Undefined for a device's. */
export function knownVector(vector: number): string | undefined {
  return VECTOR_NAMES.get(vector);
}

export function vectorName(vector: number): string {
  return VECTOR_NAMES.get(vector) ?? `vector ${hex(vector)}`;
}

const INSTRUCTION_NAMES: Readonly<Record<Instruction, string>> = {
  [Instruction.CPUID]: 'cpuid',
  [Instruction.MOV_TO_CR4]: 'mov to CR4',
  [Instruction.VMXON]: 'vmxon',
  [Instruction.VMXOFF]: 'vmxoff',
  [Instruction.VMCLEAR]: 'vmclear',
  [Instruction.VMPTRLD]: 'vmptrld',
  [Instruction.SGDT]: 'sgdt',
  [Instruction.INVALIDATE_CACHES]: 'wbinvd',
  [Instruction.INIT]: 'INIT taken',
  [Instruction.SIPI]: 'STARTUP taken',
  [Instruction.HLT]: 'hlt',
  [Instruction.RESET]: 'RESET of CPU',
};

/** Instructions whose operand says something. */
const WITH_OPERAND: ReadonlySet<number> = new Set([
  Instruction.CPUID,
  Instruction.MOV_TO_CR4,
  Instruction.VMXON,
  Instruction.VMCLEAR,
  Instruction.VMPTRLD,
]);

export function instructionName(instruction: number): string {
  return INSTRUCTION_NAMES[instruction as Instruction] ?? `instruction ${instruction}`;
}

const OUTCOME_NAMES: Readonly<Record<Outcome, string>> = {
  [Outcome.SUCCESS]: '',
  [Outcome.VMFAIL_INVALID]: 'VMfailInvalid',
  [Outcome.VMFAIL_VALID]: 'VMfailValid',
  [Outcome.FAULT_UD]: '#UD',
  [Outcome.FAULT_GP]: '#GP',
  [Outcome.BLOCKED]: 'blocked',
};

/** `vmxon 0x5f000`, `vmxoff -> #UD`. */
export function instructionText(instruction: number, operand: bigint, outcome: number): string {
  const shown = WITH_OPERAND.has(instruction) ? ` ${hex(operand)}` : '';
  const ended = OUTCOME_NAMES[outcome as Outcome] ?? `outcome ${outcome}`;
  return `${instructionName(instruction)}${shown}${ended === '' ? '' : ` -> ${ended}`}`;
}

/** What happened to `cpu`, in words. */
export function milestoneText(milestone: number, cpu: number): string {
  switch (milestone as Milestone) {
    case Milestone.ONLINE_BIT_SET:
      return `CPU ${cpu} is in the online map`;
    case Milestone.ONLINE_BIT_CLEARED:
      return `CPU ${cpu} is out of the online map`;
    case Milestone.CALLIN:
      return `CPU ${cpu} calls in`;
    case Milestone.CALLOUT:
      return `CPU ${cpu} is called out`;
    case Milestone.DEAD:
      return `CPU ${cpu} is dead`;
    case Milestone.MACHINE_STOPPED:
      return 'the machine stands still';
    case Milestone.MACHINE_RUNS:
      return 'the machine runs again';
    default:
      return `milestone ${milestone} of CPU ${cpu}`;
  }
}

const HOTPLUG_ACTIONS: ReadonlyMap<number, string> = new Map([
  [0x2, 'CPU_ONLINE'],
  [0x3, 'CPU_UP_PREPARE'],
  [0x4, 'CPU_UP_CANCELED'],
  [0x5, 'CPU_DOWN_PREPARE'],
  [0x6, 'CPU_DOWN_FAILED'],
  [0x7, 'CPU_DEAD'],
  [0x8, 'CPU_LOCK_ACQUIRE'],
  [0x9, 'CPU_LOCK_RELEASE'],
  [0xa, 'CPU_DYING'],
]);
const CPU_TASKS_FROZEN = 0x10;

export function hotplugAction(action: number): string {
  const name = HOTPLUG_ACTIONS.get(action & ~CPU_TASKS_FROZEN) ?? hex(action);
  return (action & CPU_TASKS_FROZEN) === 0 ? name : `${name}|FROZEN`;
}

type Arguments = (a: number, b: number, c: number) => string;

const first: Arguments = (a) => String(a | 0);
const cpuOf: Arguments = (a) => `cpu ${a}`;

/** Arguments worth showing. Events carry three numbers and no types, so only known functions show any. */
const CALL_ARGUMENTS: ReadonlyMap<string, Arguments> = new Map<string, Arguments>([
  ['cpu_down', cpuOf],
  ['_cpu_down', cpuOf],
  ['cpu_up', cpuOf],
  ['_cpu_up', cpuOf],
  ['__cpu_up', cpuOf],
  ['__cpu_die', cpuOf],
  ['do_boot_cpu', cpuOf],
  ['wakeup_secondary_cpu', cpuOf],
  ['svm_cpu_init', cpuOf],
  ['alloc_vmcs_cpu', cpuOf],
  ['decache_vcpus_on_cpu', cpuOf],
  ['smp_call_function_single', cpuOf],
  ['check_for_tasks', cpuOf],
  ['idle_cpu', cpuOf],
  ['kzalloc', (a) => `${a} bytes`],
  ['kmalloc', (a) => `${a} bytes`],
  ['alloc_pages', (_gfp, order) => pages(order)],
  ['__free_pages', (_page, order) => pages(order)],
  ['alloc_page', () => '1 page'],
  ['set_msr_interception', (_map, msr) => msrName(msr)],
  ['notifier_call_chain', (_chain, action) => hotplugAction(action)],
  ['kvm_cpu_hotplug', (_block, action, cpu) => `${hotplugAction(action)}, cpu ${cpu}`],
  ['rdmsr_safe', (msr) => msrName(msr)],
  ['kvm_dev_ioctl', (_file, command) => hex(command)],
  ['kthread_stop', () => ''],
  ['exit', first],
]);

function pages(order: number): string {
  return order === 0 ? '1 page' : `${1 << order} pages`;
}

export function callArguments(symbol: string, a: number, b: number, c: number): string {
  return CALL_ARGUMENTS.get(symbol)?.(a, b, c) ?? '';
}

const ERRNO_MAX = 4095;

/** ` = -EBUSY` for a result that is an error number; nothing for any other: events do not know what returns void. */
export function resultText(result: number): string {
  const value = result | 0;
  return value < 0 && value >= -ERRNO_MAX ? ` = ${errnoName(value)}` : '';
}

/** KERN_* as dmesg's readers know them. */
export const LEVEL_NAMES: readonly string[] = [
  'emerg',
  'alert',
  'crit',
  'err',
  'warning',
  'notice',
  'info',
  'debug',
];
