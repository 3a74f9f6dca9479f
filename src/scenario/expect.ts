/** A scenario's own checks, made while it runs. */
import { arch } from '#smp/arch';
import { KERN_EMERG, printk, report_finding } from '#smp/printk';

/** The run has failed, here: says what is wrong, with this CPU's stack. Does not come back. */
export function fail(what: string): never {
  report_finding('check', what);
  // As die() does: a run that ends at its first finding ends here, before the kernel panics over a dead interrupt.
  printk(KERN_EMERG, what);
  arch.killCurrent(what);
}

/** Goes on if `condition` holds; otherwise the run has failed, here. */
export function expect(condition: boolean, what = 'expected something that does not hold'): void {
  if (!condition) fail(what);
}
