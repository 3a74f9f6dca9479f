/**
 * What kind of processors a machine has, and what their firmware left in them: the configuration a user writes, the
 * host checks, and every CPU thread reads as JSON from the machine's firmware page.
 *
 * A CPU is a model of spec B.5, changed by overrides: MSRs and CPUID registers with other values, or missing ones.
 * Named quirks are overrides that spec sections 3, 4 and B.6 speak about. Layers, each over the one before: the model,
 * `all`, `perCpu`; inside one layer the quirks, then the explicit values.
 *
 * Numbers are hex strings (`0x5a0800_0000000d`): 64 bits do not fit a JSON number.
 */
export type Vendor = 'amd' | 'intel';
export type ModelName = 'k8-tl60' | 'phenom-8650' | 'xeon-x5482';

/** CPUID registers of one leaf; those not given keep the model's value, or 0 in a leaf the model lacks. */
export interface CpuidOverride {
  readonly eax?: string;
  readonly ebx?: string;
  readonly ecx?: string;
  readonly edx?: string;
}

export interface CpuOverrides {
  /** MSR number -> value at power-up, `null` = this CPU has no such MSR. */
  readonly msr?: Readonly<Record<string, string | null>>;
  /** Leaf -> registers. */
  readonly cpuid?: Readonly<Record<string, CpuidOverride>>;
  readonly quirks?: readonly QuirkName[];
}

export interface HardwareConfig {
  readonly vendor: Vendor;
  readonly i386: boolean;
  readonly model?: ModelName;
  /** For every CPU. */
  readonly all?: CpuOverrides;
  /** CPU number -> what is special about it. */
  readonly perCpu?: Readonly<Record<string, CpuOverrides>>;
}

export const DEFAULT_MODEL: Readonly<Record<Vendor, ModelName>> = { amd: 'phenom-8650', intel: 'xeon-x5482' };

const MODEL_VENDOR: Readonly<Record<ModelName, Vendor>> = {
  'k8-tl60': 'amd',
  'phenom-8650': 'amd',
  'xeon-x5482': 'intel',
};

/** The MSRs smplab knows. Their order is their slot in a CPU's block: append, never reorder. */
export const Msr = {
  TSC: 0x10,
  FEATURE_CONTROL: 0x3a,
  SYSENTER_CS: 0x174,
  SYSENTER_ESP: 0x175,
  SYSENTER_EIP: 0x176,
  MISC_ENABLE: 0x1a0,
  MTRR_DEF_TYPE: 0x2ff,
  VMX_BASIC: 0x480,
  VMX_PINBASED: 0x481,
  VMX_PROCBASED: 0x482,
  VMX_EXIT: 0x483,
  VMX_ENTRY: 0x484,
  VMX_MISC: 0x485,
  VMX_CR0_FIXED0: 0x486,
  VMX_CR0_FIXED1: 0x487,
  VMX_CR4_FIXED0: 0x488,
  VMX_CR4_FIXED1: 0x489,
  VMX_VMCS_ENUM: 0x48a,
  VMX_PROCBASED2: 0x48b,
  VMX_EPT_VPID: 0x48c,
  VMX_TRUE_PINBASED: 0x48d,
  VMX_TRUE_PROCBASED: 0x48e,
  VMX_TRUE_EXIT: 0x48f,
  VMX_TRUE_ENTRY: 0x490,
  VMX_VMFUNC: 0x491,
  EFER: 0xc0000080,
  STAR: 0xc0000081,
  LSTAR: 0xc0000082,
  CSTAR: 0xc0000083,
  SYSCALL_MASK: 0xc0000084,
  FS_BASE: 0xc0000100,
  GS_BASE: 0xc0000101,
  KERNEL_GS_BASE: 0xc0000102,
  VM_CR: 0xc0010114,
  IGNNE: 0xc0010115,
  VM_HSAVE_PA: 0xc0010117,
  SVM_KEY: 0xc0010118,
} as const;

/** MSR numbers by slot. */
export const MSR_NUMBERS: readonly number[] = Object.values(Msr);

