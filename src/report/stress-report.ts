/**
 * What a stress run came to, as data: the document of `smplab stress --json`, and what the page of `--report html` is made
 * from. Times are host time; what they belong to is said beside each.
 */

/** Latencies in microseconds. Percentiles are the upper bounds of their histogram's buckets: at most 6 % too high. */
export interface StressLatency {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** One kind of operation: in one interval, or in the whole run. */
export interface StressKind {
  readonly ops: number;
  readonly opsPerSecond: number;
  /** Answered with an error that nobody asked for; a lost race, and what an injected fault made fail, are none. */
  readonly failures: number;
  readonly latency: StressLatency;
}

/** What one interval of the run saw: the time series. */
export interface StressInterval {
  /** Seconds from the start of the run to the end of this interval. */
  readonly time: number;
  /** How long it was. */
  readonly seconds: number;
  readonly ops: number;
  readonly opsPerSecond: number;
  readonly failures: number;
  readonly latency: StressLatency;
  /** By kind of operation (`cpu_down`, `cpu_up`, `single`, ...): those that were made. */
  readonly kinds: Readonly<Record<string, StressKind>>;
  /** CPUs that were online at its end. */
  readonly online: number;
  /** 0 to 1: the part of it in which the host kept the machine's threads from running. */
  readonly hostSlow: number;
  /** Resident memory of the process at its end, in bytes. */
  readonly memory: number;
}

/** An account: what was sent, and what arrived. */
export interface StressBook {
  /** `CPU_DEAD: announced, received`: stable. */
  readonly name: string;
  readonly sent: number;
  readonly received: number;
  /** sent - received, what is known to be missing left out. 0 = balanced. */
  readonly difference: number;
  /** How many of it a known defect, or an injected fault, explains. */
  readonly explained: number;
}

/** What is wrong with the machine. */
export interface StressFinding {
  /** `book`, `lost-call`, `state`, `leak`, `oops`, `soft-lockup`, `csd-lock`, `hung-task`, `machine-check`, ...: stable. */
  readonly kind: string;
  /** One line, where there is such a thing in the kernel's words. */
  readonly title: string;
  /** The CPU it is about, where it is about one. */
  readonly cpu?: number;
  /** Innermost call first. */
  readonly stack?: readonly string[];
  readonly detail?: string;
  /** Seconds from the start of the run to when it was first seen. */
  readonly time: number;
  /** How often it was seen. */
  readonly count: number;
  /** A documented defect of the simulated kernel, or an injected fault: where it is described. */
  readonly known?: string;
  /** The file with all CPUs' trace rings. */
  readonly trace?: string;
}

export interface StressCpu {
  readonly cpu: number;
  /** At the end of the run. */
  readonly online: boolean;
  /** Operations that tasks made while they were on this CPU. */
  readonly ops: number;
  /** Times it went offline and came online. */
  readonly offlined: number;
  readonly onlined: number;
  /** Cross calls it executed, and interrupts it took for them. */
  readonly callsExecuted: number;
  readonly callInterrupts: number;
  readonly rescheduleInterrupts: number;
  /** Times its virtualisation was switched on and off, as its registers say. */
  readonly virtOn: number;
  readonly virtOff: number;
}

export interface StressOptions {
  readonly cpus: number;
  readonly vendor: string;
  readonly workload: string;
  readonly seed: number;
  /** Asked for; null = until the other limit. */
  readonly ops: number | null;
  /** Which operations were counted for that; not given: all. */
  readonly of?: string;
  readonly seconds: number | null;
  readonly faults: readonly string[];
  /** Livepatches that were on: none is kvm-54 as it was. */
  readonly patches: readonly string[];
  /** CPUs that operations start on at once. */
  readonly callers: number;
}

export interface StressReport {
  readonly schema: 'smplab.stress/1';
  readonly options: StressOptions;
  /** Why it ended. */
  readonly ended: 'done' | 'interrupted' | 'hung' | 'panic' | 'machine-check';
  readonly seconds: number;
  readonly ops: number;
  readonly failures: number;
  readonly opsPerSecond: number;
  readonly latency: StressLatency;
  /** Events that were sent and did not arrive, and that nothing explains. */
  readonly lost: number;
  readonly perCpu: readonly StressCpu[];
  readonly kinds: Readonly<Record<string, StressKind>>;
  readonly books: readonly StressBook[];
  /** Times that the machine stood still and everything was counted. */
  readonly quietPoints: number;
  /** New first; then what is known. */
  readonly findings: readonly StressFinding[];
  /** Faults that were armed, and how often each struck. */
  readonly faults: readonly { readonly fault: string; readonly hits: number }[];
  /** Machines that were powered on: more than one after injected machine checks. */
  readonly machines: number;
  readonly host: {
    readonly cores: number;
    /** Seconds in which the host kept the machine's threads from running. */
    readonly slowSeconds: number;
    /** Resident memory in bytes: after the first interval, at the end, and the most there was. */
    readonly memory: { readonly start: number; readonly end: number; readonly most: number };
  };
  readonly intervals: readonly StressInterval[];
}
