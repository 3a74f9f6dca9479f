/** Takes memory until the machine has none, and writes where kmalloc said there is some: to address zero, in the end. */
import { GFP_KERNEL, kmalloc, scenario, shared, struct, u32 } from 'smplab';

const node = struct('node', { next: u32, payload: u32 });
const top = shared('top');

function allocate(): void {
  for (;;) {
    const at = kmalloc(128 * 1024, GFP_KERNEL);
    node.at(at).next = top.value;
    top.value = at;
  }
}

function look(): void {
  top.value = 0;
}

export default scenario({ on: [allocate, look], races: 'ignore' });
