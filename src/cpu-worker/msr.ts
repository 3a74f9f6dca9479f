/**
 * Model-specific registers: which exist, what they hold at power-up and after INIT, and which writes fault (spec B.2,
 * B.3; where the references disagree, the first column of B.8).
 *
 * Nothing here is state: values are in the CPU's block, two words a slot, and a bit a slot says whether this CPU has
 * the MSR at all. The TSC stands still but for writes, because time in a simulated machine is not a register's.
 */
import { assert } from '#base/assert';
import type { CpuRegisters } from '#memory/cpu-registers';
import { type CpuHardware, MSR_NUMBERS, Msr, VMX_CAPABILITIES } from '#memory/firmware';
import { CpuWord, MSR_SLOTS } from '#memory/layout';
import {
  hasFastFxsave,
  hasLongMode,
  hasNoExecute,
  hasSmx,
  hasSvm,
  hasSvmLock,
  hasSyscall,
  hasVmx,
  isIntel,
  physicalLimit,
} from './cpuid.ts';

export const FEATURE_CONTROL_LOCKED = 1n << 0n;
export const FEATURE_CONTROL_VMXON_IN_SMX = 1n << 1n;
export const FEATURE_CONTROL_VMXON = 1n << 2n;
const FEATURE_CONTROL_SENTER = 0xff00n;

export const EFER_SCE = 1n << 0n;
export const EFER_LME = 1n << 8n;
export const EFER_LMA = 1n << 10n;
export const EFER_NXE = 1n << 11n;
export const EFER_SVME = 1n << 12n;
export const EFER_FFXSR = 1n << 14n;

export const VM_CR_R_INIT = 1n << 1n;
export const VM_CR_DIS_A20M = 1n << 2n;
export const VM_CR_LOCK = 1n << 3n;
export const VM_CR_SVMDIS = 1n << 4n;
const VM_CR_DEFINED = 0x1fn;

export const CR0_PG: number = 0x80000000;

interface MsrDescription {
  readonly msr: number;
  /** Whether a CPU of this kind has it; its CPUID leaves and the MSRs before this one are already in the block. */
  readonly exists: (registers: CpuRegisters) => boolean;
  /** What firmware leaves in it when the configuration says nothing. */
  readonly powerUp: bigint;
  /** Does an INIT that is taken. Absent: unchanged. */
  readonly init?: (registers: CpuRegisters) => void;
  /** Does the write; false for #GP(0). Absent: read-only, always #GP(0). */
  readonly write?: (registers: CpuRegisters, value: bigint) => boolean;
  /** Absent: the stored value. */
  readonly read?: (registers: CpuRegisters) => bigint;
}

function slotOf(msr: number): number {
  return MSR_NUMBERS.indexOf(msr);
}

function slotWord(slot: number): number {
  return CpuWord.MSRS + slot * 2;
}

export function hasMsr(registers: CpuRegisters, msr: number): boolean {
  const slot = slotOf(msr);
  if (slot < 0) return false;
  return ((registers.get(CpuWord.MSR_PRESENT + (slot >> 5)) >>> (slot & 31)) & 1) !== 0;
}

/** What the register holds, whatever RDMSR says; 0 in an MSR this CPU lacks. */
export function storedMsr(registers: CpuRegisters, msr: number): bigint {
  return hasMsr(registers, msr) ? registers.get64(slotWord(slotOf(msr))) : 0n;
}

/** Puts a value into the register, whatever WRMSR says. */
export function storeMsr(registers: CpuRegisters, msr: number, value: bigint): void {
  const slot = slotOf(msr);
  assert(slot >= 0, `storeMsr: no slot for MSR ${msr}`);
  registers.set64(slotWord(slot), value);
}

const always = (): boolean => true;

/** Any 64-bit value. */
function plain(msr: number, exists: (registers: CpuRegisters) => boolean = always): MsrDescription {
  return { msr, exists, powerUp: 0n, write: (registers, value) => stored(registers, msr, value) };
}

function stored(registers: CpuRegisters, msr: number, value: bigint): true {
  storeMsr(registers, msr, value);
  return true;
}

