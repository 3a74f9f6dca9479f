/**
 * The reference traces of the specification (appendix A), written out: every step, the CPU it is on, whether interrupts are off
 * there, and which steps of several CPUs may interleave. In the words of trace-steps.ts.
 */
import type { Reference } from './trace-steps.ts';

export interface ReferenceMachine {
  readonly vendor: 'amd' | 'intel';
  readonly i386: boolean;
  /** CPUs online. */
  readonly cpus: readonly number[];
  /** The CPU that loads, unloads, or asks for hotplug. */
  readonly self: number;
  /** With what is done to variables in memory. */
  readonly memory?: boolean;
  /** Intel: what the firmware left in FEATURE_CONTROL. */
  readonly featureControl?: '0x0' | '0x5';
  /** Intel: false on a processor without secondary controls, which has no MSR 0x48b. */
  readonly secondaryControls?: boolean;
  /** AMD: CPUs that have no svm_data (any more). */
  readonly withoutData?: readonly number[];
}

/** `texts` on a CPU: '' = interrupts on, 'i-' = off, 'i- irq' = off, in the handler of an interrupt. */
function on(cpu: number, flags: '' | 'i-' | 'i- irq', texts: readonly string[]): string[] {
  return texts.map((text) => `[${cpu}${flags === '' ? '' : ' '}${flags}] ${text}`);
}

const ifMemory = (machine: ReferenceMachine, ...lines: string[]): string[] =>
  machine.memory === true ? lines : [];

const others = ({ cpus, self }: ReferenceMachine): number[] => cpus.filter((cpu) => cpu !== self);

/** EFER as boot leaves it: SCE, LME, LMA, NXE in long mode. */
const eferOff = ({ i386 }: ReferenceMachine): string => (i386 ? '0x0' : '0xd01');
const eferOn = ({ i386 }: ReferenceMachine): string => (i386 ? '0x1000' : '0x1d01');
/** CR4 as boot leaves it, with VMXE. */
const cr4WithVmxe = ({ i386 }: ReferenceMachine): string => (i386 ? '0x26d0' : '0x26e0');

/** Spec 2.3: sizes of the three MMU caches' objects. */
const cacheSizes = ({ i386 }: ReferenceMachine): readonly number[] => (i386 ? [28, 20, 48] : [56, 40, 88]);

/** Spec 2.4. */
const probedMsrs = ({ i386 }: ReferenceMachine): readonly string[] => [
  '0x174',
  '0x175',
  '0x176',
  '0xc0000081',
  ...(i386 ? [] : ['0xc0000083', '0xc0000102', '0xc0000084', '0xc0000082']),
  '0x10',
];

/** Spec 3.4: ten MSRs a guest may touch, four on i386. */
const directMsrs = ({ i386 }: ReferenceMachine): readonly string[] => [
  ...(i386 ? [] : ['0xc0000101', '0xc0000100', '0xc0000102', '0xc0000082', '0xc0000083', '0xc0000084']),
  '0xc0000081',
  '0x174',
  '0x175',
  '0x176',
];

/** Spec 4.4: the order in which the VMX capabilities are read; values are Set P's. */
function capabilityReads(machine: ReferenceMachine): string[] {
  const secondary = machine.secondaryControls !== false;
  return [
    'setup_vmcs_config',
    'rdmsr 0x481 0x3f00000016',
    `rdmsr 0x482 ${secondary ? '0xf7f9fffe0401e172' : '0x77d9fffe0401e172'}`,
    ...(secondary ? ['rdmsr 0x48b 0x4100000000'] : []),
    'rdmsr 0x483 0x3ffff00036dff',
    'rdmsr 0x484 0x3fff000011ff',
    'rdmsr 0x480 0x5a08000000000d',
  ];
}

/** From kvm_init to the vendor's own setup: KI-1 to KI-3, and the wrapper of KI-4. */
function beginning(machine: ReferenceMachine): string[] {
  const { vendor } = machine;
  const isAmd = vendor === 'amd';
  return [
    'kvm_init',
    'kvm_init_debug',
    'kvm_arch_init',
    'kvm_mmu_module_init',
    ...cacheSizes(machine).map((size) => `kmem_cache_create ${size} bytes`),
    'kvm_init_msr_list',
    ...probedMsrs(machine).map((msr) => `rdmsr ${msr}`),
    ...ifMemory(machine, 'load kvm_x86_ops = 0x0'),
    ...(isAmd
      ? ['has_svm', 'cpuid 0x80000000', 'cpuid 0x80000001', 'is_disabled', 'rdmsr VM_CR 0x0']
      : [
          'cpu_has_kvm_support',
          'cpuid 0x1',
          'vmx_disabled_by_bios',
          `rdmsr FEATURE_CONTROL ${firmware(machine)}`,
        ]),
    ...ifMemory(machine, 'store kvm_x86_ops'),
    'kvm_mmu_set_nonpresent_ptes 0x0 0x0',
    'alloc bad_page',
    ...ifMemory(machine, 'store bad_page'),
    'kvm_arch_hardware_setup',
  ];
}

