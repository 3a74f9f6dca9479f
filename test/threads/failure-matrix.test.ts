/**
 * The failure matrix A6 of the specification: every row by injection, what it answers, and what it leaves behind: exactly that, from
 * the kernel's own lists and the CPUs' registers. The defects of kvm-54's unwind ladder are among it.
 */
import { afterAll, describe, expect, it } from 'vitest';
import {
  type Machine,
  type MachineConfig,
  EventType,
  Instruction,
  Outcome,
  closeSharedPool,
  dmesg,
  kernelInventory,
  kvmState,
  symbolName,
} from 'smplab';
import {
  type Vendor,
  changes,
  cpuDown,
  cpuUp,
  describeCpu,
  insmod,
  rmmod,
  succeeds,
  variable,
  withMachine,
} from '../support/kvm-machine.ts';
import { TRACE_STEPS } from '../support/trace-steps.ts';

afterAll(closeSharedPool);

const EIO = -5;
const ENOMEM = -12;
const EBUSY = -16;
const EEXIST = -17;
const EOPNOTSUPP = -95;

const CPUS = 3;
/** The loader is neither the first CPU nor the last. */
const LOADER = 1;

type Fault = Parameters<Machine['injectFaults']>[0][number];

interface Row {
  /** The step of spec 1.2 or 1.3 that fails, and how. */
  readonly step: string;
  readonly vendor: Vendor;
  readonly faults?: readonly Fault[];
  readonly hardware?: MachineConfig['hardware'];
  readonly arch?: 'i386';
  /** The module to load, if it is not the processor's own. */
  readonly module?: string;
  readonly returns: number;
  readonly leaves: readonly string[];
  /** What the CPUs hold that they did not hold before loading: by default nothing. */
  readonly cpus?: readonly string[];
  /** Lines of the log. */
  readonly says?: readonly string[];
}

const DEBUGFS = [
  '25 x debugfs kvm/<file>',
  '25 x object of debugfs_create_file',
  'debugfs kvm/',
  'object of debugfs_create_dir',
];
const BAD_PAGE = ['page of kvm_init'];

/** svm_data and save areas of the first `count` CPUs. */
function svmData(count: number): string[] {
  if (count === 0) return [];
  const times = count === 1 ? '' : `${count} x `;
  return [`${times}object of svm_cpu_init`, `${times}page of svm_cpu_init`];
}

const each = (line: string): string[] =>
  Array.from({ length: CPUS }, (_, cpu) => `${cpu}: ${line.replaceAll('#', String(cpu))}`);
const AMD_OFF = 'online, no bit, svm_data none, EFER 0xd01 VM_HSAVE_PA 0x0';
const AMD_ON = "online, bit, svm_data CPU #'s, EFER 0x1d01 VM_HSAVE_PA set";
/** Nothing but the pointer: a leak that stays installed. */
const AMD_DATA_ONLY = "online, no bit, svm_data CPU #'s, EFER 0xd01 VM_HSAVE_PA 0x0";
const INTEL_LEFT = 'online, no bit, vmxarea none, FEATURE_CONTROL 0x5 CR4 0x26e0';

const kvm_vcpu = 'kmem_cache_create:kvm_vcpu';
const quirk = (
  name: NonNullable<NonNullable<NonNullable<MachineConfig['hardware']>['all']>['quirks']>[number],
): MachineConfig['hardware'] => ({
  all: { quirks: [name] },
});

/** KI-2: whatever the vendor. */
const cachesFail = (['amd', 'intel'] as const).flatMap((vendor): Row[] =>
  ['kvm_pte_chain', 'kvm_rmap_desc', 'kvm_mmu_page_header'].map((cache) => ({
    step: `KI-2, no memory for ${cache}`,
    vendor,
    faults: [{ site: `kmem_cache_create:${cache}` }],
    returns: ENOMEM,
    leaves: DEBUGFS,
  })),
);

