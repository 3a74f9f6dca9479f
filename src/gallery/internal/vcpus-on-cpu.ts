/**
 * A list of the VMCSs that a CPU has cached, after "KVM: VMX: Add list of potentially locally cached vcpus" (543e42436643,
 * 2.6.27): a dying CPU clears what it has by itself, whoever holds a vCPU's mutex.
 *
 * Upstream's link is part of vcpu_vmx. A livepatch cannot make a structure larger: the link is kept beside it, by the
 * vCPU's number in its VM (one VM is all that the scenarios make).
 */
import {
  DEFINE,
  DEFINE_PER_CPU,
  INIT_LIST_HEAD,
  KVM_MAX_VCPUS,
  NULL,
  type Ptr,
  __vcpu_clear,
  array,
  call,
  cpu_possible_map,
  first_cpu,
  list_add,
  list_del,
  list_head,
  local_irq_disable,
  local_irq_enable,
  next_cpu,
  old_func,
  per_cpu,
  ptr,
  raw_smp_processor_id,
  smp_call_function_single,
  struct,
  to_vmx,
  u32,
  vcpu_vmx,
} from 'smplab';

const local_vcpu = struct('local_vcpu', { link: list_head, vmx: ptr, cpu: u32 });
const local_vcpus = DEFINE('local_vcpus', array(local_vcpu, KVM_MAX_VCPUS));
/** Owned by its CPU, with interrupts off. A head of zeroes has not been initialised. */
const vcpus_on_cpu = DEFINE_PER_CPU('vcpus_on_cpu', list_head);

const CPUS_END = 256;

/** An empty list for every possible CPU. */
export function init_vcpus_on_cpu(): void {
  for (let cpu = first_cpu(cpu_possible_map); cpu < CPUS_END; cpu = next_cpu(cpu, cpu_possible_map))
    INIT_LIST_HEAD(per_cpu(vcpus_on_cpu, cpu));
}

/** As upstream's vmclear_local_vcpus. On the CPU concerned, interrupts off. */
function vmclear_local_vcpus(): void {
  const head = per_cpu(vcpus_on_cpu, raw_smp_processor_id());
  let at = head.next;
  while (at !== head.addr) {
    const { next } = list_head.at(at);
    call('__vcpu_clear', local_vcpu.container(at, 'link').vmx);
    at = next;
  }
}

/** Without the initialisation of the lists: where that is done is one entry's subject. */
export const vcpusOnCpuLists = {
  /** On the CPU that has the VMCS, interrupts off: also off its list. */
  __vcpu_clear(arg: Ptr): void {
    old_func('__vcpu_clear')(arg);
    const vmx = vcpu_vmx.at(arg);
    const here = local_vcpus.at(vmx.vcpu.vcpu_id);
    if (here.vmx === NULL || here.cpu !== raw_smp_processor_id()) return;
    here.vmx = NULL;
    list_del(here.link);
    vmx.vcpu.cpu = -1;
    vmx.launched = 0;
  },
  /** One look at where the VMCS is: that CPU may clear it by itself meanwhile. */
  vcpu_clear(vmx: vcpu_vmx): void {
    const { cpu } = vmx.vcpu;
    if (cpu !== -1) smp_call_function_single(cpu, __vcpu_clear, vmx.addr, 0, 1);
    vmx.launched = 0;
  },
  /** This CPU is to run the vCPU, preemption off. On the list before it has anything of it. */
  vmx_vcpu_load(vcpu: Ptr, cpu: number): void {
    const vmx = to_vmx(vcpu);
    if (vmx.vcpu.cpu !== cpu) {
      call('vcpu_clear', vmx);
      const here = local_vcpus.at(vmx.vcpu.vcpu_id);
      local_irq_disable();
      here.vmx = vmx.addr;
      here.cpu = cpu;
      list_add(here.link, per_cpu(vcpus_on_cpu, cpu));
      local_irq_enable();
    }
    old_func('vmx_vcpu_load')(vcpu, cpu);
  },
  /** No VM is looked at, and no mutex. */
  decache_vcpus_on_cpu(): void {
    vmclear_local_vcpus();
  },
};

export const vcpusCachedHere = {
  ...vcpusOnCpuLists,
  hardware_setup(): unknown {
    init_vcpus_on_cpu();
    return old_func('hardware_setup')();
  },
};