/** The VMX capability MSRs of a Xeon X5482: Set P of spec B.6. */
export const VMX_CAPABILITIES: Readonly<Record<string, string>> = {
  '0x480': '0x005a0800_0000000d',
  '0x481': '0x0000003f_00000016',
  '0x482': '0xf7f9fffe_0401e172',
  '0x483': '0x0003ffff_00036dff',
  '0x484': '0x00003fff_000011ff',
  '0x485': '0x00000000_000403c0',
  '0x486': '0x00000000_80000021',
  '0x487': '0x00000000_ffffffff',
  '0x488': '0x00000000_00002000',
  '0x489': '0x00000000_000027ff',
  '0x48a': '0x00000000_0000002c',
  '0x48b': '0x00000041_00000000',
};

type Overrides = Required<Pick<CpuOverrides, 'msr' | 'cpuid'>>;

interface Quirk {
  readonly vendor: Vendor;
  /** One line for a list of quirks. */
  readonly summary: string;
  overrides(model: ModelName): Overrides;
}

const msrOnly = (msr: Readonly<Record<string, string | null>>) => (): Overrides => ({ msr, cpuid: {} });

/** A whole set, not only what differs: it has to stand over any other set of the layer below. */
function capabilitySet(summary: string, change: Readonly<Record<string, string | null>>): Quirk {
  return { vendor: 'intel', summary, overrides: msrOnly({ ...VMX_CAPABILITIES, ...change }) };
}

const NO_VMX_MSRS = Object.fromEntries(
  [Msr.FEATURE_CONTROL, ...MSR_NUMBERS.filter((msr) => msr >= 0x480 && msr <= 0x491)].map((msr) => [
    hex(msr),
    null,
  ]),
);

/** CPUID 0x80000001 ECX of the AMD models of spec B.5, bit 2 (SVM) clear. */
const ECX_WITHOUT_SVM: Readonly<Partial<Record<ModelName, string>>> = {
  'k8-tl60': '0x0000011b',
  'phenom-8650': '0x000007fb',
};

export const QUIRKS = {
  svmdis: {
    vendor: 'amd',
    summary: 'SVM disabled and locked by the BIOS: VM_CR = 0x18 (spec 3.3)',
    overrides: msrOnly({ '0xc0010114': '0x18' }),
  },
  'no-svm': {
    vendor: 'amd',
    summary: 'a processor without SVM: CPUID 0x80000001 ECX[2] = 0 (spec 3.2)',
    overrides: (model) => ({
      msr: { '0xc0010114': null, '0xc0010115': null, '0xc0010117': null, '0xc0010118': null },
      cpuid: { '0x80000001': { ecx: ECX_WITHOUT_SVM[model] ?? '0x0' } },
    }),
  },
  'no-cpuid-8000000a': {
    vendor: 'amd',
    summary: 'no SVM leaf: CPUID 0x80000000 EAX = 0x80000008 (spec 3.2)',
    overrides: () => ({ msr: {}, cpuid: { '0x80000000': { eax: '0x80000008' } } }),
  },
  'feature-control-locked': {
    vendor: 'intel',
    summary: 'VMX disabled and locked by the BIOS: FEATURE_CONTROL = 1 (spec 4.3)',
    overrides: msrOnly({ '0x3a': '0x1' }),
  },
  'feature-control-clear': {
    vendor: 'intel',
    summary: 'the BIOS left FEATURE_CONTROL = 0: the kernel may enable and lock it (spec 4.6)',
    overrides: msrOnly({ '0x3a': '0x0' }),
  },
  'no-vmx': {
    vendor: 'intel',
    summary: 'a processor without VMX: CPUID 1 ECX[5] = 0 (spec 4.2)',
    overrides: () => ({ msr: NO_VMX_MSRS, cpuid: { '0x1': { ecx: '0x000ce39d' } } }),
  },
  P: capabilitySet('VMX capabilities that pass', {}),
  F: capabilitySet('VMX capabilities that fail: memory type UC', { '0x480': '0x00420800_0000000d' }),
  F1: capabilitySet('VMX capabilities that fail: no NMI exiting', { '0x481': '0x00000037_00000016' }),
  F2: capabilitySet('VMX capabilities that fail: no I/O bitmaps', { '0x482': '0xf5f9fffe_0401e172' }),
  F3: capabilitySet('VMX capabilities that fail on x86-64: no 64-bit host', {
    '0x483': '0x0003fdff_00036dff',
  }),
  F4: capabilitySet('VMX capabilities that fail on x86-64: 32-bit addresses', {
    '0x480': '0x005b0800_0000000d',
  }),
  D1: capabilitySet('VMX capabilities that pass without TPR shadow and secondary controls', {
    '0x482': '0x77d9fffe_0401e172',
    '0x48b': null,
  }),
  D2: capabilitySet('VMX capabilities that pass without APIC-access virtualisation', {
    '0x48b': '0x00000040_00000000',
  }),
} as const satisfies Readonly<Record<string, Quirk>>;

