/** Static lists of the kernel. */
import { assert } from '#base/assert';
import { vmlinux } from '#memory/image';
import { list_head } from '#memory/list';

/** A static list that starts out empty, which means: pointing at itself. @linux include/linux/list.h (LIST_HEAD), as of 2.6.24 */
export function LIST_HEAD(name: string): list_head {
  const address = Math.ceil(vmlinux.dataEnd / list_head.align) * list_head.align;
  const head = vmlinux.DEFINE(name, list_head, { next: address, prev: address });
  assert(head.addr === address, `LIST_HEAD: ${name} is not where it was expected`);
  return head;
}
