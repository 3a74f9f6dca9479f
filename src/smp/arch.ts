/**
 * What generic kernel code asks of the processor it runs on. The cpu-worker room implements it for simulated x86 CPUs;
 * kernel code never asks which thread it is on.
 */
import type { MachineEnd } from '#memory/layout';
import type { Outcome } from '#trace/events';

/** Interrupt vectors as Pending bits (memory/layout). */
export type Vector = 1 | 2 | 4 | 8;

export interface CpuidResult {
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

export interface Arch {
  /** EFLAGS.IF := 0. */
  cli(): void;
  /** EFLAGS.IF := 1; what is pending may be taken at once. */
  sti(): void;

  /** Local APIC: fixed-delivery IPI to one CPU. */
  sendIpi(cpu: number, vector: Vector): void;
  /** INIT to another CPU. Blocked in VMX root operation, where it stays pending (spec B.4). */
  sendInit(cpu: number): void;
  /** SIPI with a start vector; discarded unless the target waits for one (spec B.4). */
  sendStartup(cpu: number, vector: number): void;

  /** The value, or undefined for #GP(0). */
  rdmsr(msr: number): bigint | undefined;
  /** False for #GP(0) (spec B.2, B.3). */
  wrmsr(msr: number, value: bigint): boolean;
  cpuid(leaf: number): CpuidResult;
  readCr0(): number;
  readCr4(): number;
  /** False for #GP(0). */
  writeCr4(value: number): boolean;
  /** Base of the GDT. */
  sgdt(): number;
  wbinvd(): void;

  /** Physical addresses, 64-bit. Outcomes as in spec B.2. */
  vmxon(physical: bigint): Outcome;
  vmxoff(): Outcome;
  vmclear(physical: bigint): Outcome;
  vmptrld(physical: bigint): Outcome;

  /**
   * Runs a task's function to its end and answers its exit code; KILLED if an oops ended it. Restores the CPU's stack,
   * interrupt flag and counts to what they were.
   */
  runTask(fn: number, arg0: number, arg1: number, arg2: number, text: string): number;
  /** Tells the host that something it waits for has happened. */
  ringHost(): void;
  /**
   * Microseconds of the host's clock, from any moment on; 0 where CPUs do not run by that clock. For measuring, in code that
   * torments the kernel: nothing may depend on it.
   */
  hostMicroseconds(): number;
  /** The CPU's end, interrupts off: from here on only INIT and SIPI reach it. The caller stops using it. */
  shutdown(): void;
  /**
   * The platform's sleep, S3: every processor loses its power. Comes back when they have had their RESET and the firmware has
   * brought the boot processor, which calls, back to where it runs kernel code. Interrupts off; the others are offline.
   */
  sleep(): void;
  /** True if this CPU is not online. A look at the CPU's own bit: no scheduling point. */
  offline(): boolean;
  /** True if `task` may not go on here: the CPU is not online, or not in the task's cpus_allowed while another is. */
  misplaced(task: number): boolean;
  /**
   * Takes the running task, which is misplaced, to another CPU; where there is none, waits for one. Comes back there, or
   * here if the task is not misplaced any more or the CPU has been started again: ask `misplaced` afterwards.
   * Where the CPU is online, preemption is on and the task's state is not TASK_RUNNING.
   * @param watch of a task that sleeps: address of a word whose change may wake it
   * @param awake of a task that sleeps: whether it has something to wake up for; until then it needs no CPU
   */
  migrate(task: number, watch?: number, awake?: () => boolean): void;
  /** True while a task elsewhere waits for a CPU such as this one. For the conditions of waits: no scheduling point. */
  orphans(): boolean;
  /**
   * The same outside a wait. In a search always false: there a CPU looks in its waits alone, where it stands in the log that it
   * did, and so does first what is queued for it.
   */
  orphansNow(): boolean;
  /**
   * Where this CPU has nothing to do, or its task sleeps: lets such a task have it. True if this thread is another CPU
   * now, dead or alive.
   */
  adopt(): boolean;

  /** Ends the current task as an oops does, or the machine if there is no task to end (interrupt, idle). Never returns. */
  killCurrent(reason: string): never;
  /** Ends the machine: every CPU stops where it is. Never returns. */
  haltMachine(end: MachineEnd): never;
}

/** This thread's processor. Set by the cpu-worker before it runs kernel code. */
// wall: heap-state: which processor this thread is, not what it is doing
export let arch: Arch;

export function attach_arch(next: Arch): void {
  arch = next;
}
