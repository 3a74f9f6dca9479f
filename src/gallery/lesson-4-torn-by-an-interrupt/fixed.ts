/** Mended: where an interrupt writes the copy as well, interrupts have to be off. */
import { __get_cpu_var, local_irq_restore, local_irq_save, scenario } from 'smplab';
import broken, { hits } from './scenario.ts';

function hit(): void {
  const flags = local_irq_save();
  const mine = __get_cpu_var(hits);
  mine.value = mine.value + 1;
  local_irq_restore(flags);
}

export default scenario({ ...broken, on: [hit] });