/** An address whose bits 63:47 are all the same. */
function isCanonical(value: bigint): boolean {
  return BigInt.asUintN(64, BigInt.asIntN(48, value)) === value;
}

/** FS_BASE and GS_BASE are the bases of segment registers, which INIT resets. */
function segmentBase(msr: number): MsrDescription {
  return {
    msr,
    exists: hasLongMode,
    powerUp: 0n,
    init: (registers) => storeMsr(registers, msr, 0n),
    write: (registers, value) => isCanonical(value) && stored(registers, msr, value),
  };
}

function capability(msr: number, exists: (registers: CpuRegisters) => boolean = hasVmx): MsrDescription {
  const value = VMX_CAPABILITIES[`0x${msr.toString(16)}`];
  return { msr, exists, powerUp: value === undefined ? 0n : BigInt(value.replace('_', '')) };
}

/** No model here has EPT, VPID, VM functions or the TRUE controls; a configuration may give a CPU the MSR. */
const onlyIfConfigured = (): boolean => false;

function featureControlBits(registers: CpuRegisters): bigint {
  const smx = hasSmx(registers);
  return (
    FEATURE_CONTROL_LOCKED |
    (hasVmx(registers) ? FEATURE_CONTROL_VMXON : 0n) |
    (smx ? FEATURE_CONTROL_SENTER : 0n) |
    (smx && hasVmx(registers) ? FEATURE_CONTROL_VMXON_IN_SMX : 0n)
  );
}

function writeFeatureControl(registers: CpuRegisters, value: bigint): boolean {
  if ((storedMsr(registers, Msr.FEATURE_CONTROL) & FEATURE_CONTROL_LOCKED) !== 0n) return false;
  if ((value & ~featureControlBits(registers)) !== 0n) return false;
  return stored(registers, Msr.FEATURE_CONTROL, value);
}

/** Virtualisation was switched on, or off. */
export function countVirtualisation(registers: CpuRegisters, on: boolean): void {
  const counter = on ? CpuWord.VIRT_ON : CpuWord.VIRT_OFF;
  registers.set(counter, registers.get(counter) + 1);
}

function countSvme(registers: CpuRegisters, before: bigint, after: bigint): void {
  if (((before ^ after) & EFER_SVME) !== 0n) countVirtualisation(registers, (after & EFER_SVME) !== 0n);
}

/**
 * Bits that exist in this CPU's EFER, read-only LMA among them. Bit 13 (LMSLE), which B.3 gives to some AMD processors,
 * is reserved on these models.
 */
function eferBits(registers: CpuRegisters): bigint {
  return (
    (hasSyscall(registers) ? EFER_SCE : 0n) |
    (hasLongMode(registers) ? EFER_LME | EFER_LMA : 0n) |
    (hasNoExecute(registers) ? EFER_NXE : 0n) |
    (hasSvm(registers) ? EFER_SVME : 0n) |
    (hasFastFxsave(registers) ? EFER_FFXSR : 0n)
  );
}

function writeEfer(registers: CpuRegisters, value: bigint): boolean {
  const before = storedMsr(registers, Msr.EFER);
  if ((value & ~eferBits(registers)) !== 0n) return false;
  if ((value & EFER_SVME) !== 0n && (storedMsr(registers, Msr.VM_CR) & VM_CR_SVMDIS) !== 0n) return false;
  const paging = (registers.get(CpuWord.CR0) & CR0_PG) !== 0;
  if (paging && ((value ^ before) & EFER_LME) !== 0n) return false;
  countSvme(registers, before, value);
  return stored(registers, Msr.EFER, (value & ~EFER_LMA) | (before & EFER_LMA));
}

function writeVmCr(registers: CpuRegisters, value: bigint): boolean {
  if ((value & ~VM_CR_DEFINED) !== 0n) return false;
  // Judged on the value written, even where the lock will ignore it (B.8).
  if ((value & VM_CR_SVMDIS) !== 0n && (storedMsr(registers, Msr.EFER) & EFER_SVME) !== 0n) return false;
  const before = storedMsr(registers, Msr.VM_CR);
  let silentlyKept = 0n;
  if ((before & VM_CR_LOCK) !== 0n) silentlyKept = VM_CR_LOCK | VM_CR_SVMDIS;
  // Without the SVM-lock feature SVMDIS is firmware's alone.
  else if (!hasSvmLock(registers)) silentlyKept = VM_CR_SVMDIS;
  return stored(registers, Msr.VM_CR, (value & ~silentlyKept) | (before & silentlyKept));
}

