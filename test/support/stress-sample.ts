/** A stress run by hand: ten minutes in which something goes wrong in the middle. */
import type { StressInterval, StressKind, StressReport } from '#report/stress-report';

const SECONDS = 600;

function kind(ops: number, p50: number): StressKind {
  return { ops, opsPerSecond: ops, failures: 0, latency: { p50, p99: p50 * 9, max: p50 * 80 } };
}

/** Smooth, and the same every time. */
const wave = (at: number, period: number): number => Math.sin((2 * Math.PI * at) / period);

function interval(second: number): StressInterval {
  const isSlow = second > 280 && second < 320;
  const downs = Math.round((isSlow ? 40 : 160) + 20 * wave(second, 37));
  const ups = downs - 2;
  const p50 = (isSlow ? 9_000 : 1_800) + 300 * wave(second, 90);
  const kinds = { cpu_down: kind(downs, p50), cpu_up: kind(ups, p50 * 1.4) };
  const ops = downs + ups;
  return {
    time: second,
    seconds: 1,
    ops,
    opsPerSecond: ops,
    failures: 0,
    latency: { p50, p99: p50 * 9, max: p50 * 80 },
    kinds,
    online: 5 + Math.round(2 * wave(second, 11)),
    hostSlow: isSlow ? 0.4 : 0.02,
    memory: (180 + second / 100) * (1 << 20),
  };
}

export function sampleReport(over: Partial<StressReport> = {}): StressReport {
  const intervals = Array.from({ length: SECONDS }, (_, second) => interval(second + 1));
  const downs = intervals.reduce((sum, { kinds }) => sum + kinds['cpu_down']!.ops, 0);
  const ups = intervals.reduce((sum, { kinds }) => sum + kinds['cpu_up']!.ops, 0);
  return {
    schema: 'smplab.stress/1',
    options: {
      cpus: 8,
      vendor: 'amd',
      workload: 'hotplug',
      seed: 42,
      ops: null,
      seconds: SECONDS,
      faults: ['ipi-delay=0.01'],
      patches: [],
      callers: 4,
    },
    ended: 'done',
    seconds: SECONDS,
    ops: downs + ups,
    failures: 0,
    opsPerSecond: (downs + ups) / SECONDS,
    latency: { p50: 1_800, p99: 16_200, max: 812_345 },
    lost: 0,
    perCpu: Array.from({ length: 8 }, (_, cpu) => ({
      cpu,
      online: cpu !== 5,
      ops: 12_000 + cpu * 17,
      offlined: cpu === 0 ? 0 : 9_000,
      onlined: cpu === 0 ? 0 : 9_000,
      callsExecuted: 40_000,
      callInterrupts: 30_000,
      rescheduleInterrupts: 2_000,
      virtOn: 9_000,
      virtOff: 9_000,
    })),
    kinds: {
      cpu_down: { ...kind(downs, 1_800), opsPerSecond: downs / SECONDS },
      cpu_up: { ...kind(ups, 2_500), opsPerSecond: ups / SECONDS },
    },
    books: [
      { name: 'CPU_DEAD: announced, received', sent: downs, received: downs, difference: 0, explained: 0 },
      { name: 'cross calls: sent, executed', sent: 320_000, received: 319_998, difference: 0, explained: 2 },
    ],
    quietPoints: 60,
    findings: [
      {
        kind: 'soft-lockup',
        title: 'BUG: soft lockup - CPU#3 stuck for 11s!',
        cpu: 3,
        stack: ['smp_call_function_mask', 'on_each_cpu', 'kvm_init'],
        detail: 'waits for call_lock, held by CPU 5 <which is gone>',
        time: 291.4,
        count: 1,
        trace: 'stress-trace.bin',
      },
      { kind: 'state', title: 'CPU 2 is enabled twice', time: 12, count: 3, known: 'docs/limits.md' },
    ],
    faults: [{ fault: 'ipi-delay=0.01', hits: 4_100 }],
    machines: 1,
    host: { cores: 2, slowSeconds: 18, memory: { start: 180 << 20, end: 186 << 20, most: 187 << 20 } },
    intervals,
    ...over,
  };
}
