/** A CPU goes offline while another waits for its last word, a plain store. */
import { cpu_down, scenario } from 'smplab';

export default scenario({
  name: 'a CPU goes offline',
  races: 'ignore',
  cpus: 2,
  on: [
    function down(): void {
      cpu_down(1);
    },
  ],
});
