/**
 * Where things are in a machine's physical memory. The host and the CPU threads meet here and nowhere else.
 *
 *     0x0000  page zero: unmapped, so that a null dereference is an oops
 *     0x1000  machine block: one page of words every CPU and the host share
 *     0x2000  per-CPU template: 8 KiB of the kernel's, then the 8 KiB reserve for modules (spec 6.9)
 *     0x6000  static data of the kernel and of its modules, fixed when the code was imported
 *     ....    from here on by configuration: firmware tables, CPU blocks, contexts, per-CPU areas, tasks,
 *             page frames; then what a snapshot leaves out: printk records, findings, trace rings,
 *             and what a search writes down (memory/search.ts)
 *
 * Kernel text has addresses but no bytes: a pointer to a function is never readable memory.
 */
import { NR_CPUS } from '#base/limits';
import { ringBytes } from '#trace/ring';
import { searchBytes } from './search.ts';

export const PAGE_SHIFT = 12;
export const PAGE_SIZE = 4096;

export const MACHINE_BLOCK = 0x1000;
export const PERCPU_TEMPLATE = 0x2000;
/** Bytes of per-CPU data the kernel itself may define; the same again is reserved for modules. */
export const PERCPU_KERNEL_BYTES = 0x2000;
export const PERCPU_MODULE_RESERVE = 0x2000;
export const PERCPU_BYTES = PERCPU_KERNEL_BYTES + PERCPU_MODULE_RESERVE;
export const STATIC_DATA = PERCPU_TEMPLATE + PERCPU_BYTES;

/** First address of kernel text: beyond any physical memory a machine can have. Functions are 16 apart. */
export const TEXT_BASE = 0xc0100000;
export const TEXT_SHIFT = 4;
export const TEXT_STRIDE = 1 << TEXT_SHIFT;

export const MACHINE_MAGIC = 0x534d5032;

/** Word indices inside the machine block. Words that many CPUs write have a cache line of their own. */
export const MachineWord = {
  MAGIC: 0,
  LAYOUT_HASH: 1,
  NR_POSSIBLE: 2,
  /** Mode */
  MODE: 3,
  /** RunState */
  RUN_STATE: 4,
  /** TraceMask bits */
  TRACE_MASK: 5,
  STEP_LIMIT: 6,
  /** PolicyNumber of the scheduler room */
  POLICY: 7,
  /** polls of a waiting CPU before it halts its thread */
  SPINS: 8,
  /** 0 = x86-64, 1 = i386 */
  I386: 9,
  /** 0 = AuthenticAMD, 1 = GenuineIntel */
  VENDOR: 10,
  /** 0 = SLAB (refuses a duplicate cache name), 1 = SLUB (merges) */
  SLUB: 11,
  FIRMWARE: 12,
  FIRMWARE_BYTES: 13,
  /** simulated microseconds: moves only when everybody waits */
  CLOCK_US: 14,
  /** printk records written; never wraps in a run */
  PRINTK_WRITTEN: 15,
  /** trace and scheduling order: one counter for the machine */
  SEQUENCE: 16,
  STEP: 32,
  /** what ended the run in deterministic mode: RunEnd */
  RUN_END: 34,
  /** CPUs whose thread sleeps until a word of memory changes */
  SLEEPERS: 48,
  /** the host waits on this word; CPUs add one and notify */
  DOORBELL: 64,
  FINDINGS_WRITTEN: 80,
  /** tasks the host started that are not finished */
  TASKS_OPEN: 96,
  /** CPUs that have come to rest after the host stopped the machine */
  CPUS_AT_REST: 112,
  /** CPUs whose thread has come up and waits for the machine to be started */
  THREADS_UP: 113,
  /** 1 once every CPU has had its RESET */
  POWER_GOOD: 114,
  /** MachineEnd: how the kernel has stopped the machine */
  ENDED: 128,
  /** deterministic mode: the CPU that held the baton when the run came to rest */
  RESTING_CPU: 129,
  /** tasks that wait for another CPU than they are on (thread exchange) */
  ORPHANS: 130,
  /** thread exchange: the last ticket given out */
  TICKETS: 132,
  /** processes the host has started */
  HOST_PIDS: 131,
  /** starts of the machine so far: a thread that waits for the host goes on when this changes */
  RUN_EPOCH: 133,
  /** always 0: what is pending for who takes no interrupts */
  NOTHING: 134,
  /** CPUs plugged in, as a bitmap of eight words */
  PRESENT: 136,
  /** CPUs the kernel brings up at boot (maxcpus=) */
  MAX_CPUS: 144,
  /** parallel mode: tasks that have to arrive here before the first of them begins; 0 = nobody waits */
  START_LINE: 145,
  /** a search's words: see memory/search.ts */
  SEARCH: 160,
} as const;

