/** Two CPUs make way for each other for ever, with operations all the time. */
import { READ_ONCE, WRITE_ONCE, scenario, shared } from 'smplab';

const wants = [shared('wants0'), shared('wants1')] as const;

function enter(me: 0 | 1): void {
  const mine = wants[me];
  const other = wants[me === 0 ? 1 : 0];
  WRITE_ONCE(mine, 'value', 1);
  while (READ_ONCE(other, 'value') === 1) WRITE_ONCE(mine, 'value', 1);
}

export default scenario({
  on: [
    function enter0() {
      enter(0);
    },
    function enter1() {
      enter(1);
    },
  ],
  stepsMax: 4000,
});
