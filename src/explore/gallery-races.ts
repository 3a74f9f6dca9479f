/**
 * Data races that the gallery's fixed kernels have and shall have: the code of their time has them too, and KCSAN would say so of
 * it. Whatever else is told of a fixed kernel is a fault of ours.
 */
import type { RunFinding } from './executor.ts';

export interface KnownRace {
  /** As the report names it; what is in brackets or behind a dot does not matter. */
  readonly variable?: string;
  /** Of memory without a name: the two functions, as the report's title has them. */
  readonly between?: string;
  readonly why: string;
}

export const KNOWN_RACES: readonly KnownRace[] = [
  {
    variable: 'cpu_online_map',
    why: 'a CPU sets its bit with a locked instruction, and who walks the map (for_each_online_cpu) reads whole words plainly',
  },
  { variable: 'cpu_callout_map', why: 'the same' },
  { variable: 'cpu_callin_map', why: 'the same' },
  {
    variable: 'cpus_hardware_enabled',
    why: 'the same; on_each_cpu runs the handler on all CPUs at once, and each asks for its own bit',
  },
  {
    variable: 'svm_features',
    why: 'every CPU that is enabled writes what its CPUID says, the same on all, without a lock',
  },
  {
    variable: '__this_module',
    why: 'sys_init_module writes MODULE_STATE_LIVE plainly, and try_module_get reads the state without a lock',
  },
  {
    variable: 'current_vmcs',
    why: 'vmx_vcpu_load writes it with interrupts on, and __vcpu_clear reads it in an interrupt on the same CPU',
  },
  {
    variable: 'kvm_usage_count',
    why: 'counted under a lock, and read without one by a CPU that comes online (2.6.33 to 6.2)',
  },
  {
    variable: 'kvm_dev',
    why: 'whether the device is in the list is asked without misc_mtx by the scenario, in place of a user who tries to open it again and again',
  },
  {
    variable: 'init_files',
    why: 'whether a file is closed is asked without files->file_lock by the scenario, in place of a user who tries rmmod again and again',
  },
  {
    variable: 'system_state',
    why: 'kernel_restart_prepare writes it plainly, and whoever asks whether the machine goes down holds no lock for it',
  },
  {
    variable: 'kvm_x86_ops',
    why: 'kvm_arch_init asks without a lock whether a vendor module is there already, and then writes that it is (until 3af4a9e61e71)',
  },
  { variable: 'debugfs_dir', why: 'each vendor module that loads writes it, before that is asked' },
  {
    variable: 'mm_cpumask',
    why: 'leave_mm clears its bit with a locked instruction, and who flushes copies the mask plainly: what the entry is about',
  },
  {
    variable: 'cfd_data',
    why: 'a target clears its bit with a locked instruction while the sender still hands the mask to send_IPI_mask, or fills in the next call (723aae25d5cd)',
  },
  {
    variable: 'call_function',
    why: 'a descriptor is published by a barrier and a plain store, as rcu_assign_pointer was then, and targets walk the list without its lock',
  },
  { variable: 'call_function_queue', why: 'the same' },
  {
    between: '__vcpu_run / kvm_flush_remote_tlbs',
    why: 'vcpu->requests is set by a locked instruction and read plainly before each entry to the guest',
  },
  {
    between: '__vcpu_clear / vcpu_clear',
    why: 'vcpu->cpu: whether a vCPU is loaded somewhere is asked on one CPU, and its own CPU writes that it is not any more',
  },
  { between: '__vcpu_clear / vmx_vcpu_load', why: 'the same' },
  {
    between: 'kvm_flush_remote_tlbs / new_asid',
    why: 'vcpu->cpu: who flushes reads where each vCPU is, and a vCPU that is entered elsewhere writes it',
  },
  {
    between: '__free_page / kzalloc',
    why: "page->flags: who frees a page asks, under the zone's lock, for its buddy's flags, and the buddy's new owner has just written them without",
  },
];

/** Whether the race is one of those. */
export function isKnownRace({ title, detail = '' }: Pick<RunFinding, 'title' | 'detail'>): boolean {
  const [, variable] = /variable: ([A-Za-z_][A-Za-z0-9_]*)/.exec(detail) ?? [];
  const [, between] = /data-race in (.+)$/.exec(title) ?? [];
  return KNOWN_RACES.some((known) =>
    known.variable === undefined ? known.between === between : known.variable === variable,
  );
}