const unsupported: readonly Row[] = [
  {
    vendor: 'amd',
    step: 'KI-2, SVM disabled by the BIOS',
    hardware: quirk('svmdis'),
    says: ['kvm: disabled by bios'],
  },
  {
    vendor: 'amd',
    step: 'KI-2, no SVM',
    hardware: quirk('no-svm'),
    says: ['has_svm: svm not available', 'kvm: no hardware support'],
  },
  {
    vendor: 'amd',
    step: 'KI-2, no CPUID leaf 0x8000000a',
    hardware: quirk('no-cpuid-8000000a'),
    says: ["has_svm: can't execute cpuid_8000000a", 'kvm: no hardware support'],
  },
  { vendor: 'amd', step: 'KI-2, kvm-intel on AMD', module: 'kvm-intel', says: ['kvm: no hardware support'] },
  {
    vendor: 'intel',
    step: 'KI-2, VMX locked out by the BIOS',
    hardware: quirk('feature-control-locked'),
    says: ['kvm: disabled by bios'],
  },
  { vendor: 'intel', step: 'KI-2, no VMX', hardware: quirk('no-vmx'), says: ['kvm: no hardware support'] },
  {
    vendor: 'intel',
    step: 'KI-2, kvm-amd on Intel',
    module: 'kvm-amd',
    says: ['has_svm: not amd', 'kvm: no hardware support'],
  },
].map((row) => ({ ...row, returns: EOPNOTSUPP, leaves: DEBUGFS }) as Row);

/** KI-3 and what is before it on Intel: nothing stays. */
const nothingStays: readonly Row[] = [
  { step: 'KI-3', vendor: 'amd', faults: [{ site: 'alloc_pages@kvm_init' }], returns: ENOMEM, leaves: [] },
  { step: 'KI-3', vendor: 'intel', faults: [{ site: 'alloc_pages@kvm_init' }], returns: ENOMEM, leaves: [] },
  { step: 'VI-1', vendor: 'intel', faults: [{ site: 'alloc_pages@vmx_init' }], returns: ENOMEM, leaves: [] },
  {
    step: 'VI-2',
    vendor: 'intel',
    faults: [{ site: 'alloc_pages@vmx_init', skip: 1 }],
    returns: ENOMEM,
    leaves: [],
  },
];

/** KI-4 on AMD: the maps, and each CPU's data in both halves. */
const svmSetupFails: readonly Row[] = [
  {
    step: 'KI-4, I/O map',
    vendor: 'amd',
    faults: [{ site: 'alloc_pages:2' }],
    returns: ENOMEM,
    leaves: BAD_PAGE,
  },
  {
    step: 'KI-4, MSR map',
    vendor: 'amd',
    faults: [{ site: 'alloc_pages:1' }],
    returns: ENOMEM,
    leaves: BAD_PAGE,
  },
  ...['kmalloc', 'alloc_pages'].flatMap((allocator) =>
    Array.from({ length: CPUS }, (_, cpu): Row => ({
      step: `KI-4, ${allocator} for CPU ${cpu}`,
      vendor: 'amd',
      faults: [{ site: `${allocator}@svm_cpu_init`, skip: cpu }],
      returns: ENOMEM,
      leaves: [...svmData(cpu), ...BAD_PAGE].toSorted(),
      cpus: each('').map(
        (_line, of) => `${of}: ${(of < cpu ? AMD_DATA_ONLY : AMD_OFF).replaceAll('#', String(of))}`,
      ),
    })),
  ),
];

