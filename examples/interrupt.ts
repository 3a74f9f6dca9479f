/** A driver counts packets in its interrupt handler, and takes them out on the same CPU without switching interrupts off. */
import { READ_ONCE, WRITE_ONCE, scenario, shared } from 'smplab';

const waiting = shared('waiting', 1);
const taken = shared('taken');

function take(): void {
  const packets = READ_ONCE(waiting, 'value');
  WRITE_ONCE(waiting, 'value', 0); // A packet that comes between the two lines is gone: local_irq_save() is missing.
  taken.value = packets;
}

function packetArrives(): void {
  WRITE_ONCE(waiting, 'value', READ_ONCE(waiting, 'value') + 1);
}

export default scenario({
  on: [take],
  interrupts: [{ cpu: 0, handler: packetArrives }],
  check: () => waiting.value + taken.value === 2 || `${waiting.value} waiting and ${taken.value} taken, of 2`,
});