/**
 * Words of one deterministic run, from MachineWord.SEARCH on. The host writes the first group before a run, the baton's
 * holder the second during it.
 */
export const SearchWord = {
  /** 1 = runs of a campaign: operations are logged, and only what is known to be shared is a choice point */
  ON: 0,
  /** MemoryModel */
  MEMORY_MODEL: 1,
  /** number of the run: a thread that has frames of an earlier one unwinds */
  RUN: 2,
  /** segments of the prefix */
  SEGMENTS: 3,
  /** 1 = the first finding that ends a kernel, or a failed check, ends the run */
  STOP_AT_FINDING: 4,
  /** the segment being followed, and how many of its steps are left */
  SEGMENT: 16,
  STEPS_LEFT: 17,
  /** who made the last step, -1 = nobody yet */
  LAST_ACTOR: 18,
  SWITCHES: 19,
  /** records in the operation log */
  RECORDS: 20,
  /** who could have made the step that is being made */
  ENABLED_LOW: 21,
  ENABLED_HIGH: 22,
  /** 1 = a word became known as shared in this run */
  SHARED_GREW: 23,
  /** the step at which the prefix could not be followed */
  DIVERGED_AT: 24,
  /** the CPU that waits for another to look at its condition */
  ASKER: 25,
  /** flows that have ended */
  FLOWS_DONE: 26,
  /** flags of the step that is being made: OpFlag.VISIBLE */
  STEP_FLAGS: 27,
  /** 0 = the policy has not been told yet that a run begins */
  BEGUN: 28,
  /** steps made without a choice since the last one */
  UNASKED: 29,
  /** 1 = some CPU's status may be RECHECK */
  RECHECKS: 30,
  /** number of the policy plus 1 once the prefix has been followed: from here on it chooses, and nothing else does */
  SETTLED: 31,
} as const;

/** The bit of WATCH_FILTER that a word has, by its number. */
export function watchBit(word: number): number {
  return 1 << (word ^ (word >>> 5));
}

/** Which stores other CPUs see when. */
export const MemoryModel = { SC: 0, TSO: 1 } as const;
export type MemoryModel = (typeof MemoryModel)[keyof typeof MemoryModel];

export const Mode = { PARALLEL: 0, DETERMINISTIC: 1 } as const;
export type Mode = (typeof Mode)[keyof typeof Mode];

export const RunState = { OFF: 0, RUNNING: 1, STOPPING: 2 } as const;
export type RunState = (typeof RunState)[keyof typeof RunState];

/** Why a deterministic run came back to the host. */
export const RunEnd = {
  NONE: 0,
  QUIESCENT: 1,
  DEADLOCK: 2,
  STEP_LIMIT: 3,
  STOPPED: 4,
  /** a search's: the policy says that another run covers this one; the prefix cannot be followed; a finding; log full */
  COVERED: 5,
  DIVERGED: 6,
  FINDING: 7,
  LOG_FULL: 8,
} as const;
export type RunEnd = (typeof RunEnd)[keyof typeof RunEnd];

/** How the kernel stops its machine: for the host to tell one from the other. */
export const MachineEnd = { PANIC: 1, RESTART: 2, HALT: 3, POWER_OFF: 4 } as const;
export type MachineEnd = (typeof MachineEnd)[keyof typeof MachineEnd];

