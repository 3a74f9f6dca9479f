/**
 * The three modules of the external build, as images: their code is always there, their data comes with loading (spec 0.4).
 *
 * What lives in `kvm.ko` survives unloading of a vendor module: the mask of enabled CPUs, the operations pointer, the cache
 * pointers. Several historic defects live from that.
 *
 * @linux drivers/kvm/Makefile, as of kvm-54
 * Leaves out: vmx-debug (a debugging aid of the external build).
 */
import { assert } from '#base/assert';
import { type KernelObject, MODULE_IMAGE } from '#memory/image';
import { list_head } from '#memory/list';

/** kvm_main, x86, mmu and the glue objects. Has no init function of its own. */
export const kvm_ko = MODULE_IMAGE('kvm');
/** svm. */
export const kvm_amd_ko = MODULE_IMAGE('kvm-amd');
/** vmx. */
export const kvm_intel_ko = MODULE_IMAGE('kvm-intel');

/** A list that starts out empty, which means: pointing at itself, wherever the image puts it. */
export function LIST_HEAD(image: KernelObject, name: string): list_head {
  const address = Math.ceil(image.dataEnd / list_head.align) * list_head.align;
  const head = image.DEFINE(name, list_head, { next: address, prev: address });
  assert(head.addr === address, `LIST_HEAD: ${name} is not where it was expected`);
  return head;
}
