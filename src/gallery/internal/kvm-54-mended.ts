/**
 * kvm-54 with what hotplug breaks mended: what `smplab stress --fixed` runs. Not an entry: it is all the fixes that matter there,
 * put together so that they get along, and nothing is searched.
 *
 * - no CPU comes or goes while KVM loads or unloads (livepatches.ts: hotplugExcluded), and its files' file system is there before
 *   its device is (anonInodesFirst)
 * - every possible CPU has its data from loading to unloading (svmDataForPossibleCpus; the same for kvm-intel, after 3230bb47072)
 * - a CPU is enabled before it is online (enabledWhileStarting)
 * - CPU_DYING comes after the last moment for a refusal (3ba35573ad9, 2.6.28): CPU 0 is not switched off for nothing
 * - a dying CPU clears the VMCSs it has by itself (543e42436643, 2.6.27), and CR4.VMXE goes off with VMX (e693d71b46e, 2.6.26)
 */
import {
  CPU_DYING,
  DEFINE,
  NULL,
  type Ptr,
  __raw_notifier_call_chain,
  __vcpu_clear,
  array,
  call,
  cmpxchg,
  cpu_chain,
  cpu_possible_map,
  first_cpu,
  next_cpu,
  old_func,
  per_cpu,
  ptr,
  raw_smp_processor_id,
  read_cr4,
  s32,
  scenario,
  smp_call_function_single,
  struct,
  to_vmx,
  u32,
  vcpu_vmx,
  vmxarea,
  write_cr4,
} from 'smplab';
import { enabledWhileStarting, hotplugExcluded, svmDataForPossibleCpus } from './livepatches.ts';

const CPUS_END = 256;
const ENOMEM = 12;
const CR4_VMXE = 0x2000;

const take_cpu_down_param = struct('take_cpu_down_param', { mod: u32, hcpu: u32 });

/** A vCPU whose VMCS a CPU has. Upstream it is a list in vcpu_vmx: a livepatch cannot make a structure larger. */
const cached_vcpu = struct('cached_vcpu', { vmx: ptr, cpu: s32 });
const CACHED_MAX = 128;
/** An entry is taken by who finds it free, and given back on the CPU that has the VMCS, interrupts off. */
const cached_vcpus = DEFINE('cached_vcpus', array(cached_vcpu, CACHED_MAX));

function entry_of(vmx: Ptr): Ptr {
  for (let at = 0; at < CACHED_MAX; at++)
    if (cached_vcpus.at(at).vmx === vmx) return cached_vcpus.at(at).addr;
  return NULL;
}

/** This CPU is about to have the VMCS. Preemption is off. */
function remember(vmx: Ptr, cpu: number): void {
  for (let at = 0; at < CACHED_MAX; at++) {
    const entry = cached_vcpus.at(at);
    if (entry.vmx !== NULL || cmpxchg(entry, 'vmx', NULL, vmx) !== NULL) continue;
    entry.cpu = cpu;
    return;
  }
}

const vmcsClearedByItsCpu = {
  __vcpu_clear(arg: Ptr): void {
    old_func('__vcpu_clear')(arg);
    const vmx = vcpu_vmx.at(arg);
    const found = entry_of(arg);
    if (found === NULL) return;
    const entry = cached_vcpu.at(found);
    if (entry.cpu !== raw_smp_processor_id()) return;
    entry.cpu = -1;
    vmx.vcpu.cpu = -1;
    vmx.launched = 0;
    entry.vmx = NULL;
  },
  vcpu_clear(vmx: vcpu_vmx): void {
    const { cpu } = vmx.vcpu;
    if (cpu !== -1) smp_call_function_single(cpu, __vcpu_clear, vmx.addr, 0, 1);
    vmx.launched = 0;
  },
  vmx_vcpu_load(vcpu: Ptr, cpu: number): void {
    const vmx = to_vmx(vcpu);
    if (vmx.vcpu.cpu !== cpu) {
      call('vcpu_clear', vmx);
      remember(vmx.addr, cpu);
    }
    old_func('vmx_vcpu_load')(vcpu, cpu);
  },
  /** On the dying CPU, interrupts off: no VM is looked at, and no mutex. On AMD a CPU has nothing of a vCPU. */
  decache_vcpus_on_cpu(cpu: number): void {
    for (let at = 0; at < CACHED_MAX; at++) {
      const entry = cached_vcpus.at(at);
      if (entry.vmx !== NULL && entry.cpu === cpu) call('__vcpu_clear', entry.vmx);
    }
  },
  vmx_hardware_disable(): void {
    old_func('vmx_hardware_disable')();
    write_cr4(read_cr4() & ~CR4_VMXE);
  },
};

function free_areas(): void {
  for (let cpu = first_cpu(cpu_possible_map); cpu < CPUS_END; cpu = next_cpu(cpu, cpu_possible_map)) {
    const area = per_cpu(vmxarea, cpu);
    if (area.value !== NULL) call('free_vmcs', area.value);
    area.value = NULL;
  }
}

const areasForPossibleCpus = {
  alloc_kvm_area(): number {
    for (let cpu = first_cpu(cpu_possible_map); cpu < CPUS_END; cpu = next_cpu(cpu, cpu_possible_map)) {
      const region = call('alloc_vmcs_cpu', cpu) as Ptr;
      if (region === NULL) {
        free_areas();
        return -ENOMEM;
      }
      per_cpu(vmxarea, cpu).value = region;
    }
    return 0;
  },
  free_kvm_area: free_areas,
};

export default scenario({
  on: [(): void => {}],
  patches: {
    ...svmDataForPossibleCpus,
    ...areasForPossibleCpus,
    ...enabledWhileStarting,
    ...vmcsClearedByItsCpu,
    ...hotplugExcluded,
    // Both of it: the file system first, and all of it with no CPU coming or going.
    kvm_init(opaque: Ptr, vcpu_size: number, module: Ptr): unknown {
      const error = old_func('kvm_init_anon_inodes')() as number;
      if (error !== 0) return error;
      const result = hotplugExcluded.kvm_init(opaque, vcpu_size, module) as number;
      if (result !== 0) call('kvm_exit_anon_inodes');
      return result;
    },
    kvm_init_anon_inodes: (): number => 0,
    take_cpu_down(param: Ptr): number {
      const { mod, hcpu } = take_cpu_down_param.at(param);
      const error = call('__cpu_disable') as number;
      if (error < 0) return error;
      __raw_notifier_call_chain(cpu_chain, CPU_DYING | mod, hcpu, -1, NULL);
      return 0;
    },
  },
});
