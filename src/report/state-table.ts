/** What each CPU holds, stage by stage: the tables of `boot` and of the tour. */
import { type Paint, plain } from './paint.ts';

/** What a CPU holds for KVM. The shape of machine's KvmCpuState, which this room may not import. */
export interface CpuHolds {
  readonly cpu: number;
  readonly online: boolean;
  /** Its bit in cpus_hardware_enabled: virtualisation was tried here. */
  readonly hardwareEnabled: boolean;
  // Registers are hex; null = this CPU has none, absent = the other vendor's.
  readonly efer?: string | null;
  readonly vm_hsave_pa?: string | null;
  readonly feature_control?: string | null;
  readonly cr4?: string | null;
  readonly inVmxRoot?: boolean;
  readonly perCpuPointer: { readonly name: string; readonly value: string; readonly owner: number | null };
}

export interface Stage {
  readonly title: string;
  readonly cpus: readonly CpuHolds[];
}

const EFER_SVME = 0x1000n;

/** True if the processor would run a guest: what the bit in cpus_hardware_enabled promises. */
export function virtualisationOn(state: CpuHolds): boolean {
  if (state.efer !== undefined) return (BigInt(state.efer ?? 0) & EFER_SVME) !== 0n && state.online;
  return state.inVmxRoot === true;
}

function short(hexText: string | null | undefined): string {
  return hexText?.replace(/^0x/, '') ?? '-';
}

function pointerText({ name, value, owner }: CpuHolds['perCpuPointer']): string {
  if (BigInt(value) === 0n) return 'NULL';
  return owner === null ? 'stale' : name;
}

/** Two lines of one cell: what the kernel believes, and what the registers say. */
function cell(state: CpuHolds): readonly [string, string] {
  const { online, hardwareEnabled, perCpuPointer } = state;
  const belief = `${online ? 'on' : 'off'}, ${hardwareEnabled ? 'bit' : 'no bit'}, ${pointerText(perCpuPointer)}`;
  const registers =
    state.efer !== undefined
      ? `EFER ${short(state.efer)} HSAVE ${short(state.vm_hsave_pa)}`
      : `CR4 ${short(state.cr4)} FC ${short(state.feature_control)}${state.inVmxRoot === true ? ' VMX' : ''}`;
  return [belief, registers];
}

const UNKNOWN = { text: ['?', ''], on: false } as const;

/** What a cell's words mean, in one line each. */
export function stateLegend(isAmd: boolean): string[] {
  const pointer = isAmd ? 'svm_data' : 'vmxarea';
  return [
    `on, off = online or not; bit = in cpus_hardware_enabled ("tried", not "worked"); NULL = no ${pointer}`,
    isAmd
      ? 'EFER 1000 = SVME: SVM is on; HSAVE = VM_HSAVE_PA, where the host state is saved'
      : 'CR4 2000 = VMXE; FC = FEATURE_CONTROL; VMX = in VMX root operation; stale = was given back',
  ];
}

/** One table for all stages: two lines for each CPU, a column for each stage. */
export function stateMatrix(stages: readonly Stage[], paint: Paint = plain): string[] {
  // A machine that broke on the way may have stages that nobody could look at.
  const cpus = (stages.find((stage) => stage.cpus.length > 0)?.cpus ?? []).map(({ cpu }) => cpu);
  const columns = stages.map(({ title, cpus: states }) => ({
    title,
    cells: states.map((state) => ({ text: cell(state), on: virtualisationOn(state) })),
  }));
  const widths = columns.map(({ title, cells }) =>
    Math.max(title.length, ...cells.flatMap(({ text }) => text.map(({ length }) => length))),
  );
  const label = (text: string): string => text.padEnd(6);
  const lines = [
    label('') + columns.map(({ title }, at) => paint.strong(title.padEnd(widths[at]! + 2))).join(''),
  ];
  for (const [row, cpu] of cpus.entries()) {
    for (const half of [0, 1] as const) {
      const texts = columns.map(({ cells }, at) => {
        const { text, on } = cells[row] ?? UNKNOWN;
        const padded = text[half].padEnd(widths[at]! + 2);
        if (half === 0) return padded;
        return on ? paint.good(padded) : paint.faint(padded);
      });
      lines.push(`${half === 0 ? paint.cpu(cpu, label(`cpu ${cpu}`)) : label('')}${texts.join('')}`);
    }
  }
  return lines.map((line) => line.trimEnd());
}

/** One CPU at one stage, in words. */
export function stateSentence(state: CpuHolds, paint: Paint = plain): string {
  const { cpu, online, hardwareEnabled, perCpuPointer: pointer } = state;
  const on = virtualisationOn(state);
  const register = state.efer === undefined ? `CR4 ${state.cr4 ?? '-'}` : `EFER ${state.efer ?? '-'}`;
  const virtualisation = `${register}: virtualisation is ${on ? 'on' : 'off'}`;
  return [
    `${paint.cpu(cpu, `CPU ${cpu}`)} is ${online ? 'online' : 'offline'}`,
    `enabled bit ${hardwareEnabled ? 'set' : 'clear'}`,
    BigInt(pointer.value) === 0n ? `${pointer.name} is NULL` : `has ${pointer.name}`,
    on ? paint.good(virtualisation) : paint.bad(virtualisation),
  ].join(', ');
}

/** CPUs of one stage that hold the same, as one line each: for machines with many. */
export function stateSummary(cpus: readonly CpuHolds[]): string[] {
  const groups = new Map<string, number[]>();
  for (const state of cpus) {
    const on = virtualisationOn(state);
    const bit = state.hardwareEnabled ? 'set' : 'clear';
    const { name, value } = state.perCpuPointer;
    const key = [
      state.online ? 'online' : 'offline',
      `virtualisation ${on ? 'on' : 'off'}`,
      ...(state.hardwareEnabled === on ? [] : [`bit ${bit} all the same`]),
      BigInt(value) === 0n ? `no ${name}` : name,
    ].join(', ');
    groups.set(key, [...(groups.get(key) ?? []), state.cpu]);
  }
  return [...groups].map(([key, members]) => `cpu ${ranges(members)}: ${key}`);
}

/** `0-2,5` */
export function ranges(numbers: readonly number[]): string {
  const parts: string[] = [];
  for (let at = 0; at < numbers.length;) {
    const from = numbers[at]!;
    let to = from;
    while (numbers[at + 1] === to + 1) to = numbers[++at]!;
    at++;
    parts.push(from === to ? String(from) : `${from}-${to}`);
  }
  return parts.join(',');
}
