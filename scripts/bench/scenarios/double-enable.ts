/** The double-enable race, bare: CPU 0 is online from the start, and INIT enables what it finds online. */
import { scenario, shared, sharedArray } from 'smplab';

const CPUS = 3;
const registered = shared('registered');
const online = sharedArray('online', CPUS);
const enabled = sharedArray('enabled', CPUS);
const count = sharedArray('count', CPUS);

function enable(cpu: number): void {
  if (enabled.get(cpu) !== 0) return;
  enabled.set(cpu, 1);
  count.set(cpu, count.get(cpu) + 1);
}

function init(): void {
  registered.value = 1;
  for (let cpu = 0; cpu < CPUS; cpu++) if (online.get(cpu) === 1) enable(cpu);
}

function plug(cpu: number): void {
  online.set(cpu, 1);
  if (registered.value === 1) enable(cpu);
}

export default scenario({
  name: 'double enable',
  // Every access of this program races; what counts is how soon a CPU is enabled twice, or never.
  races: 'ignore',
  setup: () => {
    online.set(0, 1);
  },
  on: [
    init,
    function plug_1(): void {
      plug(1);
    },
    function plug_2(): void {
      plug(2);
    },
  ],
  check: () => {
    for (let cpu = 0; cpu < CPUS; cpu++)
      if (count.get(cpu) !== 1) return `CPU ${cpu} was enabled ${count.get(cpu)} times`;
    return true;
  },
});
