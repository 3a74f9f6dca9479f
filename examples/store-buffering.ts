/**
 * Each CPU raises its own flag and then looks at the other's: at least one of them has to see a raised flag. Not so on
 * x86, where a store waits in its CPU's buffer while later loads go ahead. With smp_mb() between the two it holds.
 */
import { READ_ONCE, WRITE_ONCE, scenario, shared } from 'smplab';

const flags = [shared('flag0'), shared('flag1')] as const;
const seen = [shared('seen0'), shared('seen1')] as const;

function enter(me: 0 | 1): void {
  WRITE_ONCE(flags[me], 'value', 1);
  const other = me === 0 ? 1 : 0;
  seen[me].value = READ_ONCE(flags[other], 'value');
}

export default scenario({
  memoryModel: 'tso',
  on: [() => enter(0), () => enter(1)],
  check: () => seen[0].value + seen[1].value > 0 || 'both CPUs are inside',
});
