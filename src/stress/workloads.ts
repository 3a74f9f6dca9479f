/** What a stress run makes the machine do: who calls what, and how many of each. */
import type { TortureKind } from '#kernel/torture/smptorture';

export const WORKLOADS = ['hotplug', 'ipi', 'load-unload', 'vm', 'mixed'] as const;
export type Workload = (typeof WORKLOADS)[number];

/** What a caller does, again and again. */
export type Role = 'onoff' | 'ipi' | 'load' | 'hold' | 'vm';

/** The system call of a role. `hold` loads, and unloads some time later: by the host's clock, so it is two. */
export const ROLE_CALLS: Readonly<Record<Exclude<Role, 'hold'>, string>> = {
  onoff: 'onoff_torture',
  ipi: 'ipi_torture',
  load: 'load_torture',
  vm: 'vm_torture',
};

/** What a run counts until there was enough: everything, or one sort of what its callers do. */
export const COUNTED = ['all', 'hotplug', 'calls', 'load', 'vm'] as const;
export type Counted = (typeof COUNTED)[number];

const SORT_OF_ROLE: Readonly<Record<Role, Counted>> = {
  onoff: 'hotplug',
  ipi: 'calls',
  load: 'load',
  hold: 'load',
  vm: 'vm',
};

const SORT_OF_KIND: Readonly<Record<TortureKind, Counted>> = {
  cpu_down: 'hotplug',
  cpu_up: 'hotplug',
  single: 'calls',
  'single-nowait': 'calls',
  mask: 'calls',
  each: 'calls',
  load: 'load',
  unload: 'load',
  'vm-create': 'vm',
  'vm-run': 'vm',
  'vm-migrate': 'vm',
  'vm-destroy': 'vm',
};

/** Whether what a caller does brings the run nearer to its end. */
export function isRoleCounted(role: Role, of: Counted): boolean {
  return of === 'all' || SORT_OF_ROLE[role] === of;
}

export function isKindCounted(kind: TortureKind, of: Counted): boolean {
  return of === 'all' || SORT_OF_KIND[kind] === of;
}

export interface Plan {
  readonly roles: readonly Role[];
  /** KVM is loaded for the whole of the run. */
  readonly loaded: boolean;
}

/**
 * A task that has a CPU keeps it until it ends (docs/limits.md), so there are never more callers than CPUs, and with CPUs going
 * offline some fewer.
 */
export function planOf(workload: Workload, cpus: number, callers: number | undefined): Plan {
  const repeat = (role: Role, count: number): Role[] =>
    Array.from({ length: Math.max(count, 1) }, () => role);
  const most = Math.max(cpus - 1, 1);
  switch (workload) {
    case 'hotplug':
      return { roles: repeat('onoff', callers ?? Math.min(3, most)), loaded: true };
    case 'ipi':
      return { roles: repeat('ipi', callers ?? 2), loaded: true };
    case 'load-unload':
      return { roles: repeat('load', callers ?? 1), loaded: false };
    case 'vm': {
      const some = callers ?? Math.min(4, most);
      const order: Role[] = ['vm', 'onoff'];
      return { roles: Array.from({ length: some }, (_, index) => order[index % 2]!), loaded: true };
    }
    case 'mixed': {
      const some = callers ?? Math.min(6, most);
      const order: Role[] = ['onoff', 'hold', 'vm', 'ipi', 'vm', 'onoff', 'ipi'];
      return {
        roles: Array.from({ length: some }, (_, index) => order[index % order.length]!),
        loaded: false,
      };
    }
    default: {
      const unknown: never = workload;
      return unknown;
    }
  }
}

const E = { EBUSY: -16, EINVAL: -22, EEXIST: -17, ENOENT: -2, EAGAIN: -11, ENODEV: -19 } as const;
const LOST_RACES = [E.EEXIST, E.ENOENT, E.EBUSY, E.EAGAIN];

/** Answers other than 0 with which an operation has done what it should: somebody else was faster, or there is no such thing now. */
export const EXPECTED_ERRORS: Readonly<Record<TortureKind, readonly number[]>> = {
  cpu_down: [E.EBUSY, E.EINVAL],
  cpu_up: [E.EINVAL],
  single: [],
  'single-nowait': [],
  mask: [],
  each: [],
  load: LOST_RACES,
  unload: LOST_RACES,
  'vm-create': [E.ENODEV],
  'vm-run': [],
  'vm-migrate': [E.EINVAL],
  'vm-destroy': [],
};
