/**
 * The event vocabulary: everything a simulated machine says about itself, as fixed-size records.
 * Every view (call tree, ftrace text, timelines, reports) is made from these and nothing else.
 *
 * A record is eight 32-bit words. `sequence` orders all CPUs of a machine: the global step in deterministic
 * mode, an atomic counter in parallel mode.
 */
export const EVENT_WORDS = 8;

/** Numbers are part of the format `smp-trace/1`: append, never renumber. */
export const EventType = {
  /** a = symbol address, b..d = first three arguments that are numbers */
  FUNCTION_ENTRY: 1,
  /** a = symbol address, b = return value if it is a number */
  FUNCTION_EXIT: 2,
  /** a = address, b = value (low), c = value (high) or 0, d = access kind | size << 8 */
  LOAD: 3,
  /** as LOAD; b, c = the value written */
  STORE: 4,
  /** a = address, b = value before, c = value after, d = access kind | size << 8 */
  RMW: 5,
  /** d = access kind */
  FENCE: 6,
  /** a = first address, b = length in bytes, c = fill byte or source address, d = 0 fill, 1 copy, 2 bytes */
  BULK: 7,
  /** a = vector */
  IRQ_ENTRY: 8,
  /** a = vector */
  IRQ_EXIT: 9,
  /** a = vector, b = target CPU */
  IPI_SEND: 10,
  /** a = MSR number, b/c = value low/high, d = 1 if it faulted (#GP) */
  MSR_READ: 11,
  /** as MSR_READ */
  MSR_WRITE: 12,
  /** a = Instruction, b/c = operand low/high, d = outcome (Outcome) */
  INSTRUCTION: 13,
  /** a = lock address, b = LockOperation, c = LockKind, d = 1 if it was only tried (trylock) */
  LOCK: 14,
  /** a = hotplug milestone (Milestone), b = CPU concerned */
  HOTPLUG: 15,
  /** a = number of the printk record, b = level */
  PRINTK: 16,
  /** a = task address, b = pid, c = 1 starts or goes on, 0 leaves the CPU, d = 1 if it leaves because it ended */
  TASK: 17,
  /** a = object address, b = size in bytes, c = cache or 0 for pages, d = 1 allocated, 0 freed, 2 pages become a slab of c */
  ALLOCATION: 18,
  /** a = number of the finding record, b = 1 if the kernel is broken from here on, 0 for a warning */
  FINDING: 19,
  /** a = 1 the CPU goes to sleep, 0 wakes; b = address it waits for */
  WAIT: 20,
  /** tso: a buffered store reaches memory; fields as STORE */
  FLUSH: 21,
} as const;
export type EventType = (typeof EventType)[keyof typeof EventType];

/** How an access is meant: the race detector and the memory model judge by it. */
export const AccessKind = {
  PLAIN: 0,
  ONCE: 1,
  ACQUIRE: 2,
  RELEASE: 3,
  RMW: 4,
  /** Memory only this CPU uses (its registers, its counters): never a scheduling point. */
  LOCAL: 5,
} as const;
export type AccessKind = (typeof AccessKind)[keyof typeof AccessKind];

/** Instructions of the simulated processor that are worth an event. */
export const Instruction = {
  CPUID: 1,
  MOV_TO_CR4: 2,
  VMXON: 3,
  VMXOFF: 4,
  VMCLEAR: 5,
  VMPTRLD: 6,
  SGDT: 7,
  INVALIDATE_CACHES: 8,
  INIT: 9,
  SIPI: 10,
  HLT: 11,
  /** of the CPU that is the operand, whoever's trace it is in */
  RESET: 12,
} as const;
export type Instruction = (typeof Instruction)[keyof typeof Instruction];

/** How an instruction ended. VM failures follow Intel's conventions (spec B.1). */
export const Outcome = {
  SUCCESS: 0,
  VMFAIL_INVALID: 1,
  VMFAIL_VALID: 2,
  FAULT_UD: 3,
  FAULT_GP: 4,
  /** INIT that stays pending, SIPI that is discarded */
  BLOCKED: 5,
} as const;
export type Outcome = (typeof Outcome)[keyof typeof Outcome];

export const LockOperation = { ACQUIRED: 1, RELEASED: 2, CONTENDED: 3 } as const;
export type LockOperation = (typeof LockOperation)[keyof typeof LockOperation];

export const LockKind = { SPINLOCK: 0, MUTEX: 1, RWSEM_WRITE: 2, RWSEM_READ: 3 } as const;
export type LockKind = (typeof LockKind)[keyof typeof LockKind];

/** Milestones of a CPU's way up and down that are not functions of their own. */
export const Milestone = {
  ONLINE_BIT_SET: 1,
  ONLINE_BIT_CLEARED: 2,
  CALLIN: 3,
  CALLOUT: 4,
  DEAD: 5,
  MACHINE_STOPPED: 6,
  MACHINE_RUNS: 7,
} as const;
export type Milestone = (typeof Milestone)[keyof typeof Milestone];

/** Bits of an event's context word. */
export const ContextFlag = {
  IRQS_OFF: 1,
  HARDIRQ: 2,
  PREEMPT_OFF: 4,
  KTHREAD: 8,
} as const;

/** A record as the host reads it. Numbers are unsigned 32-bit. */
export interface TraceEvent {
  readonly sequence: number;
  readonly type: EventType;
  readonly cpu: number;
  /** ContextFlag bits at the moment of the event. */
  readonly context: number;
  /** Calls below this one on the CPU's stack. */
  readonly depth: number;
  readonly pid: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
}
