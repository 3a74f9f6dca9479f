/** Two CPUs ask for memory, and one of them writes into what it got without a look: right until an allocation fails there. */
import { GFP_KERNEL, NULL, kfree, kmalloc, scenario, shared, struct, u32 } from 'smplab';

const item = struct('taken_item', { value: u32 });
const turns = shared('turns');

export default scenario({
  name: 'memory is taken for granted',
  races: 'ignore',
  on: [
    function careless(): void {
      turns.value += 1;
      const address = kmalloc(item.size, GFP_KERNEL);
      item.at(address).value = turns.value;
      kfree(address);
    },
    function careful(): void {
      turns.value += 1;
      const address = kmalloc(item.size, GFP_KERNEL);
      if (address !== NULL) kfree(address);
    },
  ],
});