const firmware = ({ featureControl }: ReferenceMachine): string => featureControl ?? '0x5';

function svmSetup(machine: ReferenceMachine): string[] {
  return [
    'svm_hardware_setup',
    'alloc 4 pages',
    ...ifMemory(machine, 'store iopm_base'),
    'alloc 2 pages',
    ...ifMemory(machine, 'store msrpm_base'),
    ...directMsrs(machine).map((msr) => `set_msr_interception ${msr} read=1`),
    ...machine.cpus.flatMap((cpu) => [
      `svm_cpu_init(${cpu})`,
      `alloc svm_data(${cpu})`,
      `alloc save_area(${cpu})`,
    ]),
  ];
}

function vmxSetup(machine: ReferenceMachine): string[] {
  return [
    'hardware_setup',
    ...capabilityReads(machine),
    'alloc_kvm_area',
    ...machine.cpus.flatMap((cpu) => [`alloc_vmcs_cpu(${cpu})`, `alloc vmxarea(${cpu})`]),
  ];
}

/** KI-5: one CPU after the other, in ascending order; the caller's own turn is a plain call with interrupts off. */
function compatibility(machine: ReferenceMachine): string[] {
  const { cpus, self, vendor } = machine;
  const check =
    vendor === 'amd'
      ? ['svm_check_processor_compat', ...ifMemory(machine, '*rtn = 0')]
      : ['vmx_check_processor_compat', ...capabilityReads(machine)];
  return cpus.flatMap((cpu) => {
    const work = ['kvm_arch_check_processor_compat', ...check];
    return [
      ...on(self, '', [`smp_call_function_single(${cpu})`]),
      ...(cpu === self
        ? on(self, 'i-', work)
        : [
            ...on(self, '', [`IPI CALL_FUNCTION to ${cpu}`]),
            ...on(cpu, 'i-', ['interrupt CALL_FUNCTION']),
            ...on(cpu, 'i- irq', work),
          ]),
    ];
  });
}

function enable(machine: ReferenceMachine, cpu: number): string[] {
  const begin = [
    'hardware_enable',
    ...ifMemory(machine, `set bit ${cpu} of cpus_hardware_enabled`),
    'kvm_arch_hardware_enable',
  ];
  if (machine.vendor === 'intel') {
    const written = firmware(machine) === '0x0' ? ['wrmsr FEATURE_CONTROL 0x5'] : [];
    return [
      ...begin,
      'vmx_hardware_enable',
      `rdmsr FEATURE_CONTROL ${firmware(machine)}`,
      ...written,
      `mov to CR4 ${cr4WithVmxe(machine)}`,
      `VMXON vmxarea(${cpu})`,
    ];
  }
  const has_svm = [...begin, 'svm_hardware_enable', 'has_svm', 'cpuid 0x80000000', 'cpuid 0x80000001'];
  if (machine.withoutData?.includes(cpu) === true)
    return [...has_svm, `printk svm_cpu_init: svm_data is NULL on ${cpu}`];
  const data = `svm_data(${cpu})`;
  return [
    ...has_svm,
    'cpuid 0x8000000a',
    ...ifMemory(
      machine,
      `${data}.asid_generation = 0x1`,
      `${data}.max_asid = 0x3f`,
      `${data}.next_asid = 0x40`,
      'store svm_features',
    ),
    'SGDT',
    ...ifMemory(machine, `${data}.tss_desc`),
    `rdmsr EFER ${eferOff(machine)}`,
    `wrmsr EFER ${eferOn(machine)}`,
    `wrmsr VM_HSAVE_PA save_area(${cpu})`,
  ];
}

