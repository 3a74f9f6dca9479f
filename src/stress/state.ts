/**
 * What each CPU of a machine at rest must hold for KVM, and the documented defects of kvm-54 that make it hold something else
 * (spec 7.8, and what it refers to).
 */
import { CpuWord, PowerState } from '#memory/layout';
import { find_module } from '#kernel/module';
import { kvmState } from '#machine/kvm-state';
import type { Machine } from '#machine/machine';
import { vendorModule } from '#machine/walk';
import type { KernelInventory } from '#machine/inventory';

/** Something that is not as it should be. */
export interface Complaint {
  readonly kind: 'state' | 'leak';
  readonly title: string;
  readonly cpu?: number;
  /** Where it is documented, if it is. */
  readonly known?: string;
  /** Of something left behind: what it is, how many more than there were, and who asked for it. */
  readonly entry?: string;
  readonly more?: number;
  readonly allocatedBy?: string;
}

const SPEC_SVM_DATA = "spec 7.8, 3.7: kvm-amd frees a CPU's svm_data when it goes offline (fixed in 2.6.27)";
const SPEC_NOT_SET_UP = 'spec 7.8: a CPU that comes online between set-up and broadcast has no data';
const SPEC_MISSED = 'spec 7.8: a CPU that comes online between broadcast and notifier is never enabled';
const SPEC_DOWN_FAILED =
  'spec 5.3: CPU 0 is switched off by CPU_DYING, refuses to die, and CPU_DOWN_FAILED is not looked at';
const SPEC_STALE_BIT = 'spec 7.8: the bit of a CPU that goes offline unheard stays set';
const SPEC_VMX_ROOT =
  'spec 7.8: a CPU that goes offline unheard stays in VMX operation, and cannot be started again';
const SPEC_VMXE = 'spec 4.7: kvm-54 leaves CR4.VMXE set (fixed in 2.6.26)';
const SPEC_LADDER = 'spec 1.4: the unwind ladder of kvm_init forgets this';
const SPEC_SETUP_LEAK =
  'spec 7.8, 1.4: svm_data of a CPU that was not there when the others gave theirs back';

const SPEC_VMXAREA =
  'spec 4.4: kvm-intel frees the VMXON regions of CPUs that are online then, and no others';

const EFER_SVME = 0x1000n;
const CR4_VMXE = 0x2000n;

/** By CPU: its virtualisation is on, as its registers say. */
export function virtualisation(machine: Machine): boolean[] {
  return kvmState(machine).map((state) =>
    'efer' in state ? (BigInt(state.efer ?? 0) & EFER_SVME) !== 0n : state.inVmxRoot,
  );
}

export function isKvmLoaded(machine: Machine): boolean {
  return machine.look(() => find_module(vendorModule[machine.config.vendor]) !== 0);
}

/** What is wrong with the CPUs of a machine at rest. */
export function stateComplaints(machine: Machine): Complaint[] {
  const loaded = isKvmLoaded(machine);
  const complaints: Complaint[] = [];
  for (const state of kvmState(machine)) {
    const { cpu, online, hardwareEnabled, perCpuPointer } = state;
    const tell = (title: string, known?: string): void => {
      complaints.push({ kind: 'state', title, cpu, ...(known === undefined ? {} : { known }) });
    };
    const running = machine.bus.registersOf(cpu).get(CpuWord.POWER) === PowerState.RUNNING;
    if (online !== running)
      tell(online ? 'a CPU in the online map does not run' : 'a CPU outside the online map runs');
    const on = 'efer' in state ? (BigInt(state.efer ?? 0) & EFER_SVME) !== 0n : state.inVmxRoot;
    const isAmd = 'efer' in state;
    const hasData = perCpuPointer.value !== '0x0';
    if (loaded && online) {
      if (hardwareEnabled && !on) {
        const known = isAmd && !hasData ? SPEC_SVM_DATA : isAmd ? SPEC_STALE_BIT : SPEC_NOT_SET_UP;
        tell('a CPU is marked in cpus_hardware_enabled, and its virtualisation is off', known);
      } else if (!hardwareEnabled && !on)
        tell('a CPU is online, and its virtualisation is off', cpu === 0 ? SPEC_DOWN_FAILED : SPEC_MISSED);
      else if (!hardwareEnabled)
        tell('virtualisation of a CPU is on, and it is not in cpus_hardware_enabled');
    } else {
      // Offline, or nothing is loaded that could have it on.
      const where = online ? 'after unloading' : 'of a CPU that is offline';
      if (on) tell(`virtualisation is on ${where}`, isAmd ? SPEC_STALE_BIT : SPEC_VMX_ROOT);
      if (hardwareEnabled) tell(`the bit in cpus_hardware_enabled is set ${where}`, SPEC_STALE_BIT);
      if (!loaded && online && !isAmd && (BigInt(state.cr4) & CR4_VMXE) !== 0n)
        tell('CR4.VMXE is set after unloading', SPEC_VMXE);
    }
  }
  return complaints;
}

/** Whoever asked for memory that a documented defect forgets. */
const KNOWN_LEAKS: Readonly<Record<string, string>> = {
  svm_cpu_init: SPEC_SETUP_LEAK,
  kvm_init: SPEC_LADDER,
  alloc_vmcs_cpu: SPEC_VMXAREA,
};

interface Entry {
  readonly count: number;
  readonly allocatedBy: string | undefined;
}

/** What is there now and was not, and how many of each. */
export function holdings(before: KernelInventory, now: KernelInventory): Map<string, number> {
  const had = entries(before);
  const more = [...entries(now)].map(([key, { count }]): [string, number] => [
    key,
    count - (had.get(key)?.count ?? 0),
  ]);
  return new Map(more.filter(([, count]) => count > 0));
}

/** Everything that is there, without addresses: what is given back and taken again is the same. */
function entries(inventory: KernelInventory): Map<string, Entry> {
  const found = new Map<string, Entry>();
  for (const [list, items] of Object.entries(inventory) as [keyof KernelInventory, readonly unknown[]][]) {
    for (const item of items) {
      const {
        address: _address,
        references: _references,
        fd: _fd,
        ...rest
      } = item as Record<string, unknown>;
      const text = typeof item === 'string' ? item : JSON.stringify(rest);
      const key = `${list}: ${text}`;
      const allocatedBy = typeof item === 'object' ? (rest['allocatedBy'] as string | undefined) : undefined;
      found.set(key, { count: (found.get(key)?.count ?? 0) + 1, allocatedBy });
    }
  }
  return found;
}

/** What is there now and was not: objects against their frees. @param allowance of a kind of entry, how many may be more */
export function leakComplaints(before: KernelInventory, now: KernelInventory): Complaint[] {
  const had = entries(before);
  const complaints: Complaint[] = [];
  for (const [key, { count, allocatedBy }] of entries(now)) {
    const more = count - (had.get(key)?.count ?? 0);
    if (more <= 0) continue;
    const known = allocatedBy === undefined ? undefined : KNOWN_LEAKS[allocatedBy];
    complaints.push({
      kind: 'leak',
      title: `left behind: ${more === 1 ? '' : `${more} x `}${key}`,
      entry: key,
      more,
      ...(allocatedBy === undefined ? {} : { allocatedBy }),
      ...(known === undefined ? {} : { known }),
    });
  }
  return complaints;
}