function initVmCr(registers: CpuRegisters): void {
  const value = storedMsr(registers, Msr.VM_CR);
  if ((value & VM_CR_LOCK) === 0n) storeMsr(registers, Msr.VM_CR, value & ~VM_CR_SVMDIS);
}

function writeHsavePa(registers: CpuRegisters, value: bigint): boolean {
  if ((value & 0xfffn) !== 0n || value >= physicalLimit(registers)) return false;
  return stored(registers, Msr.VM_HSAVE_PA, value);
}

function writeSvmKey(registers: CpuRegisters, value: bigint): true {
  const control = storedMsr(registers, Msr.VM_CR);
  if ((control & VM_CR_LOCK) === 0n) return stored(registers, Msr.SVM_KEY, value);
  const key = storedMsr(registers, Msr.SVM_KEY);
  if (key !== 0n && key === value) storeMsr(registers, Msr.VM_CR, control & ~VM_CR_LOCK);
  return true;
}

/** MISC_ENABLE of a Xeon X5482: what VirtualBox's CPU database found in it, ignores and refuses. */
const MISC_ENABLE_VALUE = 0x40_66a52489n;
const MISC_ENABLE_IGNORED = 0x52_600099f6n;
const MISC_ENABLE_RESERVED = 0xffffff00_19004000n;

function writeMiscEnable(registers: CpuRegisters, value: bigint): boolean {
  if ((value & MISC_ENABLE_RESERVED) !== 0n) return false;
  const before = storedMsr(registers, Msr.MISC_ENABLE);
  return stored(registers, Msr.MISC_ENABLE, (value & ~MISC_ENABLE_IGNORED) | (before & MISC_ENABLE_IGNORED));
}

/** Default type, fixed ranges on, MTRRs on. The ranges themselves are left out: simulated memory has one type. */
const MTRR_DEF_TYPE_BITS = 0xcffn;

const TABLE: readonly MsrDescription[] = [
  plain(Msr.TSC),
  {
    msr: Msr.FEATURE_CONTROL,
    exists: (registers) => hasVmx(registers) || hasSmx(registers),
    powerUp: FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMXON,
    write: writeFeatureControl,
  },
  plain(Msr.SYSENTER_CS),
  plain(Msr.SYSENTER_ESP),
  plain(Msr.SYSENTER_EIP),
  { msr: Msr.MISC_ENABLE, exists: isIntel, powerUp: MISC_ENABLE_VALUE, write: writeMiscEnable },
  {
    msr: Msr.MTRR_DEF_TYPE,
    exists: always,
    powerUp: 0n,
    write: (registers, value) =>
      (value & ~MTRR_DEF_TYPE_BITS) === 0n && stored(registers, Msr.MTRR_DEF_TYPE, value),
  },
  capability(Msr.VMX_BASIC),
  capability(Msr.VMX_PINBASED),
  capability(Msr.VMX_PROCBASED),
  capability(Msr.VMX_EXIT),
  capability(Msr.VMX_ENTRY),
  capability(Msr.VMX_MISC),
  capability(Msr.VMX_CR0_FIXED0),
  capability(Msr.VMX_CR0_FIXED1),
  capability(Msr.VMX_CR4_FIXED0),
  capability(Msr.VMX_CR4_FIXED1),
  capability(Msr.VMX_VMCS_ENUM),
  // Secondary controls exist if they can be switched on.
  capability(Msr.VMX_PROCBASED2, (registers) => storedMsr(registers, Msr.VMX_PROCBASED) >> 63n !== 0n),
  capability(Msr.VMX_EPT_VPID, onlyIfConfigured),
  capability(Msr.VMX_TRUE_PINBASED, onlyIfConfigured),
  capability(Msr.VMX_TRUE_PROCBASED, onlyIfConfigured),
  capability(Msr.VMX_TRUE_EXIT, onlyIfConfigured),
  capability(Msr.VMX_TRUE_ENTRY, onlyIfConfigured),
  capability(Msr.VMX_VMFUNC, onlyIfConfigured),
  {
    msr: Msr.EFER,
    exists: always,
    powerUp: 0n,
    init: (registers) => {
      countSvme(registers, storedMsr(registers, Msr.EFER), 0n);
      storeMsr(registers, Msr.EFER, 0n);
    },
    write: writeEfer,
  },
  plain(Msr.STAR, hasSyscall),
  plain(Msr.LSTAR, hasLongMode),
  plain(Msr.CSTAR, hasLongMode),
  plain(Msr.SYSCALL_MASK, hasLongMode),
  segmentBase(Msr.FS_BASE),
  segmentBase(Msr.GS_BASE),
  plain(Msr.KERNEL_GS_BASE, hasLongMode),
  { msr: Msr.VM_CR, exists: hasSvm, powerUp: 0n, init: initVmCr, write: writeVmCr },
  {
    msr: Msr.IGNNE,
    exists: hasSvm,
    powerUp: 0n,
    write: (registers, value) => value <= 1n && stored(registers, Msr.IGNNE, value),
  },
  { msr: Msr.VM_HSAVE_PA, exists: hasSvm, powerUp: 0n, write: writeHsavePa },
  {
    msr: Msr.SVM_KEY,
    exists: (registers) => hasSvm(registers) && hasSvmLock(registers),
    powerUp: 0n,
    write: writeSvmKey,
    read: () => 0n,
  },
];

