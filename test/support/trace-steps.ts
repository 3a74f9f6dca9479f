/**
 * A machine's trace as steps that a reference trace can name: `[1] kvm_init`, `[0 i- irq] wrmsr EFER 0x1d01`.
 *
 * `[cpu]` is where it happened; `i-` means with interrupts off, `irq` inside an interrupt handler. Kept are functions of a
 * vocabulary, every access to hardware, IPIs and interrupts but those that only reschedule, log lines, and pages taken and given
 * back. With TraceMask.OPERATIONS also what is done to the variables a reference trace speaks of.
 */
import {
  ContextFlag,
  EventType,
  Instruction,
  type LogRecord,
  Milestone,
  Outcome,
  type TraceEvent,
  symbolName,
  symbolizeData,
} from 'smplab';

/** TraceMask: functions and hardware; and these with every access to memory. */
export const TRACE_STEPS = 5;
export const TRACE_STEPS_AND_MEMORY = 7;

export interface Step {
  readonly cpu: number;
  readonly sequence: number;
  readonly text: string;
}

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
const wide = ({ b, c }: TraceEvent): bigint => (BigInt(c) << 32n) | BigInt(b);
const nameOf = <T>(names: Readonly<Record<string, T>>, value: T): string =>
  Object.entries(names).find(([, known]) => known === value)?.[0] ?? String(value);

/** Vectors, as the trace numbers them. */
const RESCHEDULE = 1;
const VECTORS: Readonly<Record<number, string>> = { 2: 'CALL_FUNCTION', 0x200: 'INIT', 0x400: 'SIPI' };

const MSRS: Readonly<Record<number, string>> = {
  0x3a: 'FEATURE_CONTROL',
  0xc0000080: 'EFER',
  0xc0010114: 'VM_CR',
  0xc0010117: 'VM_HSAVE_PA',
};
const msrName = (msr: number): string => MSRS[msr] ?? hex(msr);

const ACTIONS: Readonly<Record<number, string>> = {
  2: 'CPU_ONLINE',
  3: 'CPU_UP_PREPARE',
  4: 'CPU_UP_CANCELED',
  5: 'CPU_DOWN_PREPARE',
  6: 'CPU_DOWN_FAILED',
  7: 'CPU_DEAD',
  8: 'CPU_LOCK_ACQUIRE',
  9: 'CPU_LOCK_RELEASE',
  10: 'CPU_DYING',
};
const action = ({ c }: TraceEvent): string => ` ${ACTIONS[c] ?? hex(c)}`;
const first = ({ b }: TraceEvent): string => `(${b})`;
const plain = (): string => '';

/** Functions that are steps, and what of their arguments belongs to the step. */
const FUNCTIONS: Readonly<Record<string, (event: TraceEvent) => string>> = {
  svm_init: plain,
  vmx_init: plain,
  svm_exit: plain,
  vmx_exit: plain,
  kvm_init: plain,
  kvm_exit: plain,
  kvm_init_debug: plain,
  kvm_exit_debug: plain,
  kvm_arch_init: plain,
  kvm_arch_exit: plain,
  kvm_mmu_module_init: plain,
  kvm_mmu_module_exit: plain,
  kmem_cache_create: ({ c, d }) => ` ${c} bytes${d === 0 ? '' : ` aligned to ${d}`}`,
  kmem_cache_destroy: plain,
  kvm_init_msr_list: plain,
  has_svm: plain,
  is_disabled: plain,
  cpu_has_kvm_support: plain,
  vmx_disabled_by_bios: plain,
  // Only the low words of the two 64-bit patterns are in the event.
  kvm_mmu_set_nonpresent_ptes: ({ b, c }) => ` ${hex(b)} ${hex(c)}`,
  kvm_arch_hardware_setup: plain,
  kvm_arch_hardware_unsetup: plain,
  svm_hardware_setup: plain,
  svm_hardware_unsetup: plain,
  set_msr_interception: ({ c, d }) => ` ${msrName(c)} read=${d}`,
  svm_cpu_init: first,
  hardware_setup: plain,
  hardware_unsetup: plain,
  setup_vmcs_config: plain,
  alloc_kvm_area: plain,
  free_kvm_area: plain,
  alloc_vmcs_cpu: first,
  smp_call_function_single: first,
  on_each_cpu: plain,
  kvm_arch_check_processor_compat: plain,
  svm_check_processor_compat: plain,
  vmx_check_processor_compat: plain,
  hardware_enable: plain,
  hardware_disable: plain,
  kvm_arch_hardware_enable: plain,
  kvm_arch_hardware_disable: plain,
  svm_hardware_enable: plain,
  svm_hardware_disable: plain,
  vmx_hardware_enable: plain,
  vmx_hardware_disable: plain,
  decache_vcpus_on_cpu: first,
  register_cpu_notifier: plain,
  unregister_cpu_notifier: plain,
  register_reboot_notifier: plain,
  unregister_reboot_notifier: plain,
  sysdev_class_register: plain,
  sysdev_class_unregister: plain,
  sysdev_register: plain,
  sysdev_unregister: plain,
  misc_register: plain,
  misc_deregister: plain,
  kvm_init_anon_inodes: plain,
  kvm_exit_anon_inodes: plain,
  preempt_notifier_sys_init: plain,
  preempt_notifier_sys_exit: plain,
  cpu_down: first,
  cpu_up: first,
  notifier_call_chain: action,
  kvm_cpu_hotplug: action,
  migration_call: action,
  update_sched_domains: action,
  set_cpus_allowed: plain,
  __stop_machine_run: plain,
  take_cpu_down: plain,
  __cpu_disable: plain,
  play_dead: plain,
  __cpu_die: first,
  __cpu_up: first,
  start_secondary: plain,
  smp_callin: plain,
  lock_ipi_call_lock: plain,
  unlock_ipi_call_lock: plain,
};