export type QuirkName = keyof typeof QUIRKS;

function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

const HEX = /^0x[0-9a-f](?:_?[0-9a-f])*$/i;

/** The number a hex string means; undefined if it is none, or has more bits. */
export function parseHex(text: string, bits: number): bigint | undefined {
  if (!HEX.test(text)) return undefined;
  const value = BigInt(text.replaceAll('_', ''));
  return value >> BigInt(bits) === 0n ? value : undefined;
}

/** As parseHex, of text that validateHardware has let through. */
function trustedHex(text: string, bits: number): bigint {
  const value = parseHex(text, bits);
  if (value === undefined) throw new RangeError(`firmware: ${text} is not a hex number of ${bits} bits`);
  return value;
}

export function modelOf(config: Pick<HardwareConfig, 'vendor' | 'model'>): ModelName {
  return config.model ?? DEFAULT_MODEL[config.vendor];
}

/** `over` stands above `under`; keys become canonical. */
function merged(under: Overrides, over: Pick<CpuOverrides, 'msr' | 'cpuid'>): Overrides {
  const msr: Record<string, string | null> = { ...under.msr };
  const cpuid: Record<string, CpuidOverride> = { ...under.cpuid };
  for (const [number, value] of Object.entries(over.msr ?? {})) msr[hex(trustedHex(number, 32))] = value;
  for (const [leaf, registers] of Object.entries(over.cpuid ?? {})) {
    const key = hex(trustedHex(leaf, 32));
    cpuid[key] = { ...cpuid[key], ...registers };
  }
  return { msr, cpuid };
}

const NOTHING: Overrides = { msr: {}, cpuid: {} };

function withoutQuirks(layer: CpuOverrides | undefined, model: ModelName): Overrides {
  let resolved = NOTHING;
  for (const name of layer?.quirks ?? []) resolved = merged(resolved, QUIRKS[name].overrides(model));
  return merged(resolved, layer ?? {});
}

/** The same machine, every quirk written out as overrides. Pure; resolving twice changes nothing. */
export function resolveQuirks(config: HardwareConfig): HardwareConfig {
  const model = modelOf(config);
  const perCpu = Object.fromEntries(
    Object.entries(config.perCpu ?? {}).map(([cpu, layer]) => [cpu, withoutQuirks(layer, model)]),
  );
  return { vendor: config.vendor, i386: config.i386, model, all: withoutQuirks(config.all, model), perCpu };
}

export type CpuidRegisterName = 'eax' | 'ebx' | 'ecx' | 'edx';

/** One CPU of a configuration, all layers merged. */
export interface CpuHardware {
  readonly vendor: Vendor;
  readonly i386: boolean;
  readonly model: ModelName;
  /** Value at power-up; null = this CPU has no such MSR. MSRs not in it are the model's. */
  readonly msr: ReadonlyMap<number, bigint | null>;
  /** Leaf -> the registers that differ from the model's. */
  readonly cpuid: ReadonlyMap<number, Readonly<Partial<Record<CpuidRegisterName, number>>>>;
}

