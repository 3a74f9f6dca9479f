/** A CPU goes offline under a task that runs on it, which goes on on the only CPU left while its own task sleeps. */
import { cpu_down, scenario, shared } from 'smplab';

const x = shared('x');

export default scenario({
  name: 'a CPU goes offline under a running task',
  races: 'ignore',
  on: [
    function down(): void {
      cpu_down(1);
      x.value = 1;
    },
    function runs(): void {
      x.value = 2;
      x.value = 3;
    },
  ],
});
