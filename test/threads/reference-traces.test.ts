/**
 * The reference traces A1 to A5 of the specification, on threads and in deterministic mode: the same calls, in the same order on
 * each CPU, on the same CPU, with the same interrupt state; and where any interleaving is allowed, nothing but an interleaving.
 */
import { afterAll, describe, expect, it } from 'vitest';
import {
  ContextFlag,
  EventType,
  type Machine,
  Milestone,
  type TraceEvent,
  closeSharedPool,
  dmesg,
  kernelInventory,
  kvmState,
  symbolName,
} from 'smplab';
import {
  type Vendor,
  cpuDown,
  cpuUp,
  describeCpu,
  insmod,
  rmmod,
  succeeds,
  variable,
  withMachine,
} from '../support/kvm-machine.ts';
import {
  type ReferenceMachine,
  cpuDownReference,
  cpuUpReference,
  loadReference,
  unloadReference,
} from '../support/kvm-references.ts';
import {
  type Reference,
  StepReader,
  TRACE_STEPS,
  TRACE_STEPS_AND_MEMORY,
  type Step,
  inReferenceOrder,
  interleavingOf,
  referenceLines,
  windows,
} from '../support/trace-steps.ts';

const isLong = process.env['SMPLAB_LONG'] !== undefined;
/** Runs of each reference in parallel mode, on machines that make so many each: a trace keeps its start, not its end. */
const PARALLEL_RUNS = isLong ? 2_000 : 200;
/** The 32-bit kernel runs the same code but for a few lines. */
const PARALLEL_RUNS_I386 = isLong ? 2_000 : 50;
const RUNS_A_MACHINE = 25;
const HOTPLUG_RUNS = isLong ? 500 : 50;
const SEEDS = Array.from({ length: isLong ? 200 : 8 }, (_, index) => index + 1);
const TRACE_EVENTS = 1 << 16;

/** Bytes of struct vcpu_svm and struct vcpu_vmx, which only the kernel's sources know: read off the trace, and the same in all. */
const VCPU_SIZE = { amd: 0x860, intel: 0x810 } as const;

interface Setting {
  readonly vendor: Vendor;
  readonly arch: 'x86_64' | 'i386';
  readonly cpus: number;
  readonly self: number;
}

const A1: readonly Setting[] = [
  { vendor: 'amd', arch: 'x86_64', cpus: 4, self: 1 },
  { vendor: 'amd', arch: 'i386', cpus: 4, self: 1 },
];
const A2: readonly Setting[] = [
  { vendor: 'intel', arch: 'x86_64', cpus: 2, self: 0 },
  { vendor: 'intel', arch: 'i386', cpus: 2, self: 0 },
];

function reference(
  { vendor, arch, cpus, self }: Setting,
  more: Partial<ReferenceMachine> = {},
): ReferenceMachine {
  return {
    vendor,
    i386: arch === 'i386',
    cpus: Array.from({ length: cpus }, (_, cpu) => cpu),
    self,
    ...more,
  };
}

const moduleOf = ({ vendor }: { readonly vendor: Vendor }): string => `kvm-${vendor}`;

/** The machine's trace, of which no event may be missing. */
function wholeTrace(machine: Machine): TraceEvent[] {
  const { events, lost } = machine.trace();
  if (lost > 0) throw new Error(`${lost} trace events did not fit`);
  return events;
}

/** The trace is one that the reference allows; `where` says which run to look at when it is not. */
function expectToFollow(steps: readonly Step[], allowed: Reference, where: string): void {
  expect(inReferenceOrder(allowed, steps), where).toEqual(referenceLines(allowed));
}

const named = (event: TraceEvent): string | undefined =>
  event.type === EventType.FUNCTION_ENTRY ? symbolName(event.a) : undefined;