const PAGE_SIZE = 4096;
const ALLOCATORS = new Set([
  'alloc_page',
  'alloc_pages',
  'alloc_pages_node',
  '__free_page',
  '__free_pages',
  'free_pages',
  'free_page',
  'free_vmcs',
]);
const OBJECT_ALLOCATORS = new Set(['kzalloc', 'kfree']);

/** Fields of struct svm_cpu_data by their offset. */
const SVM_CPU_DATA: Readonly<Record<number, string>> = {
  8: 'asid_generation',
  16: 'max_asid',
  20: 'next_asid',
  24: 'tss_desc',
};

/** Variables whose every change is a step. */
const WATCHED = new Set([
  'kvm_x86_ops',
  'bad_page',
  'iopm_base',
  'msrpm_base',
  'svm_features',
  'vmx_io_bitmap_a',
  'vmx_io_bitmap_b',
]);
/** Structures of which a store into their middle is a step. */
const WATCHED_PARTS = ['kvm_chardev_ops', 'kvm_preempt_ops'];

/** Turns events into steps. Remembers between two readings which page is whose. */
export class StepReader {
  readonly #log: ReadonlyMap<number, LogRecord>;
  /** Address of a page or an object -> its name, from when it was allocated. */
  readonly #named = new Map<number, string>();
  /** By CPU: the functions it is in, and the first argument of each. */
  readonly #stacks = new Map<number, { name: string; argument: number }[]>();
  /** I/O bitmaps allocated: kvm-intel takes two at each load. */
  #bitmaps = 0;

  constructor(log: readonly LogRecord[]) {
    this.#log = new Map(log.map((record) => [record.seq, record]));
  }

  read(events: readonly TraceEvent[]): Step[] {
    return events.flatMap((event) => {
      const text = this.#text(event);
      if (text === undefined) return [];
      const { cpu, context, sequence } = event;
      const off = (context & ContextFlag.IRQS_OFF) === 0 ? '' : ' i-';
      const irq = (context & ContextFlag.HARDIRQ) === 0 ? '' : ' irq';
      return [{ cpu, sequence, text: `[${cpu}${off}${irq}] ${text}` }];
    });
  }