assert(TABLE.length <= MSR_SLOTS, 'msr: more MSRs than slots in a CPU block');
assert(
  TABLE.length === MSR_NUMBERS.length && TABLE.every(({ msr }, slot) => slotOf(msr) === slot),
  'msr: the table is not in the order of the slots',
);

/**
 * Gives every MSR its power-up value. CPUID must be reset before.
 * @param keepPowerGood a RESET that keeps PWRGOOD asserted: a locked FEATURE_CONTROL survives it
 */
export function resetMsrs(registers: CpuRegisters, hardware: CpuHardware, keepPowerGood: boolean): void {
  const featureControl = storedMsr(registers, Msr.FEATURE_CONTROL);
  const kept = keepPowerGood && (featureControl & FEATURE_CONTROL_LOCKED) !== 0n;
  for (let word = 0; word < MSR_SLOTS / 32; word++) registers.set(CpuWord.MSR_PRESENT + word, 0);
  TABLE.forEach(({ msr, exists, powerUp }, slot) => {
    const configured = hardware.msr.get(msr);
    const present = configured === undefined ? exists(registers) : configured !== null;
    if (present) {
      const word = CpuWord.MSR_PRESENT + (slot >> 5);
      registers.set(word, registers.get(word) | (1 << (slot & 31)));
    }
    registers.set64(slotWord(slot), present ? (configured ?? powerUp) : 0n);
  });
  if (kept && hasMsr(registers, Msr.FEATURE_CONTROL))
    storeMsr(registers, Msr.FEATURE_CONTROL, featureControl);
}

/** What an INIT that is taken does to the MSRs (spec B.3). */
export function initMsrs(registers: CpuRegisters): void {
  for (const { msr, init } of TABLE) if (hasMsr(registers, msr)) init?.(registers);
}

/** RDMSR: the value, undefined for #GP(0). */
export function rdmsr(registers: CpuRegisters, msr: number): bigint | undefined {
  const slot = slotOf(msr);
  if (slot < 0 || !hasMsr(registers, msr)) return undefined;
  return TABLE[slot]!.read?.(registers) ?? registers.get64(slotWord(slot));
}

/** WRMSR: false for #GP(0), and then nothing has changed. */
export function wrmsr(registers: CpuRegisters, msr: number, value: bigint): boolean {
  const slot = slotOf(msr);
  if (slot < 0 || !hasMsr(registers, msr)) return false;
  return TABLE[slot]!.write?.(registers, BigInt.asUintN(64, value)) ?? false;
}