/** KI-4 on Intel: a processor that will not do, and no memory for a VMXON region. */
const vmxSetupFails: readonly Row[] = [
  ...(['F', 'F1', 'F2', 'F3', 'F4'] as const).map((set): Row => ({
    step: `KI-4, capability set ${set}`,
    vendor: 'intel',
    hardware: quirk(set),
    returns: EIO,
    leaves: BAD_PAGE,
  })),
  ...(['F', 'F1', 'F2'] as const).map((set): Row => ({
    step: `KI-4, capability set ${set}`,
    vendor: 'intel',
    arch: 'i386',
    hardware: quirk(set),
    returns: EIO,
    leaves: BAD_PAGE,
  })),
  ...Array.from({ length: CPUS }, (_, cpu): Row => ({
    step: `KI-4, VMXON region of CPU ${cpu}`,
    vendor: 'intel',
    faults: [{ site: 'alloc_pages@alloc_vmcs_cpu', skip: cpu }],
    returns: ENOMEM,
    leaves: BAD_PAGE,
  })),
];

/** KI-5: one CPU is not like the loader's. */
const incompatible: readonly Row[] = [0, 2].flatMap((cpu) =>
  (['D2', 'F1'] as const).map((set): Row => ({
    step: `KI-5, CPU ${cpu} has capability set ${set}`,
    vendor: 'intel',
    hardware: { perCpu: { [cpu]: { quirks: [set] } } },
    returns: EIO,
    leaves: BAD_PAGE,
    says: [`kvm: CPU ${cpu} feature inconsistency!`],
  })),
);

/** KI-9, 10, 11, 13: the CPUs were enabled by then. */
const registrationsFail = (['amd', 'intel'] as const).flatMap((vendor): Row[] =>
  [
    { step: 'KI-9', faults: [{ site: 'sysdev_class_register', error: EEXIST }], returns: EEXIST },
    { step: 'KI-9', faults: [{ site: 'sysdev_class_register', error: ENOMEM }], returns: ENOMEM },
    { step: 'KI-10', faults: [{ site: 'sysdev_register', error: EEXIST }], returns: EEXIST },
    { step: 'KI-11', faults: [{ site: kvm_vcpu }], returns: ENOMEM },
    {
      step: 'KI-13',
      faults: [{ site: 'misc_register', error: EBUSY }],
      returns: EBUSY,
      says: ['kvm: misc device register failed'],
    },
  ].map((row) => ({
    ...row,
    vendor,
    leaves: BAD_PAGE,
    ...(vendor === 'intel' ? { cpus: each(INTEL_LEFT) } : {}),
  })),
);

const STAYS_REGISTERED = [
  'CPU notifier kvm_cpu_hotplug, priority 20',
  'cache kvm_vcpu',
  'misc device kvm, minor 232',
  'reboot notifier kvm_reboot',
  'sysdev class kvm',
  'sysdev kvm0',
];
/** KI-15: jumps to `out` as if nothing had been registered. */
const anonInodesFail = [
  { what: 'the call itself', faults: [{ site: 'kvm_init_anon_inodes' }] },
  { what: 'no memory for the mount', faults: [{ site: 'kmalloc@kern_mount' }] },
  { what: 'no memory for the inode', faults: [{ site: 'kmalloc@new_inode' }] },
].flatMap(({ what, faults }): Row[] => [
  {
    step: `KI-15, ${what}`,
    vendor: 'amd',
    faults,
    returns: ENOMEM,
    leaves: [
      ...STAYS_REGISTERED,
      ...svmData(CPUS),
      '4 x page of svm_hardware_setup',
      '2 x page of svm_hardware_setup',
    ].toSorted(),
    cpus: each(AMD_ON),
  },
  {
    step: `KI-15, ${what}`,
    vendor: 'intel',
    faults,
    returns: ENOMEM,
    leaves: [...STAYS_REGISTERED, `${CPUS} x page of alloc_vmcs_cpu`].toSorted(),
    // The module is gone, so the pointer counts as nobody's; the region is listed above.
    cpus: each('online, bit, vmxarea none, FEATURE_CONTROL 0x5 CR4 0x26e0 VMX root'),
  },
]);

