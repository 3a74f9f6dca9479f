/**
 * A module's INIT against two CPUs that come up: the double-enable race, written so that every run makes the same 24
 * visible operations (12 + 6 + 6) whatever the schedule. `bare-baton.mjs` and `fast-check-peer.mjs` hold the same
 * program by hand: what changes here has to change there.
 */
import { READ_ONCE, WRITE_ONCE, scenario, shared } from 'smplab';

const registered = shared('registered');
const online = [shared('online_0', 1), shared('online_1'), shared('online_2')] as const;
const enabled = [shared('enabled_0'), shared('enabled_1'), shared('enabled_2')] as const;
const count = [shared('count_0'), shared('count_1'), shared('count_2')] as const;

/** Four operations: enables a CPU that is `wanted` and is not enabled yet. The stores are made either way. */
function enable(cpu: 1 | 2, wanted: number): void {
  const before = READ_ONCE(enabled[cpu], 'value');
  WRITE_ONCE(enabled[cpu], 'value', before | wanted);
  const times = READ_ONCE(count[cpu], 'value');
  WRITE_ONCE(count[cpu], 'value', times + (wanted & ~before));
}

function init(): void {
  const already = READ_ONCE(registered, 'value');
  WRITE_ONCE(registered, 'value', already | 1);
  enable(1, READ_ONCE(online[1], 'value'));
  enable(2, READ_ONCE(online[2], 'value'));
}

function plug(cpu: 1 | 2): void {
  WRITE_ONCE(online[cpu], 'value', 1);
  enable(cpu, READ_ONCE(registered, 'value'));
}

export default scenario({
  name: 'INIT against two CPUs that come up',
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
    for (const cpu of [1, 2] as const)
      if (count[cpu].value !== 1) return `CPU ${cpu} was enabled ${count[cpu].value} times`;
    return true;
  },
});