export function hardwareOf(config: HardwareConfig, cpu: number): CpuHardware {
  const model = modelOf(config);
  const { msr, cpuid } = merged(
    withoutQuirks(config.all, model),
    withoutQuirks(config.perCpu?.[String(cpu)], model),
  );
  return {
    vendor: config.vendor,
    i386: config.i386,
    model,
    msr: new Map(
      Object.entries(msr).map(([number, value]) => [
        Number(number),
        value === null ? null : trustedHex(value, 64),
      ]),
    ),
    cpuid: new Map(
      Object.entries(cpuid).map(([leaf, registers]) => [
        Number(leaf),
        Object.fromEntries(
          Object.entries(registers).map(([name, value]: [string, string]) => [
            name,
            Number(trustedHex(value, 32)),
          ]),
        ),
      ]),
    ),
  };
}

/** New CPUID leaves a user may give one CPU: with the model's own they have to fit its block. */
export const CUSTOM_LEAVES_MAX = 8;

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function oneOf(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(', ');
}

function unknownKey(fields: Fields, known: readonly string[], where: string): string | undefined {
  const stranger = Object.keys(fields).find((key) => !known.includes(key));
  return stranger === undefined ? undefined : `${where}: unknown key "${stranger}", expected ${oneOf(known)}`;
}

function msrError(msr: unknown, where: string): string | undefined {
  if (!isFields(msr)) return `${where}: expected an object of MSR numbers and values`;
  const seen = new Set<bigint>();
  for (const [key, value] of Object.entries(msr)) {
    const number = parseHex(key, 32);
    if (number === undefined)
      return `${where}: "${key}" is not an MSR number, expected hex as in "0xc0000080"`;
    if (!MSR_NUMBERS.includes(Number(number))) {
      return `${where}: smplab has no MSR ${key}, expected one of ${MSR_NUMBERS.map(hex).join(', ')}`;
    }
    if (seen.has(number)) return `${where}: MSR ${hex(number)} is given twice`;
    seen.add(number);
    if (value !== null && (typeof value !== 'string' || parseHex(value, 64) === undefined)) {
      return `${where}.${key}: expected a 64-bit hex string as in "0x18", or null for an MSR the CPU lacks`;
    }
  }
  return undefined;
}

function cpuidError(cpuid: unknown, where: string): string | undefined {
  if (!isFields(cpuid)) return `${where}: expected an object of CPUID leaves`;
  const seen = new Set<bigint>();
  for (const [key, registers] of Object.entries(cpuid)) {
    const leaf = parseHex(key, 32);
    if (leaf === undefined) {
      return `${where}: "${key}" is not a CPUID leaf, expected hex as in "0x80000001"`;
    }
    if (seen.has(leaf)) return `${where}: leaf ${hex(leaf)} is given twice`;
    seen.add(leaf);
    if (!isFields(registers)) return `${where}.${key}: expected an object with eax, ebx, ecx, edx`;
    const stranger = unknownKey(registers, ['eax', 'ebx', 'ecx', 'edx'], `${where}.${key}`);
    if (stranger !== undefined) return stranger;
    for (const [name, value] of Object.entries(registers)) {
      if (typeof value !== 'string' || parseHex(value, 32) === undefined) {
        return `${where}.${key}.${name}: expected a 32-bit hex string as in "0x40"`;
      }
    }
  }
  return seen.size > CUSTOM_LEAVES_MAX ? `${where}: more than ${CUSTOM_LEAVES_MAX} CPUID leaves` : undefined;
}