const ROWS: readonly Row[] = [
  ...cachesFail,
  ...unsupported,
  ...nothingStays,
  ...svmSetupFails,
  ...vmxSetupFails,
  ...incompatible,
  ...registrationsFail,
  ...anonInodesFail,
];

describe.each(['parallel', 'deterministic'] as const)('A6, %s', (mode) => {
  it.each(ROWS)('$vendor $arch $step: answers $returns', async (row) => {
    const { vendor, arch = 'x86_64', hardware } = row;
    const config: MachineConfig = {
      cpus: CPUS,
      vendor,
      arch,
      mode,
      seed: 6,
      ...(hardware === undefined ? {} : { hardware }),
    };
    await withMachine(config, async (smp) => {
      await succeeds('insmod kvm', insmod(smp, 'kvm', LOADER));
      const before = smp.look(kernelInventory);
      const cpusBefore = kvmState(smp).map(describeCpu);
      smp.injectFaults(row.faults ?? []);

      const returned = await insmod(smp, row.module ?? `kvm-${vendor}`, LOADER);

      expect(returned).toBe(row.returns);
      expect(changes(before, smp.look(kernelInventory))).toEqual(row.leaves);
      expect(kvmState(smp).map(describeCpu)).toEqual(row.cpus ?? cpusBefore);
      // Whatever failed, the way out leads past kvm_arch_exit or stops before the pointer is set.
      expect(variable(smp, 'kvm_x86_ops')).toBe(0);
      const log = smp.look(dmesg).map(({ text }) => text);
      expect(log).toEqual(expect.arrayContaining([...(row.says ?? [])]));
      expect(smp.findings().records).toEqual([]);
    });
  });
});

describe('A6, KI-4 and KI-5: what is not done any more', () => {
  /** MSRs read by a function, by its own calls included, on a CPU. */
  async function readsOf(config: MachineConfig, symbol: string): Promise<{ cpu: number; msrs: string[] }[]> {
    return withMachine({ ...config, trace: TRACE_STEPS }, async (smp) => {
      await succeeds('insmod kvm', insmod(smp, 'kvm', LOADER));
      await insmod(smp, 'kvm-intel', LOADER);
      const calls: { cpu: number; depth: number; msrs: string[] }[] = [];
      for (const { type, a, cpu, depth } of smp.trace().events) {
        const call = calls.findLast((one) => one.cpu === cpu);
        if (type === EventType.FUNCTION_ENTRY && symbolName(a) === symbol)
          calls.push({ cpu, depth, msrs: [] });
        else if (type === EventType.MSR_READ && call !== undefined && depth > call.depth)
          call.msrs.push(`0x${a.toString(16)}`);
      }
      return calls.map(({ cpu, msrs }) => ({ cpu, msrs }));
    });
  }
  const intel = (
    name: 'F' | 'F1' | 'F2' | 'F3' | 'F4',
    arch: 'x86_64' | 'i386' = 'x86_64',
  ): MachineConfig => ({
    cpus: 2,
    vendor: 'intel',
    arch,
    hardware: { all: { quirks: [name] } },
  });

  it.each([
    { set: 'F', msrs: ['0x481', '0x482', '0x48b', '0x483', '0x484', '0x480'] },
    { set: 'F1', msrs: ['0x481'] },
    { set: 'F2', msrs: ['0x481', '0x482'] },
    { set: 'F3', msrs: ['0x481', '0x482', '0x48b', '0x483'] },
    { set: 'F4', msrs: ['0x481', '0x482', '0x48b', '0x483', '0x484', '0x480'] },
  ] as const)('capability set $set: gives up after reading $msrs', async ({ set, msrs }) => {
    expect(await readsOf(intel(set), 'setup_vmcs_config')).toEqual([{ cpu: LOADER, msrs }]);
  });

  it.each(['F3', 'F4'] as const)('capability set %s: will do for an i386 kernel', async (set) => {
    await withMachine(intel(set, 'i386'), async (smp) => {
      await succeeds('insmod kvm', insmod(smp, 'kvm', LOADER));
      expect(await insmod(smp, 'kvm-intel', LOADER)).toBe(0);
    });
  });

  it('does not ask the CPUs behind the one that is incompatible (nr_cpus=4)', async () => {
    const hardware = { perCpu: { 2: { quirks: ['D2'] } } } as const;
    const asked = await readsOf({ cpus: 4, vendor: 'intel', hardware }, 'vmx_check_processor_compat');
    expect(asked.map(({ cpu }) => cpu)).toEqual([0, 1, 2]);
  });
});

