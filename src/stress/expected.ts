/** Which errors operations of a stress run may answer: what each kind may, what documented defects make fail, what faults do. */
import { EIO, ENOMEM, ENOSYS } from '#base/errno';
import type { TortureKind } from '#kernel/torture/smptorture';
import type { Fault } from '#machine/config';
import type { StressConfig } from './config.ts';
import type { Tallies, Tally } from './counters.ts';
import { EXPECTED_ERRORS } from './workloads.ts';

/** An operation that fails because of a documented defect. */
interface Refusal {
  readonly kind: string;
  readonly of: TortureKind;
  readonly errors: readonly number[];
  readonly title: string;
  readonly known: string;
}

const REFUSALS: readonly Refusal[] = [
  {
    kind: 'vm-entry',
    of: 'vm-run',
    errors: [-EIO],
    title: 'a vCPU could not be entered',
    known: 'spec 5.2, 4.8: a vCPU whose mutex was taken was left out when its CPU went offline',
  },
  {
    kind: 'cpu-start',
    of: 'cpu_up',
    errors: [-EIO, -ENOSYS],
    title: 'a CPU could not be started',
    known:
      'spec 7.8: a CPU that went offline unheard is still in VMX operation, where INIT does not reach it',
  },
];

export class ExpectedErrors {
  readonly #faults: readonly Fault[];
  /** What documented defects make fail: kvm-54 on Intel, as it was. */
  readonly #refusals: readonly Refusal[];

  constructor({ vendor, patches, faults }: StressConfig) {
    this.#faults = faults ?? [];
    this.#refusals = vendor === 'intel' && patches === undefined ? REFUSALS : [];
  }

  /** Operations of a kind that failed with what nobody expects. */
  readonly failuresOf = (kind: TortureKind, { outcomes }: Tally): number => {
    let failures = 0;
    for (const [error, count] of outcomes) {
      if (error === 0 || (error !== null && this.#isExpected(kind, error))) continue;
      failures += count;
    }
    return failures;
  };

  #isExpected(kind: TortureKind, error: number): boolean {
    if (EXPECTED_ERRORS[kind].includes(error)) return true;
    if (this.#refusals.some((one) => one.of === kind && one.errors.includes(error))) return true;
    return this.#faults.some((fault) => {
      if (fault.site === undefined) return error === -ENOMEM;
      if (fault.site === 'cpu-boot') return kind === 'cpu_up' && (error === -EIO || error === -ENOSYS);
      return error === (fault.error ?? -ENOMEM);
    });
  }

  /** What documented defects have made fail, and how often. */
  refused(tallies: Tallies): { readonly refusal: Refusal; readonly count: number }[] {
    return this.#refusals.flatMap((refusal) => {
      const { outcomes } = tallies.get(refusal.of)!;
      const count = refusal.errors.reduce((sum, error) => sum + (outcomes.get(error) ?? 0), 0);
      return count === 0 ? [] : [{ refusal, count }];
    });
  }
}