/** The events while the machine stands still. */
function whileStopped(events: readonly TraceEvent[]): readonly TraceEvent[] {
  const at = (milestone: Milestone): number =>
    events.findIndex(({ type, a }) => type === EventType.HOTPLUG && a === milestone);
  return events.slice(at(Milestone.MACHINE_STOPPED), at(Milestone.MACHINE_RUNS));
}

/** While the machine stands still, only the stopping CPU does anything. */
function expectSilence(events: readonly TraceEvent[], stopper: number, where: string): void {
  const stopped = whileStopped(events);
  expect(stopped.length, where).toBeGreaterThan(0);
  expect(
    stopped.filter(({ cpu }) => cpu !== stopper),
    where,
  ).toEqual([]);
}

/** By CPU: whether it had its interrupts on in any event from its last acknowledgement to the machine's going on. */
function interruptsWhileStopped(events: readonly TraceEvent[], stopper: number): Record<number, boolean> {
  const stopped = whileStopped(events);
  const begin = stopped[0]!.sequence;
  const on: Record<number, boolean> = {};
  for (const event of events) {
    if (event.cpu === stopper || event.sequence >= begin) continue;
    on[event.cpu] = (event.context & ContextFlag.IRQS_OFF) === 0;
  }
  for (const event of stopped) {
    if (event.cpu !== stopper && (event.context & ContextFlag.IRQS_OFF) === 0) on[event.cpu] = true;
  }
  return on;
}

afterAll(closeSharedPool);

describe.each([...A1, ...A2])('$vendor $arch, $cpus CPUs, module loaded by CPU $self', (setting) => {
  const { vendor, arch, cpus, self } = setting;
  const name = vendor === 'amd' ? 'A1' : 'A2';
  const machine = reference(setting);
  const load = loadReference(machine, VCPU_SIZE[vendor]);
  const unload = unloadReference(machine);

  const runs = arch === 'i386' ? PARALLEL_RUNS_I386 : PARALLEL_RUNS;

  it(`${name}, A5: ${runs} loads and unloads on threads follow the reference`, async () => {
    const seen = new Set<string>();
    for (let run = 0; run < runs; run += RUNS_A_MACHINE) {
      await withMachine(
        { cpus, vendor, arch, trace: TRACE_STEPS, traceEventsMax: TRACE_EVENTS },
        async (smp) => {
          await succeeds('insmod kvm', insmod(smp, 'kvm', self));
          for (let of = 0; of < RUNS_A_MACHINE; of++) {
            await succeeds('insmod', insmod(smp, moduleOf(setting), self));
            await succeeds('rmmod', rmmod(smp, moduleOf(setting), self));
          }
          const events = wholeTrace(smp);
          const reader = new StepReader(smp.look(dmesg));
          const loads = windows(events, vendor === 'amd' ? 'svm_init' : 'vmx_init');
          const unloads = windows(events, vendor === 'amd' ? 'svm_exit' : 'vmx_exit');
          expect([loads.length, unloads.length]).toEqual([RUNS_A_MACHINE, RUNS_A_MACHINE]);
          for (const [at, window] of loads.entries()) {
            const steps = reader.read(window);
            seen.add(interleavingOf(load, steps));
            expectToFollow(steps, load, `load ${run + at}, parallel`);
            expectToFollow(reader.read(unloads[at]!), unload, `unload ${run + at}, parallel`);
          }
        },
      );
    }
    // How often the threads really raced is the host's to decide; that a run was seen at all is ours.
    expect(seen.size).toBeGreaterThan(0);
  });

  it(`${name}, A5: follows the reference in deterministic mode (${SEEDS.length} seeds)`, async () => {
    const seen = new Set<string>();
    for (const seed of SEEDS) {
      const config = { cpus, vendor, arch, seed, mode: 'deterministic', trace: TRACE_STEPS } as const;
      await withMachine(config, async (smp) => {
        await succeeds('insmod kvm', insmod(smp, 'kvm', self));
        await succeeds('insmod', insmod(smp, moduleOf(setting), self));
        await succeeds('rmmod', rmmod(smp, moduleOf(setting), self));
        const events = wholeTrace(smp);
        const reader = new StepReader(smp.look(dmesg));
        const [loading = []] = windows(events, vendor === 'amd' ? 'svm_init' : 'vmx_init');
        const [unloading = []] = windows(events, vendor === 'amd' ? 'svm_exit' : 'vmx_exit');
        const steps = reader.read(loading);
        seen.add(interleavingOf(load, steps));
        expectToFollow(steps, load, `load, seed ${seed}`);
        expectToFollow(reader.read(unloading), unload, `unload, seed ${seed}`);
      });
    }
    // With one target there is nothing to interleave but the IPI and its handler.
    if (cpus > 2) expect(seen.size).toBeGreaterThan(1);
  });
});