describe.each([
  { vendor: 'amd', second: 'kvm-intel' },
  { vendor: 'intel', second: 'kvm-amd' },
] as const)('A6, KI-2: $second while the module of $vendor is loaded', ({ vendor, second }) => {
  async function loaded(allocator: 'slab' | 'slub', test: (smp: Machine) => Promise<void>): Promise<void> {
    await withMachine({ cpus: CPUS, vendor, allocator }, async (smp) => {
      await succeeds('insmod kvm', insmod(smp, 'kvm', LOADER));
      await succeeds('insmod', insmod(smp, `kvm-${vendor}`, LOADER));
      await test(smp);
    });
  }
  /** The directory is taken, so the files are made in the root. */
  const FILES_IN_ROOT = ['25 x debugfs <file>', '25 x object of debugfs_create_file'];

  it('SLAB: answers -ENOMEM and destroys two caches under the first module', async () => {
    await loaded('slab', async (smp) => {
      const before = smp.look(kernelInventory);
      const cpusBefore = kvmState(smp).map(describeCpu);
      expect(await insmod(smp, second, LOADER)).toBe(ENOMEM);
      expect(changes(before, smp.look(kernelInventory))).toEqual([
        ...FILES_IN_ROOT,
        '- cache kvm_mmu_page_header',
        '- cache kvm_rmap_desc',
      ]);
      expect(kvmState(smp).map(describeCpu)).toEqual(cpusBefore);
      expect(variable(smp, 'pte_chain_cache')).toBe(0);
      expect(variable(smp, 'kvm_x86_ops')).not.toBe(0);
      expect(smp.look(dmesg).map(({ text }) => text)).toContain(
        'kmem_cache_create: duplicate cache kvm_pte_chain',
      );
      expect(smp.findings().records).toEqual([]);
    });
  });

  it('SLAB: unloading the first module then destroys what is destroyed already', async () => {
    await loaded('slab', async (smp) => {
      await insmod(smp, second, LOADER);
      await rmmod(smp, `kvm-${vendor}`, LOADER);
      const [finding] = smp.findings().records;
      expect(finding).toMatchObject({ kind: 'slab-corruption', cpu: LOADER });
      expect(finding?.stack).toContain('kvm_mmu_module_exit');
    });
  });

  it('SLUB: answers -EEXIST, and the first module is as it was', async () => {
    await loaded('slub', async (smp) => {
      const before = smp.look(kernelInventory);
      const cpusBefore = kvmState(smp).map(describeCpu);
      expect(await insmod(smp, second, LOADER)).toBe(EEXIST);
      expect(changes(before, smp.look(kernelInventory))).toEqual(FILES_IN_ROOT);
      expect(kvmState(smp).map(describeCpu)).toEqual(cpusBefore);
      expect(smp.look(dmesg).map(({ text }) => text)).toContain('kvm: already loaded the other module');

      // Nothing is broken: the first module works on, and unloads.
      expect(await cpuDown(smp, 2)).toBe(0);
      expect(await cpuUp(smp, 2)).toBe(0);
      expect(await rmmod(smp, `kvm-${vendor}`, LOADER)).toBe(0);
      expect(smp.findings().records).toEqual([]);
    });
  });
});