export const TraceMask = { FUNCTIONS: 1, OPERATIONS: 2, HARDWARE: 4, ALL: 7 } as const;

/** Whether a CPU's thread sleeps, in parallel mode. */
export const Halted = {
  AWAKE: 0,
  /** until it is kicked */
  ASLEEP: 1,
  /** until it is kicked, or a moment has passed: then it looks at its condition again */
  DOZING: 2,
} as const;

/** Bytes of one CPU's block, and the word indices in it. Written by its own CPU unless said otherwise. */
export const CPU_BLOCK_BYTES = 2048;
export const CpuWord = {
  /** the CPU's thread sleeps on this word; anybody adds one and notifies */
  WAKE: 0,
  /** Pending bits; anybody sets, the CPU clears */
  PENDING: 16,
  /**
   * Halted: not AWAKE while the thread sleeps or is about to: who sets something it waits for must notify. In PENDING's cache line:
   * who raises an interrupt reads it next
   */
  HALTED: 17,
  IRQS_ENABLED: 32,
  /** PowerState */
  POWER: 33,
  /** address whose change ends the wait, 0 = only a wake-up does */
  WATCH: 35,
  /** this CPU's context (call stack and kernel stack) */
  CONTEXT: 36,
  CURRENT_TASK: 37,
  PREEMPT_COUNT: 38,
  HARDIRQ_COUNT: 39,
  IN_VMX_ROOT: 40,
  /** SVM's global interrupt flag */
  GIF: 41,
  VMXON_LOW: 42,
  VMXON_HIGH: 43,
  CURRENT_VMCS_LOW: 44,
  CURRENT_VMCS_HIGH: 45,
  CR0: 46,
  CR4: 47,
  /** base of this CPU's GDT */
  GDT_BASE: 48,
  /** 1 = an INIT arrived while INIT was blocked */
  INIT_PENDING: 49,
  /** SIPI vector + 1, 0 = none; written by the sender */
  SIPI: 50,
  /** deterministic mode: Status */
  STATUS: 51,
  /** a searched machine: the task its flow runs as, and the flow's function; 0 = it has none */
  FLOW_TASK: 74,
  FLOW_FUNCTION: 75,
  /** a searched machine: handlers of the four device interrupts, functions */
  DEVICE_HANDLERS: 76,
  /** deterministic mode: Flow of base/strategy: whose steps this CPU makes now */
  FLOW: 52,
  /** tso: stores in the buffer, and the slot of the oldest */
  BUFFERED: 53,
  BUFFER_HEAD: 54,
  /** simulated microseconds at which a timed wait ends, 0 = never */
  DEADLINE_US: 55,
  /** deterministic mode: addresses the wait depends on */
  WATCH_COUNT: 56,
  WATCH_LIST: 57,
  /** a bit for each of those addresses, by a hash: most writes are none of them */
  WATCH_FILTER: 73,
  /** deterministic mode: Baton command; the holder writes, the CPU's thread sleeps on it */
  BATON: 80,
  /** a searched machine: 1 until this CPU's flow has begun: its next step is to begin it, whatever else it does */
  FLOW_PENDING: 81,
  /** parallel mode: waits that this CPU has begun, and how often it has gone to sleep in one. By these the host knows a standstill */
  WAITS: 82,
  HALTS: 83,
  /** written by nobody else: what a full fence is done on */
  FENCE: 34,
  /** 1 once the boot CPU has begun to start the kernel */
  STARTED: 97,
  /** times virtualisation was switched on, and off: EFER.SVME, or VMX root operation. Counted by the processor, for books */
  VIRT_ON: 90,
  VIRT_OFF: 91,
  /** injected faults: interrupts that are sent late, as Pending bits, and by how many microseconds */
  LATE: 84,
  LATE_US: 85,
  /** an injected fault: how long a thread that is told STAND_STILL does so */
  STAND_STILL_US: 86,
  /** what a thread sleeps on that is to be woken by nobody */
  NOTHING: 87,
  /** an injected fault: the CPU + 1 that this one has sent one STARTUP of two, and whether that one is deaf to them */
  LAST_STARTED: 88,
  DEAF: 89,
  /** the host's number of the thread that is this CPU: how the host knows which CPU a dead thread was */
  THREAD: 99,
  /** 64 MSR slots of two words */
  MSRS: 112,
  /** 16 CPUID leaves of five words: leaf, eax, ebx, ecx, edx; count first */
  CPUID_COUNT: 240,
  CPUID: 241,
  /** one bit for each MSR slot, 0 = this CPU has no such MSR; two words */
  MSR_PRESENT: 322,
  /** current privilege level: the kernel's 0 */
  CPL: 324,
  /** GuestMode of cpu-worker/vmx.ts: 0 while the CPU runs host code */
  GUEST: 325,
  /** 1 = the A20M pin is asserted */
  A20M: 326,
  /** VM-instruction error of the current VMCS (spec B.1) */
  VM_INSTRUCTION_ERROR: 327,
  /** interrupts taken so far, a word for each of the eight maskable Pending bits */
  INTERRUPTS: 328,
  /** this CPU's GDT: 32 descriptors of two words */
  GDT: 384,
} as const;
export const MSR_SLOTS = 64;
export const CPUID_LEAVES = 16;

