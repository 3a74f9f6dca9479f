/**
 * Data races that the gallery's fixed kernels have and shall have: the code of their time has them too, and KCSAN would say so of
 * it. Whatever else is told of a fixed kernel is a fault of ours.
 */
import type { RunFinding } from './executor.ts';

export interface KnownRace {
  /** As the report names it; what is in brackets or behind a dot does not matter. */
  readonly variable: string;
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
];

/** Whether the race is one of those. */
export function isKnownRace({ detail = '' }: Pick<RunFinding, 'detail'>): boolean {
  const [, variable = ''] = /variable: ([A-Za-z0-9_]+)/.exec(detail) ?? [];
  return KNOWN_RACES.some((known) => known.variable === variable);
}
