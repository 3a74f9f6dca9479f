/**
 * KVM's double enable as a bare program: INIT registers and then enables every CPU that is online; HOTPLUG brings a CPU
 * online, and enables it if somebody has registered. Nobody holds the flag between looking at it and setting it. Fixed, an
 * exchange does both; and what each side says is seen before it looks for what the other has said.
 */
import { type Scenario, scenario, shared, sharedArray, smp_mb, xchg } from 'smplab';

const CPUS = 3;
const registered = shared('registered');
const online = sharedArray('online', CPUS);
const enabled = [0, 1, 2].map((cpu) => shared(`enabled${cpu}`));
const count = sharedArray('count', CPUS);

function doubleEnable(isFixed: boolean): Scenario {
  function enable(cpu: number): void {
    const flag = enabled[cpu]!;
    if (isFixed) {
      if (xchg(flag, 'value', 1) === 1) return;
    } else {
      if (flag.value === 1) return;
      flag.value = 1;
    }
    count.set(cpu, count.get(cpu) + 1);
  }
  function init(): void {
    registered.value = 1;
    if (isFixed) smp_mb();
    for (let cpu = 0; cpu < CPUS; cpu++) if (online.get(cpu) === 1) enable(cpu);
  }
  function hotplug(cpu: number): void {
    online.set(cpu, 1);
    if (isFixed) smp_mb();
    if (registered.value === 1) enable(cpu);
  }
  return scenario({
    setup() {
      online.set(0, 1);
    },
    on: [
      init,
      function hotplug1() {
        hotplug(1);
      },
      function hotplug2() {
        hotplug(2);
      },
    ],
    check() {
      for (let cpu = 0; cpu < CPUS; cpu++)
        if (online.get(cpu) === 1 && count.get(cpu) !== 1)
          return `CPU ${cpu} was enabled ${count.get(cpu)} times`;
      return true;
    },
    races: 'report',
  });
}

export default doubleEnable(false);
export const fixed: Scenario = doubleEnable(true);
