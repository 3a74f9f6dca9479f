import { local_irq_disable, local_irq_enable, preempt_disable, preempt_enable, scenario } from 'smplab';
import broken, {
  STOPMACHINE_DISABLE_IRQ,
  STOPMACHINE_EXIT,
  STOPMACHINE_PREPARE,
  start_helpers,
  stopmachine_set_state,
} from './scenario.ts';

export default scenario({
  ...broken,
  patches: {
    // First nobody gives up a CPU any more; then nobody who could call is running, and interrupts can go.
    stop_machine(): number {
      start_helpers();
      preempt_disable();
      stopmachine_set_state(STOPMACHINE_PREPARE);
      local_irq_disable();
      stopmachine_set_state(STOPMACHINE_DISABLE_IRQ);
      return 0;
    },
    restart_machine(): void {
      stopmachine_set_state(STOPMACHINE_EXIT);
      local_irq_enable();
      preempt_enable();
    },
  },
});