describe.each([...A1, ...A2])('$vendor $arch: what the registers and the lists hold', (setting) => {
  const { vendor, arch, cpus, self } = setting;
  const isAmd = vendor === 'amd';
  const efer = arch === 'i386' ? 0x0 : 0xd01;
  const cr4 = arch === 'i386' ? 0x6d0 : 0x6e0;
  const hexOf = (value: number): string => `0x${value.toString(16)}`;
  const cpusLike = (line: string): string[] =>
    Array.from({ length: cpus }, (_, cpu) => line.replaceAll('#', String(cpu)));

  it.each(['parallel', 'deterministic'] as const)('after loading, and after unloading (%s)', async (mode) => {
    await withMachine({ cpus, vendor, arch, mode, seed: 1 }, async (smp) => {
      await succeeds('insmod kvm', insmod(smp, 'kvm', self));
      await succeeds('insmod', insmod(smp, moduleOf(setting), self));
      expect(kvmState(smp).map(describeCpu)).toEqual(
        cpusLike(
          isAmd
            ? `#: online, bit, svm_data CPU #'s, EFER ${hexOf(efer | 0x1000)} VM_HSAVE_PA set`
            : `#: online, bit, vmxarea CPU #'s, FEATURE_CONTROL 0x5 CR4 ${hexOf(cr4 | 0x2000)} VMX root`,
        ),
      );
      const { cpuNotifiers, rebootNotifiers, miscDevices, sysdevs, fileSystems } = smp.look(kernelInventory);
      expect(cpuNotifiers).toEqual([
        { function: 'kvm_cpu_hotplug', priority: 20 },
        { function: 'migration_call', priority: 10 },
        { function: 'update_sched_domains', priority: 0 },
      ]);
      expect(rebootNotifiers).toContainEqual({ function: 'kvm_reboot', priority: 0 });
      expect(miscDevices).toContainEqual({ name: 'kvm', minor: 232 });
      expect(sysdevs).toContain('kvm0');
      expect(fileSystems).toContain('kvm_anon_inodefs');
      // trap = ~0xffe with VMX and bypass_guest_pf, else (0, 0).
      expect(variable(smp, 'shadow_trap_nonpresent_pte')).toBe(isAmd ? 0 : 0xfffff001);
      expect(variable(smp, 'shadow_notrap_nonpresent_pte')).toBe(0);

      await succeeds('rmmod', rmmod(smp, moduleOf(setting), self));
      // CR4.VMXE and the lock stay (spec 4.7); the pointer dangles, so it is nobody's.
      expect(kvmState(smp).map(describeCpu)).toEqual(
        cpusLike(
          isAmd
            ? `#: online, no bit, svm_data none, EFER ${hexOf(efer)} VM_HSAVE_PA 0x0`
            : `#: online, no bit, vmxarea none, FEATURE_CONTROL 0x5 CR4 ${hexOf(cr4 | 0x2000)}`,
        ),
      );
    });
  });
});

