import { kernel_function, local_irq_restore, local_irq_save, scenario, smp_call_function } from 'smplab';

/** What the other CPUs are to do. */
export const resync = kernel_function('resync', (): void => {});

/** Makes the others do their part, and waits for them: with interrupts off, which is the defect. */
const clock_was_changed = kernel_function('clock_was_changed', (): void => {
  const flags = local_irq_save();
  smp_call_function(resync, 0, 0, 1);
  local_irq_restore(flags);
});

export default scenario({
  name: 'two CPUs call each other with interrupts off',
  cpus: 2,
  races: 'ignore',
  each(): void {
    clock_was_changed();
  },
});