function disable(machine: ReferenceMachine, cpu: number): string[] {
  const begin = [
    'hardware_disable',
    ...ifMemory(machine, `clear bit ${cpu} of cpus_hardware_enabled`),
    `decache_vcpus_on_cpu(${cpu})`,
    'kvm_arch_hardware_disable',
  ];
  if (machine.vendor === 'intel') return [...begin, 'vmx_hardware_disable', 'VMXOFF'];
  if (machine.withoutData?.includes(cpu) === true) return [...begin, 'svm_hardware_disable'];
  return [
    ...begin,
    'svm_hardware_disable',
    'wrmsr VM_HSAVE_PA 0x0',
    `rdmsr EFER ${eferOn(machine)}`,
    `wrmsr EFER ${eferOff(machine)}`,
    `free save_area(${cpu})`,
    `free svm_data(${cpu})`,
  ];
}

/** on_each_cpu: one broadcast; the others in any interleaving; when all have finished, the caller itself. */
function everywhere(
  machine: ReferenceMachine,
  work: (machine: ReferenceMachine, cpu: number) => string[],
): Reference {
  const { self } = machine;
  const targets = others(machine);
  return [
    on(self, '', ['on_each_cpu']),
    {
      lanes: [
        on(
          self,
          '',
          targets.map((cpu) => `IPI CALL_FUNCTION to ${cpu}`),
        ),
        ...targets.map((cpu) => [
          ...on(cpu, 'i-', ['interrupt CALL_FUNCTION']),
          ...on(cpu, 'i- irq', work(machine, cpu)),
        ]),
      ],
      before: targets.map((cpu) => [
        `[${self}] IPI CALL_FUNCTION to ${cpu}`,
        `[${cpu} i-] interrupt CALL_FUNCTION`,
      ]),
    },
    on(self, 'i-', work(machine, self)),
  ];
}

/** @param vcpuSize bytes of the vendor's vCPU structure: not the specification's to say */
function registrations(machine: ReferenceMachine, vcpuSize: number): string[] {
  const vendorModule = `__this_module(kvm-${machine.vendor})`;
  return [
    'register_cpu_notifier',
    'register_reboot_notifier',
    'sysdev_class_register',
    'sysdev_register',
    `kmem_cache_create ${vcpuSize} bytes aligned to 16`,
    ...ifMemory(machine, `store kvm_chardev_ops: ${vendorModule}`),
    'misc_register',
    ...ifMemory(machine, 'store kvm_preempt_ops: kvm_sched_in', 'store kvm_preempt_ops: kvm_sched_out'),
    'kvm_init_anon_inodes',
    'preempt_notifier_sys_init',
    'printk loaded kvm module (kvm-54)',
  ];
}

/** A1 and A2: the vendor module's init function, from its entry to its return. */
export function loadReference(machine: ReferenceMachine, vcpuSize: number): Reference {
  const { self, vendor } = machine;
  const isAmd = vendor === 'amd';
  const bitmaps = [
    'alloc I/O bitmap A',
    ...ifMemory(machine, 'store vmx_io_bitmap_a'),
    'alloc I/O bitmap B',
    ...ifMemory(machine, 'store vmx_io_bitmap_b'),
  ];
  return [
    on(self, '', isAmd ? ['svm_init'] : ['vmx_init', ...bitmaps]),
    on(self, '', [...beginning(machine), ...(isAmd ? svmSetup(machine) : vmxSetup(machine))]),
    compatibility(machine),
    ...everywhere(machine, enable),
    on(self, '', registrations(machine, vcpuSize)),
    // The low words of 0xfffffffffffff001 and 0.
    on(self, '', isAmd ? [] : ['kvm_mmu_set_nonpresent_ptes 0xfffff001 0x0']),
  ];
}

/** A5: the vendor module's exit function. */
export function unloadReference(machine: ReferenceMachine): Reference {
  const { cpus, self, vendor } = machine;
  const isAmd = vendor === 'amd';
  return [
    on(self, '', isAmd ? ['svm_exit'] : ['vmx_exit', 'free I/O bitmap B', 'free I/O bitmap A']),
    on(self, '', [
      'kvm_exit',
      'misc_deregister',
      'kmem_cache_destroy',
      'sysdev_unregister',
      'sysdev_class_unregister',
      'unregister_reboot_notifier',
      'unregister_cpu_notifier',
    ]),
    ...everywhere(machine, disable),
    on(self, '', [
      'kvm_arch_hardware_unsetup',
      ...(isAmd
        ? [
            'svm_hardware_unsetup',
            'free 2 pages',
            'free 4 pages',
            ...ifMemory(machine, 'store msrpm_base = NULL', 'store iopm_base = NULL'),
          ]
        : ['hardware_unsetup', 'free_kvm_area', ...cpus.map((cpu) => `free vmxarea(${cpu})`)]),
      'kvm_arch_exit',
      ...ifMemory(machine, 'store kvm_x86_ops = NULL'),
      'kvm_mmu_module_exit',
      'kmem_cache_destroy',
      'kmem_cache_destroy',
      'kmem_cache_destroy',
      'kvm_exit_debug',
      'free bad_page',
      'kvm_exit_anon_inodes',
      'preempt_notifier_sys_exit',
    ]),
  ];
}