describe.each([...A1, ...A2])('$vendor $arch: what is done to memory', (setting) => {
  const { vendor, arch, cpus, self } = setting;
  const machine = reference(setting, { memory: true });

  it(`sets and clears the CPU's own bit first, checks and sets kvm_x86_ops, fills in its data (seeds ${SEEDS.slice(0, 3).join(', ')})`, async () => {
    for (const seed of SEEDS.slice(0, 3)) {
      const trace = TRACE_STEPS_AND_MEMORY;
      await withMachine(
        { cpus, vendor, arch, seed, mode: 'deterministic', trace, traceEventsMax: TRACE_EVENTS },
        async (smp) => {
          await succeeds('insmod kvm', insmod(smp, 'kvm', self));
          smp.clearTrace();
          await succeeds('insmod', insmod(smp, moduleOf(setting), self));
          await succeeds('rmmod', rmmod(smp, moduleOf(setting), self));
          const events = wholeTrace(smp);
          const reader = new StepReader(smp.look(dmesg));
          const [loading = []] = windows(events, vendor === 'amd' ? 'svm_init' : 'vmx_init');
          expectToFollow(
            reader.read(loading),
            loadReference(machine, VCPU_SIZE[vendor]),
            `load, seed ${seed}`,
          );
          const [unloading = []] = windows(events, vendor === 'amd' ? 'svm_exit' : 'vmx_exit');
          expectToFollow(reader.read(unloading), unloadReference(machine), `unload, seed ${seed}`);
        },
      );
    }
  });
});

describe.each(A2)('A2 $arch: what depends on the processor', (setting) => {
  const { vendor, arch, cpus, self } = setting;
  const loaded = async (
    quirk: 'feature-control-clear' | 'D1',
    more: Partial<ReferenceMachine>,
  ): Promise<void> => {
    const config = { cpus, vendor, arch, trace: TRACE_STEPS, hardware: { all: { quirks: [quirk] } } };
    await withMachine(config, async (smp) => {
      await succeeds('insmod kvm', insmod(smp, 'kvm', self));
      await succeeds('insmod', insmod(smp, moduleOf(setting), self));
      const [loading = []] = windows(wholeTrace(smp), 'vmx_init');
      const allowed = loadReference(reference(setting, more), VCPU_SIZE[vendor]);
      expectToFollow(new StepReader(smp.look(dmesg)).read(loading), allowed, `${quirk}, parallel`);
    });
  };

  it('writes FEATURE_CONTROL | 5 on each CPU if the firmware left it 0', async () => {
    await loaded('feature-control-clear', { featureControl: '0x0' });
  });

  it('does not read MSR 0x48b on a processor without secondary controls', async () => {
    await loaded('D1', { secondaryControls: false });
  });
});

