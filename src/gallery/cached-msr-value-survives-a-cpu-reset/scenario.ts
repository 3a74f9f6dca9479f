import {
  DEFINE_PER_CPU,
  MSR_FS_BASE,
  NULL,
  __get_cpu_var,
  cpu_down,
  cpu_up,
  expect,
  kernel_function,
  old_func,
  rdmsrl,
  scenario,
  smp_call_function_single,
  u64,
  wrmsrl,
} from 'smplab';

/** What a task that uses the feature wants in the register. 0 is what a CPU that starts has. */
const WANTED = 0x1000n;

/** What this CPU wrote to the register last. Its own, interrupts off. */
export const xfd_state = DEFINE_PER_CPU('xfd_state', u64);

/** Writes the register if it does not hold `xfd` already: the variable is cheaper to look at. */
function xfd_update_state(xfd: bigint): void {
  const state = __get_cpu_var(xfd_state);
  if (state.value === xfd) return;
  wrmsrl(MSR_FS_BASE, xfd);
  state.value = xfd;
}

/** A task that uses the feature is switched in here. */
const switch_in = kernel_function('switch_in', (): void => {
  xfd_update_state(WANTED);
  expect(rdmsrl(MSR_FS_BASE) === WANTED, 'the register does not hold what the variable says');
});

export default scenario({
  name: 'a CPU is restarted between two tasks that want the same value in a register',
  cpus: 3,
  races: 'ignore',
  setup(): void {
    smp_call_function_single(2, switch_in, NULL, 0, 1);
  },
  patches: {
    // fpu__init_cpu_xstate: a starting CPU brings the register to its first value.
    cpu_init(): void {
      old_func('cpu_init')();
      wrmsrl(MSR_FS_BASE, 0n);
    },
  },
  on: [
    function restart(): void {
      cpu_down(2);
      cpu_up(2);
    },
    function run_task(): void {
      smp_call_function_single(2, switch_in, NULL, 0, 1);
    },
  ],
});