/** Bits of CpuWord.PENDING. The kernel's vectors first, the laboratory's own after. */
export const Pending = {
  RESCHEDULE: 1,
  CALL_FUNCTION: 2,
  INVALIDATE_TLB: 4,
  NMI: 8,
  /** four lines that a scenario's devices raise: 0x10, 0x20, 0x40, 0x80 */
  DEVICE: 0x10,
  /** taken whatever the interrupt flag says: the host stops the machine */
  STOP: 0x100,
  INIT: 0x200,
  SIPI: 0x400,
  /** an injected fault: the thread stands still for a while, whatever it was doing */
  STAND_STILL: 0x800,
} as const;
/** The bits that are interrupts: taken only with the interrupt flag on. */
export const PENDING_MASKABLE = 0xff;

/** What the baton's holder, or the host, tells a parked CPU. Host and holder write, the CPU clears. */
export const Baton = {
  NONE: 0,
  RUN: 1,
  TAKE_INTERRUPT: 2,
  RESUME: 3,
  STOP: 4,
  BECOME: 5,
  /** look at your condition, then hand back; and the answer to that */
  CHECK: 6,
  CHECKED: 7,
} as const;
export type Baton = (typeof Baton)[keyof typeof Baton];

export const PowerState = { OFF: 0, WAIT_FOR_SIPI: 1, RUNNING: 2, SHUTDOWN: 3 } as const;
export type PowerState = (typeof PowerState)[keyof typeof PowerState];

/** Deterministic mode: what a CPU's main flow is doing. */
export const Status = {
  /** not started, or dead: only INIT and SIPI matter */
  OFF: 0,
  /** parked in front of an operation: may be chosen */
  READY: 1,
  /** holds the baton */
  RUNNING: 2,
  /** its condition does not hold; becomes RECHECK when something it read is written */
  BLOCKED: 3,
  /** as BLOCKED, in the idle loop: this is rest, not a hang */
  IDLE: 4,
  /** something its condition reads was written: it has to look before anybody chooses */
  RECHECK: 5,
} as const;
export type Status = (typeof Status)[keyof typeof Status];

/** One context: what a thread of execution needs to be resumed, read and unwound. A thread keeps its own for life. */
export const CONTEXT_BYTES = 4096;
export const ContextWord = {
  /** calls on the stack */
  DEPTH: 0,
  /** next free byte of the kernel stack, as an address */
  STACK_POINTER: 1,
  /** the CPU that this context's thread is; with WANTS and TASK see cpu-worker/exchange.ts */
  CPU: 2,
  /** the ticket of its task, which wants another CPU; 0 = it does not, or has been given one */
  WANTS: 3,
  /** that task */
  TASK: 4,
  /** deterministic mode: 1 until the thread has heard that it is another CPU */
  MOVING: 5,
  /** pairs from here: symbol address, stack pointer at entry */
  CALLS: 8,
} as const;
/** Where the kernel stack starts inside a context; it grows up to CONTEXT_BYTES. */
export const CONTEXT_STACK = 2048;