describe.each([
  { vendor: 'amd', arch: 'x86_64' },
  { vendor: 'amd', arch: 'i386' },
  { vendor: 'intel', arch: 'x86_64' },
  { vendor: 'intel', arch: 'i386' },
] as const)(
  '$vendor $arch, 4 CPUs: CPU 2 goes and comes back, asked by a task on CPU 0',
  ({ vendor, arch }) => {
    const setting: Setting = { vendor, arch, cpus: 4, self: 0 };
    const victim = 2;
    const machine = reference(setting);
    const down = cpuDownReference(machine, victim);
    const up = cpuUpReference({ ...machine, ...(vendor === 'amd' ? { withoutData: [victim] } : {}) }, victim);

    async function cycle(smp: Machine, runs: number, where: string): Promise<void> {
      await succeeds('insmod kvm', insmod(smp, 'kvm', 1));
      for (let run = 0; run < runs; run++) {
        await succeeds('insmod', insmod(smp, moduleOf(setting), 1));
        await succeeds('cpu_down', cpuDown(smp, victim));
        await succeeds('cpu_up', cpuUp(smp, victim));
        await succeeds('rmmod', rmmod(smp, moduleOf(setting), 1));
      }
      const events = wholeTrace(smp);
      const reader = new StepReader(smp.look(dmesg));
      const loads = windows(events, vendor === 'amd' ? 'svm_init' : 'vmx_init');
      const downs = windows(events, 'cpu_down');
      // Booting brought CPUs up with the same function, before kvm was there.
      const ups = windows(events, 'cpu_up').slice(-runs);
      expect([loads.length, downs.length, ups.length]).toEqual([runs, runs, runs]);
      for (const [run, loading] of loads.entries()) {
        reader.read(loading); // whose page is whose
        expectToFollow(reader.read(downs[run]!), down, `cpu_down ${run}, ${where}`);
        expectToFollow(reader.read(ups[run]!), up, `cpu_up ${run}, ${where}`);
        expectSilence(downs[run]!, victim, `cpu_down ${run}, ${where}`);
      }
    }

    it(`A3, A4: ${HOTPLUG_RUNS} times on threads`, async () => {
      for (let run = 0; run < HOTPLUG_RUNS; run += RUNS_A_MACHINE) {
        await withMachine(
          { cpus: 4, vendor, arch, trace: TRACE_STEPS, traceEventsMax: TRACE_EVENTS },
          (smp) => cycle(smp, RUNS_A_MACHINE, `parallel, machine of run ${run}`),
        );
      }
    });

    it(`A3, A4: in deterministic mode (${SEEDS.length} seeds)`, async () => {
      for (const seed of SEEDS) {
        await withMachine({ cpus: 4, vendor, arch, seed, mode: 'deterministic', trace: TRACE_STEPS }, (smp) =>
          cycle(smp, 1, `seed ${seed}`),
        );
      }
    });

    it('A3: while it is stopped, every CPU has its interrupts off (seeds 1, 2)', async () => {
      for (const seed of [1, 2]) {
        const trace = TRACE_STEPS_AND_MEMORY;
        await withMachine(
          { cpus: 4, vendor, arch, seed, mode: 'deterministic', trace, traceEventsMax: TRACE_EVENTS },
          async (smp) => {
            await succeeds('insmod kvm', insmod(smp, 'kvm', 1));
            await succeeds('insmod', insmod(smp, moduleOf(setting), 1));
            smp.clearTrace();
            await succeeds('cpu_down', cpuDown(smp, victim));
            expect(interruptsWhileStopped(wholeTrace(smp), victim), `seed ${seed}`).toEqual({
              0: false,
              1: false,
              3: false,
            });
          },
        );
      }
    });

    it('A3, A4: what every CPU holds afterwards', async () => {
      await withMachine({ cpus: 4, vendor, arch }, async (smp) => {
        await succeeds('insmod kvm', insmod(smp, 'kvm', 1));
        await succeeds('insmod', insmod(smp, moduleOf(setting), 1));
        const loaded = kvmState(smp).map(describeCpu);
        await succeeds('cpu_down', cpuDown(smp, victim));
        const gone = kvmState(smp).map(describeCpu);
        await succeeds('cpu_up', cpuUp(smp, victim));
        const back = kvmState(smp).map(describeCpu);
        const rest = (lines: readonly string[]): string[] => lines.filter((_, cpu) => cpu !== victim);
        expect(rest(gone)).toEqual(rest(loaded));
        expect(rest(back)).toEqual(rest(loaded));
        const efer = arch === 'i386' ? '0x0' : '0xd01';
        const cr4 = arch === 'i386' ? '0x26d0' : '0x26e0';
        expect([gone[victim], back[victim]]).toEqual(
          vendor === 'amd'
            ? [
                `2: offline, no bit, svm_data none, EFER ${efer} VM_HSAVE_PA 0x0`,
                // The bit says "attempted": SVM is off.
                `2: online, bit, svm_data none, EFER ${efer} VM_HSAVE_PA 0x0`,
              ]
            : [
                `2: offline, no bit, vmxarea CPU 2's, FEATURE_CONTROL 0x5 CR4 ${cr4}`,
                `2: online, bit, vmxarea CPU 2's, FEATURE_CONTROL 0x5 CR4 ${cr4} VMX root`,
              ],
        );
      });
    });
  },
);

