/** Every loop, queue and run of the laboratory ends at one of these. Hitting one is a report, never silence. */

/** CPUs a machine can have: the NR_CPUS of the simulated kernel. */
export const NR_CPUS = 256;

/** Calls a context may nest before it is a kernel stack overflow. Deeper than any path of kvm-54 by a factor of four. */
export const CALL_DEPTH_MAX = 192;

/** Addresses one wait may depend on in deterministic mode: the longest condition of the kernel reads four. */
export const WATCH_MAX = 16;

/** Steps of one deterministic run before it is called a livelock. A 4-CPU boot with kvm takes about a tenth. */
export const STEPS_MAX_DEFAULT = 2_000_000;

/** Host milliseconds a system call may take in parallel mode before its CPUs are reported as hung. */
export const CALL_TIMEOUT_MS_DEFAULT = 8_000;

/** Trace events a CPU's ring holds before the oldest answer is `inconclusive`. */
export const TRACE_EVENTS_MAX_DEFAULT = 16_384;
