/** Loops over structure fields, to time what an access through a view costs. */
import { vmlinux } from '#memory/image';
import { array, struct, u32 } from '#memory/struct';
import { kernel_function } from '#memory/symbols';

const membench_node = struct('membench_node', { value: u32, sum: u32, next: u32, pad: u32 });
const MEMBENCH_NODES = 64;
const membench_nodes = vmlinux.DEFINE('membench_nodes', array(membench_node, MEMBENCH_NODES));

/** `rounds` times over 64 structures: two loads and one store each. Answers the last sum. */
export const membench_fields = kernel_function('membench_fields', (rounds: number): number => {
  const first = membench_nodes.addr;
  let last = 0;
  for (let round = 0; round < rounds; round++) {
    for (let index = 0; index < MEMBENCH_NODES; index++) {
      const node = membench_node.at(first + index * membench_node.size);
      node.sum = (node.sum + node.value + index) | 0;
      last = index;
    }
  }
  return last;
});
