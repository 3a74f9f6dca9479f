/**
 * What runs in a guest. Nothing executes instructions here: the guest is a program that is fixed, and reads what it does.
 *
 * The fixed part: `1: test rsi, rsi; jz 2f; dec rsi; cpuid; jmp 1b; 2: hlt; jmp 1b`. It exits RSI times by CPUID, which KVM
 * handles, and then by HLT, which goes to user space. It needs no memory.
 *
 * With bit 32 of RSI set, the low half of RSI is the guest-physical address of a list of steps in the guest's memory, and RDI
 * counts what has been done of the current one. A step is two words: what, and how often.
 *
 *   0  the end: HLT, for ever
 *   1  compute: between two units an interrupt of the host gets through, as between two instructions
 *   2  exit by CPUID
 *   3  HLT; what comes next comes with the next KVM_RUN
 *
 * Set RSI and RDI with KVM_SET_REGS. A list outside of the guest's memory is one that is at its end.
 *
 * Leaves out: guest page tables. The list is found through the memory slots, as the shadow page tables would have it.
 */
import { bus } from '#memory/bus';
import { CpuWord, PENDING_MASKABLE } from '#memory/layout';
import { struct, u32 } from '#memory/struct';
import { VCPU_REGS_RDI, VCPU_REGS_RSI, kvm, type kvm_vcpu } from './kvm.ts';

/** How the guest came back. */
export const GUEST_INTERRUPTED = 0;
export const GUEST_CPUID = 1;
export const GUEST_HLT = 2;

export const GUEST_STEP_END = 0;
export const GUEST_STEP_COMPUTE = 1;
export const GUEST_STEP_EXIT = 2;
export const GUEST_STEP_HALT = 3;

/** In RSI: the rest is the address of a list of steps. */
export const GUEST_LIST = 0x1_0000_0000n;

export const guest_step = struct('guest_step', { what: u32, times: u32 });

const PAGE_SHIFT = 12;
const PAGE_MASK = 0xfff;

/** Whether an interrupt has come that this CPU could take. Whoever asks has it taken if so: when it came makes no difference. */
export function interrupt_waits(): boolean {
  return (bus.loadLocal32((bus.registers.base + CpuWord.PENDING) * 4) & PENDING_MASKABLE) !== 0;
}

/** Where guest memory is; 0 for an address that no slot has. */
function guest_memory(vcpu: kvm_vcpu, address: number): number {
  const vm = kvm.at(vcpu.kvm);
  const gfn = address >>> PAGE_SHIFT;
  for (let i = 0; i < vm.nmemslots; i++) {
    const { base_gfn, npages, userspace_addr } = vm.memslots.at(i);
    if (gfn < base_gfn || gfn >= base_gfn + npages || userspace_addr === 0) continue;
    return userspace_addr + ((gfn - base_gfn) << PAGE_SHIFT) + (address & PAGE_MASK);
  }
  return 0;
}

/** The steps from where the guest was left, until one of them makes it exit. */
function run_list(vcpu: kvm_vcpu): number {
  for (;;) {
    const address = Number(BigInt.asUintN(32, vcpu.regs.get(VCPU_REGS_RSI)));
    const at = guest_memory(vcpu, address);
    if (at === 0) return GUEST_HLT;
    const { what, times } = guest_step.at(at);
    if (what < GUEST_STEP_COMPUTE || what > GUEST_STEP_HALT) return GUEST_HLT;
    const done = Number(vcpu.regs.get(VCPU_REGS_RDI));
    if (done >= times) {
      vcpu.regs.set(VCPU_REGS_RDI, 0n);
      vcpu.regs.set(VCPU_REGS_RSI, GUEST_LIST | BigInt(address + guest_step.size));
      continue;
    }
    vcpu.regs.set(VCPU_REGS_RDI, BigInt(done + 1));
    if (what === GUEST_STEP_EXIT) return GUEST_CPUID;
    if (what === GUEST_STEP_HALT) return GUEST_HLT;
    if (bus.interruptWaits()) return GUEST_INTERRUPTED;
  }
}

/** The guest runs until something makes it exit. An interrupt that waits does so before the first instruction. */
export function run_guest(vcpu: kvm_vcpu): number {
  if (bus.interruptWaits()) return GUEST_INTERRUPTED;
  const left = vcpu.regs.get(VCPU_REGS_RSI);
  if (left === 0n) return GUEST_HLT;
  if ((left & GUEST_LIST) !== 0n) return run_list(vcpu);
  vcpu.regs.set(VCPU_REGS_RSI, left - 1n);
  return GUEST_CPUID;
}