/** Appendix B.7: failures that kvm-54 does not look for. */
describe.each(['x86_64', 'i386'] as const)('B.7, %s', (arch) => {
  it.each([
    { vendor: 'amd', name: 'svmdis', detail: /wrmsr of 0xc0000080/ },
    { vendor: 'intel', name: 'feature-control-locked', detail: /wrmsr of 0x3a/ },
  ] as const)(
    '$vendor: the BIOS of another CPU than the loader has it off: that CPU panics',
    async ({ vendor, name, detail }) => {
      const hardware = { perCpu: { 2: { quirks: [name] } } };
      await withMachine({ cpus: CPUS, vendor, arch, hardware }, async (smp) => {
        await succeeds('insmod kvm', insmod(smp, 'kvm', LOADER));
        expect(await insmod(smp, `kvm-${vendor}`, LOADER)).toBe('panic');
        const { records } = smp.findings();
        const why = arch === 'i386' ? 'Fatal exception in interrupt' : 'Aiee, killing interrupt handler!';
        expect(records.map(({ kind, cpu }) => ({ kind, cpu }))).toEqual([
          { kind: 'oops', cpu: 2 },
          { kind: 'panic', cpu: 2 },
        ]);
        expect(records[0]!.detail).toMatch(detail);
        expect(records[1]!.title).toContain(why);
      });
    },
  );

  it('intel: on a CPU that came after loading VMXON fails and nobody notices; VMXOFF is an invalid opcode', async () => {
    const operand = arch === 'i386' ? '0x40000000' : '0x7f0000000000';
    await withMachine({ cpus: 2, possible: 3, vendor: 'intel', arch, trace: TRACE_STEPS }, async (smp) => {
      await succeeds('insmod kvm', insmod(smp, 'kvm', LOADER));
      await succeeds('insmod', insmod(smp, 'kvm-intel', LOADER));
      expect(await cpuUp(smp, 2)).toBe(0);
      const vmxon = smp
        .trace()
        .events.filter(
          ({ type, a, cpu }) => type === EventType.INSTRUCTION && a === Instruction.VMXON && cpu === 2,
        );
      expect(
        vmxon.map(({ b, c, d }) => ({
          operand: `0x${((BigInt(c) << 32n) | BigInt(b)).toString(16)}`,
          outcome: d,
        })),
      ).toEqual([{ operand, outcome: Outcome.VMFAIL_INVALID }]);
      expect(kvmState(smp).map(describeCpu)[2]).toBe(
        `2: online, bit, vmxarea none, FEATURE_CONTROL 0x5 CR4 ${arch === 'i386' ? '0x26d0' : '0x26e0'}`,
      );
      expect(await rmmod(smp, 'kvm-intel', LOADER)).toBe('panic');
      expect(smp.findings().records[0]).toMatchObject({
        kind: 'oops',
        cpu: 2,
        title: 'invalid opcode: 0000',
        detail: 'vmxoff',
      });
    });
  });

  it('amd: a CPU that came after loading has no svm_data: it says so, and stays as it is', async () => {
    await withMachine({ cpus: 2, possible: 3, vendor: 'amd', arch }, async (smp) => {
      await succeeds('insmod kvm', insmod(smp, 'kvm', LOADER));
      await succeeds('insmod', insmod(smp, 'kvm-amd', LOADER));
      expect(await cpuUp(smp, 2)).toBe(0);
      expect(smp.look(dmesg).map(({ text }) => text)).toContain('svm_cpu_init: svm_data is NULL on 2');
      expect(kvmState(smp).map(describeCpu)[2]).toBe(
        `2: online, bit, svm_data none, EFER ${arch === 'i386' ? '0x0' : '0xd01'} VM_HSAVE_PA 0x0`,
      );
      expect(await rmmod(smp, 'kvm-amd', LOADER)).toBe(0);
      expect(smp.findings().records).toEqual([]);
    });
  });
});
