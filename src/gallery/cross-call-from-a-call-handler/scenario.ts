import { NULL, kernel_function, scenario, smp_call_function, smp_call_function_single } from 'smplab';

/** What the asker wants done on its own CPU. */
const tell = kernel_function('tell', (): void => {});

/**
 * Runs on every other CPU, in the interrupt of a call whose sender waits. It answers with a call of its own, which is the
 * defect: the machine's one slot is the sender's until this has returned.
 */
export const ask = kernel_function('ask', (asker: number): void => {
  smp_call_function_single(asker, tell, NULL, 0, 1);
});

export default scenario({
  name: "a cross call from a cross call's handler",
  cpus: 3,
  races: 'ignore',
  on: [
    function ask_everybody(): void {
      smp_call_function(ask, 0, 0, 1);
    },
  ],
});