/** KVM's notifier (priority 20) before the scheduler's two (10 and 0). */
function notified(action: string, kvm: readonly string[] = []): string[] {
  return [
    `notifier_call_chain ${action}`,
    `kvm_cpu_hotplug ${action}`,
    ...kvm,
    `migration_call ${action}`,
    `update_sched_domains ${action}`,
  ];
}

/** A3: cpu_down(victim) by a task on `self`. */
export function cpuDownReference(machine: ReferenceMachine, victim: number): Reference {
  const { self } = machine;
  return [
    on(self, '', [
      `cpu_down(${victim})`,
      ...notified('CPU_LOCK_ACQUIRE'),
      ...notified('CPU_DOWN_PREPARE'),
      'set_cpus_allowed',
      '__stop_machine_run',
    ]),
    on(victim, 'i-', [
      `milestone MACHINE_STOPPED ${victim}`,
      'take_cpu_down',
      ...notified('CPU_DYING', [
        `printk kvm: disabling virtualization on CPU${victim}`,
        ...disable(machine, victim),
      ]),
      '__cpu_disable',
      `milestone ONLINE_BIT_CLEARED ${victim}`,
      `milestone MACHINE_RUNS ${victim}`,
    ]),
    {
      lanes: [
        on(victim, '', ['play_dead', 'INVALIDATE_CACHES', `milestone DEAD ${victim}`]),
        on(self, '', [`__cpu_die(${victim})`]),
      ],
    },
    on(self, '', [
      `printk CPU ${victim} is now offline`,
      ...notified('CPU_DEAD'),
      'set_cpus_allowed',
      ...notified('CPU_LOCK_RELEASE'),
    ]),
  ];
}

/** A4: cpu_up(cpu) by a task on `self`. */
export function cpuUpReference(machine: ReferenceMachine, cpu: number): Reference {
  const { self } = machine;
  return [
    on(self, '', [
      `cpu_up(${cpu})`,
      ...notified('CPU_LOCK_ACQUIRE'),
      ...notified('CPU_UP_PREPARE'),
      `__cpu_up(${cpu})`,
      `printk Booting processor ${cpu}/${cpu}`,
    ]),
    {
      lanes: [
        on(self, '', [
          `IPI INIT to ${cpu}`,
          `IPI SIPI to ${cpu}`,
          `IPI SIPI to ${cpu}`,
          `milestone CALLOUT ${cpu}`,
          'notifier_call_chain CPU_ONLINE',
          'kvm_cpu_hotplug CPU_ONLINE',
          `printk kvm: enabling virtualization on CPU${cpu}`,
          `smp_call_function_single(${cpu})`,
          `IPI CALL_FUNCTION to ${cpu}`,
        ]),
        on(cpu, 'i-', [
          'INIT',
          'SIPI',
          'start_secondary',
          'SGDT',
          'smp_callin',
          `milestone CALLIN ${cpu}`,
          'lock_ipi_call_lock',
          `milestone ONLINE_BIT_SET ${cpu}`,
          'unlock_ipi_call_lock',
        ]),
      ],
      before: [
        [`[${self}] IPI INIT to ${cpu}`, `[${cpu} i-] INIT`],
        [`[${self}] IPI SIPI to ${cpu}`, `[${cpu} i-] SIPI`],
        [`[${self}] milestone CALLOUT ${cpu}`, `[${cpu} i-] milestone CALLIN ${cpu}`],
        // The bit can be seen as soon as it is set; but no cross call begins before the new CPU gives call_lock back.
        [`[${cpu} i-] lock_ipi_call_lock`, `[${self}] notifier_call_chain CPU_ONLINE`],
        [`[${cpu} i-] unlock_ipi_call_lock`, `[${self}] IPI CALL_FUNCTION to ${cpu}`],
      ],
    },
    on(cpu, 'i-', ['interrupt CALL_FUNCTION']),
    on(cpu, 'i- irq', enable(machine, cpu)),
    on(self, '', [
      'migration_call CPU_ONLINE',
      'update_sched_domains CPU_ONLINE',
      ...notified('CPU_LOCK_RELEASE'),
    ]),
  ];
}