it.each(['parallel', 'deterministic'] as const)(
  'A3: a task on the CPU that dies leaves it first (%s)',
  async (mode) => {
    await withMachine({ cpus: 4, vendor: 'amd', mode, seed: 5, trace: TRACE_STEPS }, async (smp) => {
      await succeeds('insmod kvm', insmod(smp, 'kvm', 1));
      await succeeds('insmod', insmod(smp, 'kvm-amd', 1));
      smp.clearTrace();
      await succeeds('cpu_down', cpuDown(smp, 2, 2));
      const events = wholeTrace(smp);
      const task = events.find((event) => named(event) === 'cpu_down')!.pid;
      const ofTask = events.filter((event) => event.pid === task && event.type === EventType.FUNCTION_ENTRY);
      const leaves = ofTask.findIndex((event) => named(event) === 'set_cpus_allowed');
      expect(new Set(ofTask.slice(0, leaves + 1).map(({ cpu }) => cpu))).toEqual(new Set([2]));
      expect(ofTask.slice(leaves + 1).map(({ cpu }) => cpu)).not.toContain(2);
      expect(kvmState(smp).map(({ online }) => online)).toEqual([true, true, false, true]);
    });
  },
);

describe('the comparison with a reference', () => {
  const allowed: Reference = [
    ['[1] call'],
    {
      lanes: [
        ['[1] IPI to 0', '[1] IPI to 2'],
        ['[0 i- irq] set bit', '[0 i- irq] write'],
        ['[2 i- irq] set bit', '[2 i- irq] write'],
      ],
      before: [
        ['[1] IPI to 0', '[0 i- irq] set bit'],
        ['[1] IPI to 2', '[2 i- irq] set bit'],
      ],
    },
    ['[1 i-] set bit', '[1 i-] write'],
  ];
  const seen = (...texts: string[]): string[] =>
    inReferenceOrder(
      allowed,
      texts.map((text, sequence) => ({ text, sequence, cpu: Number(text[1]) })),
    );
  const call = '[1] call';
  const ipis = ['[1] IPI to 0', '[1] IPI to 2'];
  const on0 = ['[0 i- irq] set bit', '[0 i- irq] write'];
  const on2 = ['[2 i- irq] set bit', '[2 i- irq] write'];
  const self = ['[1 i-] set bit', '[1 i-] write'];

  it.each([
    ['one after the other', [call, ...ipis, ...on0, ...on2, ...self]],
    ['the second target first', [call, ...ipis, ...on2, ...on0, ...self]],
    ['interleaved', [call, ipis[0]!, on0[0]!, ipis[1]!, on2[0]!, on0[1]!, on2[1]!, ...self]],
  ])('lets through: %s', (_what, texts) => {
    expect(seen(...texts)).toEqual(referenceLines(allowed));
  });

  it.each([
    ['a step is missing', [call, ...ipis, ...on0, on2[0]!, ...self]],
    ['a step is done twice', [call, ...ipis, ...on0, ...on2, ...self, self[1]!]],
    ['on the wrong CPU', [call, ...ipis, ...on0, ...on0, ...self]],
    ['with interrupts on', [call, ...ipis, ...on0, ...on2, '[1] set bit', self[1]!]],
    ['out of order on one CPU', [call, ...ipis, on0[1]!, on0[0]!, ...on2, ...self]],
    ['before the others have finished', [call, ...ipis, ...on0, on2[0]!, self[0]!, on2[1]!, self[1]!]],
    ['before it was asked', [call, on0[0]!, ...ipis, on0[1]!, ...on2, ...self]],
  ])('does not let through: %s', (_what, texts) => {
    expect(seen(...texts)).not.toEqual(referenceLines(allowed));
  });
});