/** Quirks of one layer may not contradict each other: which one wins would be a guess. */
function contradiction(names: readonly QuirkName[], model: ModelName): string | undefined {
  const said = new Map<string, { readonly by: QuirkName; readonly value: string | null }>();
  for (const name of names) {
    const quirk: Quirk = QUIRKS[name];
    const { msr, cpuid } = quirk.overrides(model);
    const facts = [
      ...Object.entries(msr),
      ...Object.entries(cpuid).flatMap(([leaf, registers]) =>
        Object.entries(registers).map(([register, value]: [string, string]): [string, string] => [
          `CPUID ${leaf} ${register}`,
          value,
        ]),
      ),
    ];
    for (const [key, value] of facts) {
      const before = said.get(key);
      if (before !== undefined && before.value !== value)
        return `quirks "${before.by}" and "${name}" contradict each other`;
      said.set(key, { by: name, value });
    }
  }
  return undefined;
}

function isQuirkName(value: unknown): value is QuirkName {
  return typeof value === 'string' && Object.hasOwn(QUIRKS, value);
}

function layerError(layer: unknown, where: string, vendor: Vendor, model: ModelName): string | undefined {
  if (!isFields(layer)) return `${where}: expected an object with msr, cpuid, quirks`;
  const stranger = unknownKey(layer, ['msr', 'cpuid', 'quirks'], where);
  if (stranger !== undefined) return stranger;
  const { msr, cpuid, quirks } = layer as { msr?: unknown; cpuid?: unknown; quirks?: unknown };
  const registers =
    (msr === undefined ? undefined : msrError(msr, `${where}.msr`)) ??
    (cpuid === undefined ? undefined : cpuidError(cpuid, `${where}.cpuid`));
  if (registers !== undefined) return registers;
  if (quirks === undefined) return undefined;
  if (!Array.isArray(quirks)) return `${where}.quirks: expected a list of quirk names`;
  const names: QuirkName[] = [];
  for (const name of quirks as readonly unknown[]) {
    if (!isQuirkName(name)) {
      return `${where}.quirks: unknown quirk ${JSON.stringify(name)}, expected one of ${oneOf(Object.keys(QUIRKS))}`;
    }
    if (QUIRKS[name].vendor !== vendor) {
      return `${where}.quirks: "${name}" is about ${QUIRKS[name].vendor} processors, the vendor is "${vendor}"`;
    }
    names.push(name);
  }
  const clash = contradiction(names, model);
  return clash === undefined ? undefined : `${where}: ${clash}`;
}

/**
 * What is wrong with what a user gave as HardwareConfig, in one line; undefined = nothing.
 * @param nrPossible CPUs the machine can have
 */
export function validateHardware(value: unknown, nrPossible: number): string | undefined {
  if (!isFields(value)) return 'hardware: expected an object with at least vendor and i386';
  const stranger = unknownKey(value, ['vendor', 'i386', 'model', 'all', 'perCpu'], 'hardware');
  if (stranger !== undefined) return stranger;
  const { vendor, i386, model, all, perCpu } = value as Partial<Record<keyof HardwareConfig, unknown>>;
  if (vendor !== 'amd' && vendor !== 'intel') return 'hardware.vendor: expected "amd" or "intel"';
  if (typeof i386 !== 'boolean') return 'hardware.i386: expected true or false';
  const models = Object.keys(MODEL_VENDOR).filter((name) => MODEL_VENDOR[name as ModelName] === vendor);
  if (model !== undefined && (typeof model !== 'string' || !models.includes(model))) {
    return `hardware.model: expected a model of ${vendor}: ${oneOf(models)}`;
  }
  const name = (model as ModelName | undefined) ?? DEFAULT_MODEL[vendor];
  const everywhere = all === undefined ? undefined : layerError(all, 'hardware.all', vendor, name);
  if (everywhere !== undefined || perCpu === undefined) return everywhere;
  if (!isFields(perCpu)) return 'hardware.perCpu: expected an object of CPU numbers';
  for (const [cpu, layer] of Object.entries(perCpu)) {
    if (!/^(?:0|[1-9]\d*)$/.test(cpu) || Number(cpu) >= nrPossible) {
      return `hardware.perCpu: no CPU ${cpu}, expected 0 to ${nrPossible - 1}`;
    }
    const error = layerError(layer, `hardware.perCpu.${cpu}`, vendor, name);
    if (error !== undefined) return error;
  }
  return undefined;
}