  /** The function an event happened in; `up` callers further out. */
  #inside({ cpu, depth }: TraceEvent, up = 0): { readonly name: string; readonly argument: number } {
    return this.#stacks.get(cpu)?.[depth - 1 - up] ?? { name: '', argument: 0 };
  }

  #text(event: TraceEvent): string | undefined {
    switch (event.type) {
      case EventType.FUNCTION_ENTRY:
        return this.#entry(event);
      case EventType.MSR_READ:
        return `rdmsr ${msrName(event.a)}${this.#probed(event)}${event.d === 0 ? '' : ' #GP'}`;
      case EventType.MSR_WRITE:
        return `wrmsr ${msrName(event.a)} ${this.#value(wide(event))}${event.d === 0 ? '' : ' #GP'}`;
      case EventType.INSTRUCTION:
        return this.#instruction(event);
      case EventType.IRQ_ENTRY:
        return event.a === RESCHEDULE ? undefined : `interrupt ${VECTORS[event.a] ?? hex(event.a)}`;
      case EventType.IPI_SEND:
        return event.a === RESCHEDULE ? undefined : `IPI ${VECTORS[event.a] ?? hex(event.a)} to ${event.b}`;
      case EventType.HOTPLUG:
        return `milestone ${nameOf(Milestone, event.a as Milestone)} ${event.b}`;
      case EventType.PRINTK:
        return `printk ${this.#log.get(event.a)?.text ?? `record ${event.a}`}`;
      case EventType.ALLOCATION:
        return this.#allocation(event);
      case EventType.LOAD:
      case EventType.STORE:
      case EventType.RMW:
        return this.#memory(event);
      default:
        return undefined;
    }
  }

  #entry(event: TraceEvent): string | undefined {
    const name = symbolName(event.a) ?? hex(event.a);
    const stack = this.#stacks.get(event.cpu) ?? [];
    stack.length = event.depth;
    stack.push({ name, argument: event.b });
    this.#stacks.set(event.cpu, stack);
    const details = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
    return details === undefined ? undefined : `${name}${details(event)}`;
  }

  /** What was read; a register that is only probed for its presence has no value worth a word. */
  #probed(event: TraceEvent): string {
    return this.#inside(event).name === 'kvm_init_msr_list' ? '' : ` ${hex(wide(event))}`;
  }

  #value(value: bigint): string {
    return this.#named.get(Number(value)) ?? hex(value);
  }

  #instruction(event: TraceEvent): string | undefined {
    const name = nameOf(Instruction, event.a as Instruction);
    const outcome = event.d === Outcome.SUCCESS ? '' : ` ${nameOf(Outcome, event.d as Outcome)}`;
    switch (event.a) {
      case Instruction.CPUID:
        return `cpuid ${hex(event.b)}`;
      case Instruction.MOV_TO_CR4:
        return `mov to CR4 ${hex(event.b)}${outcome}`;
      case Instruction.VMXON:
        return `VMXON ${this.#value(wide(event))}${outcome}`;
      case Instruction.SIPI:
        // Two are sent; the one that finds the CPU running is discarded.
        return event.d === Outcome.BLOCKED ? undefined : 'SIPI';
      case Instruction.HLT:
        return undefined;
      default:
        return `${name}${outcome}`;
    }
  }

  #allocation(event: TraceEvent): string | undefined {
    const { name } = this.#inside(event);
    if (ALLOCATORS.has(name)) return this.#pages(event);
    if (!OBJECT_ALLOCATORS.has(name) || event.c === 0) return undefined;
    const owner = this.#inside(event, 1);
    if (event.d === 1 && owner.name === 'svm_cpu_init')
      this.#named.set(event.a, `svm_data(${owner.argument})`);
    const object = this.#named.get(event.a);
    if (object === undefined) return undefined;
    if (event.d === 0) this.#named.delete(event.a);
    return `${event.d === 1 ? 'alloc' : 'free'} ${object}`;
  }

  #pages(event: TraceEvent): string {
    let up = 0;
    while (ALLOCATORS.has(this.#inside(event, up).name)) up++;
    const owner = this.#inside(event, up);
    const count = event.b / PAGE_SIZE;
    if (event.d === 1 && owner.name === 'svm_cpu_init')
      this.#named.set(event.a, `save_area(${owner.argument})`);
    if (event.d === 1 && owner.name === 'alloc_vmcs_cpu')
      this.#named.set(event.a, `vmxarea(${owner.argument})`);
    if (event.d === 1 && owner.name === 'kvm_init') this.#named.set(event.a, 'bad_page');
    if (event.d === 1 && owner.name === 'vmx_init') {
      this.#named.set(event.a, this.#bitmaps++ % 2 === 0 ? 'I/O bitmap A' : 'I/O bitmap B');
    }
    const name = this.#named.get(event.a);
    if (event.d === 0) this.#named.delete(event.a);
    return `${event.d === 1 ? 'alloc' : 'free'} ${name ?? `${count} page${count === 1 ? '' : 's'}`}`;
  }

  #memory(event: TraceEvent): string | undefined {
    const inside = this.#inside(event);
    const variable = symbolizeData(event.a);
    if (event.type === EventType.LOAD) {
      return variable === 'kvm_x86_ops' && inside.name === 'kvm_arch_init'
        ? `load kvm_x86_ops = ${hex(event.b)}`
        : undefined;
    }
    if (event.type === EventType.RMW) {
      if (variable?.startsWith('cpus_hardware_enabled') !== true) return undefined;
      const bit = 31 - Math.clz32(event.b ^ event.c);
      return `${event.c >>> 0 > event.b ? 'set' : 'clear'} bit ${bit} of cpus_hardware_enabled`;
    }
    if (inside.name === 'svm_check_processor_compat' && event.a === inside.argument)
      return `*rtn = ${event.b}`;
    const field = this.#field(event);
    if (field !== undefined) return field;
    if (variable === undefined) return undefined;
    if (WATCHED.has(variable)) return `store ${variable}${event.b === 0 ? ' = NULL' : ''}`;
    const part = WATCHED_PARTS.find((name) => variable === name || variable.startsWith(`${name}+`));
    return part === undefined
      ? undefined
      : `store ${part}: ${symbolName(event.b) ?? symbolizeData(event.b) ?? hex(event.b)}`;
  }

  /** A store into a svm_cpu_data that svm_hardware_enable fills in. */
  #field(event: TraceEvent): string | undefined {
    if (this.#inside(event).name !== 'svm_hardware_enable') return undefined;
    for (const [offset, field] of Object.entries(SVM_CPU_DATA)) {
      const owner = this.#named.get(event.a - Number(offset));
      if (owner?.startsWith('svm_data') !== true) continue;
      return `${owner}.${field}${field === 'tss_desc' ? '' : ` = ${hex(event.b)}`}`;
    }
    return undefined;
  }
}