/** One printk record: level | cpu << 8 | length << 16, sequence, then the text. */
export const PRINTK_RECORD_BYTES = 160;
export const PRINTK_RECORDS = 2048;

/** One finding record: length in bytes, then JSON. */
export const FINDING_BYTES = 8192;
export const FINDINGS_MAX = 16;

export const TASK_BYTES = 256;

/** Addresses of everything whose place depends on the configuration. */
export interface Geometry {
  readonly nrPossible: number;
  readonly firmware: number;
  readonly cpuBlocks: number;
  readonly contexts: number;
  readonly perCpuAreas: number;
  readonly tasks: number;
  readonly nrTasks: number;
  readonly heap: number;
  readonly heapEnd: number;
  readonly printk: number;
  readonly findings: number;
  readonly rings: number;
  readonly ringCapacity: number;
  readonly search: number;
  /** Records of the operation log; 0 in a machine that is not searched. */
  readonly logCapacity: number;
  readonly bytes: number;
}

export interface GeometryInput {
  /** First byte behind the static data; a whole number of pages. */
  readonly staticEnd: number;
  readonly nrPossible: number;
  readonly firmwareBytes: number;
  /** Page frames the kernel may allocate. */
  readonly heapPages: number;
  /** Trace events per CPU. */
  readonly ringCapacity: number;
  /** Records of the operation log; 0 or left out for a machine that is not searched. */
  readonly logCapacity?: number;
}

export function pageAlign(bytes: number): number {
  return (bytes + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
}

/** Tasks a machine can hold: the user's, a stop-machine thread for every CPU, and room for the next round. */
function taskCount(nrPossible: number): number {
  return 64 + 3 * nrPossible;
}

/** Pure: host and CPU threads compute the same from the same input. */
export function geometry(input: GeometryInput): Geometry {
  const { nrPossible } = input;
  const nrTasks = taskCount(nrPossible);
  const firmware = pageAlign(input.staticEnd);
  const cpuBlocks = firmware + pageAlign(input.firmwareBytes);
  const contexts = cpuBlocks + pageAlign(nrPossible * CPU_BLOCK_BYTES);
  const perCpuAreas = contexts + nrPossible * CONTEXT_BYTES;
  const tasks = perCpuAreas + nrPossible * PERCPU_BYTES;
  const heap = tasks + pageAlign(nrTasks * TASK_BYTES);
  const heapEnd = heap + input.heapPages * PAGE_SIZE;
  const printk = heapEnd;
  const findings = printk + pageAlign(PRINTK_RECORDS * PRINTK_RECORD_BYTES);
  const rings = findings + FINDINGS_MAX * FINDING_BYTES;
  const search = pageAlign(rings + nrPossible * ringBytes(input.ringCapacity));
  const logCapacity = input.logCapacity ?? 0;
  const bytes = search + pageAlign(searchBytes(nrPossible, heapEnd, logCapacity));
  return {
    nrPossible,
    firmware,
    cpuBlocks,
    contexts,
    perCpuAreas,
    tasks,
    nrTasks,
    heap,
    heapEnd,
    printk,
    findings,
    rings,
    ringCapacity: input.ringCapacity,
    search,
    logCapacity,
    bytes,
  };
}

/** Word index of a CPU's trace ring. */
export function ringWord(layout: Geometry, cpu: number): number {
  return (layout.rings + cpu * ringBytes(layout.ringCapacity)) >>> 2;
}

/** Byte address of a CPU's block. */
export function cpuBlock(layout: Geometry, cpu: number): number {
  return layout.cpuBlocks + cpu * CPU_BLOCK_BYTES;
}

/** From a per-CPU variable's place in the template to a CPU's copy. */
export function perCpuOffset(layout: Geometry, cpu: number): number {
  return layout.perCpuAreas + cpu * PERCPU_BYTES - PERCPU_TEMPLATE;
}

/** Words of a cpumask. */
export const CPUMASK_WORDS = NR_CPUS / 32;