/** The events between each entry of a function and its exit, on all CPUs. */
export function windows(events: readonly TraceEvent[], symbol: string): TraceEvent[][] {
  const found: TraceEvent[][] = [];
  let begin: TraceEvent | undefined;
  let from = 0;
  for (const [at, event] of events.entries()) {
    if (begin === undefined) {
      if (event.type !== EventType.FUNCTION_ENTRY || symbolName(event.a) !== symbol) continue;
      begin = event;
      from = at;
    } else if (event.type === EventType.FUNCTION_EXIT && event.a === begin.a && event.pid === begin.pid) {
      found.push(events.slice(from, at));
      begin = undefined;
    }
  }
  return found;
}

/** Steps in exactly this order. */
type Strict = readonly string[];
/** Steps of several CPUs: each CPU's in its order, interleaved in any way; but `before` names pairs that are ordered. */
interface Interleaved {
  readonly lanes: readonly Strict[];
  readonly before?: readonly (readonly [string, string])[];
}
export type Reference = readonly (Strict | Interleaved)[];

const isStrict = (section: Strict | Interleaved): section is Strict => Array.isArray(section);

/** The reference as one list: lanes one after the other. */
export function referenceLines(reference: Reference): string[] {
  return reference.flatMap((section) => (isStrict(section) ? section : section.lanes.flat()));
}

/**
 * What was seen, in the order of the reference: where lanes may interleave, the steps are sorted by CPU, and nowhere else. Equal
 * to referenceLines exactly if the trace is one that the reference allows; of pairs that are out of order it says so in a line.
 */
export function inReferenceOrder(reference: Reference, steps: readonly Step[]): string[] {
  const lines: string[] = [];
  let at = 0;
  for (const section of reference) {
    const count = isStrict(section) ? section.length : section.lanes.flat().length;
    const seen = steps.slice(at, at + count);
    at += count;
    if (isStrict(section)) {
      lines.push(...seen.map(({ text }) => text));
      continue;
    }
    const laneOf = (step: Step): number => {
      const lane = section.lanes.findIndex(([text = '']) => cpuOf(text) === step.cpu);
      return lane < 0 ? Infinity : lane;
    };
    lines.push(...seen.toSorted((left, right) => laneOf(left) - laneOf(right)).map(({ text }) => text));
    const texts = seen.map(({ text }) => text);
    for (const [earlier, later] of section.before ?? []) {
      if (texts.indexOf(earlier) > texts.indexOf(later))
        lines.push(`out of order: ${later} before ${earlier}`);
    }
  }
  lines.push(...steps.slice(at).map(({ text }) => text));
  return lines;
}

function cpuOf(line: string): number {
  return Number.parseInt(line.slice(1), 10);
}

/** Which of the possible interleavings this was: the CPUs of the interleaved steps, in order. */
export function interleavingOf(reference: Reference, steps: readonly Step[]): string {
  let at = 0;
  return reference
    .map((section) => {
      const count = isStrict(section) ? section.length : section.lanes.flat().length;
      const seen = steps.slice(at, at + count);
      at += count;
      return isStrict(section) ? '' : seen.map(({ cpu }) => cpu).join('');
    })
    .join('|');
}
