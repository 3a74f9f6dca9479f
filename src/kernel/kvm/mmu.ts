/**
 * The shadow MMU's part in module initialisation: three slab caches, the two patterns of an empty entry, and each vCPU's
 * stock of objects (spec 2.3, 2.5).
 *
 * @linux drivers/kvm/mmu.c, as of kvm-54
 * Leaves out: shadow page tables themselves, page faults, reverse mapping, zapping: the guests of this machine run
 * without paging, so a root is allocated and never walked.
 */
import { ENOMEM } from '#base/errno';
import { NULL, type Ptr, memset, ptr, u64 } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { is_i386 } from '#smp/subarch';
import { GFP_KERNEL, PAGE_SIZE, alloc_page, free_page, page_address } from '../page_alloc.ts';
import { kmem_cache_create, kmem_cache_destroy, kmem_cache_free, kmem_cache_zalloc } from '../slab.ts';
import { INVALID_PAGE, type kvm, type kvm_mmu_memory_cache, type kvm_vcpu } from './kvm.ts';
import { kvm_ko } from './kvm_ko.ts';

/** Fewest and most objects of a vCPU's stocks. */
const PTE_CHAIN_MIN = 4;
const RMAP_DESC_MIN = 1;
const MMU_PAGE_MIN = 8;
const PAGE_HEADER_MIN = 4;

/** Shared by everybody, guarded by nobody: a second vendor module's failed load destroys them under the first (spec 2.2). */
export const pte_chain_cache = kvm_ko.DEFINE('pte_chain_cache', ptr);
export const rmap_desc_cache = kvm_ko.DEFINE('rmap_desc_cache', ptr);
export const mmu_page_header_cache = kvm_ko.DEFINE('mmu_page_header_cache', ptr);

/** Fill empty shadow entries: "trap" must exit to KVM, "notrap" is a page the guest itself marked absent. */
export const shadow_trap_nonpresent_pte = kvm_ko.DEFINE('shadow_trap_nonpresent_pte', u64);
export const shadow_notrap_nonpresent_pte = kvm_ko.DEFINE('shadow_notrap_nonpresent_pte', u64);

export const kvm_mmu_set_nonpresent_ptes = kernel_function(
  'kvm_mmu_set_nonpresent_ptes',
  (trap_pte: bigint, notrap_pte: bigint): void => {
    shadow_trap_nonpresent_pte.value = trap_pte;
    shadow_notrap_nonpresent_pte.value = notrap_pte;
  },
);

/** The pointers are left as they are: the next load overwrites them, and an unwind before that destroys them again. */
export const kvm_mmu_module_exit = kernel_function('kvm_mmu_module_exit', (): void => {
  if (pte_chain_cache.value !== NULL) kmem_cache_destroy(pte_chain_cache.value);
  if (rmap_desc_cache.value !== NULL) kmem_cache_destroy(rmap_desc_cache.value);
  if (mmu_page_header_cache.value !== NULL) kmem_cache_destroy(mmu_page_header_cache.value);
});

/** Sizes are what the structures have on the real machine: slabinfo shows them. */
export const kvm_mmu_module_init = kernel_function('kvm_mmu_module_init', (): number => {
  nomem: {
    pte_chain_cache.value = kmem_cache_create('kvm_pte_chain', is_i386() ? 28 : 56, 0, 0, NULL);
    if (pte_chain_cache.value === NULL) break nomem;
    rmap_desc_cache.value = kmem_cache_create('kvm_rmap_desc', is_i386() ? 20 : 40, 0, 0, NULL);
    if (rmap_desc_cache.value === NULL) break nomem;
    mmu_page_header_cache.value = kmem_cache_create('kvm_mmu_page_header', is_i386() ? 48 : 88, 0, 0, NULL);
    if (mmu_page_header_cache.value === NULL) break nomem;

    return 0;
  }
  kvm_mmu_module_exit();
  return -ENOMEM;
});

function mmu_topup_memory_cache(cache: kvm_mmu_memory_cache, base_cache: Ptr, min: number): number {
  if (cache.nobjs >= min) return 0;
  while (cache.nobjs < cache.objects.length) {
    const obj = kmem_cache_zalloc(base_cache, GFP_KERNEL);
    if (obj === NULL) return -ENOMEM;
    cache.objects.set(cache.nobjs, obj);
    cache.nobjs += 1;
  }
  return 0;
}

function mmu_free_memory_cache(cache: kvm_mmu_memory_cache, base_cache: Ptr): void {
  while (cache.nobjs > 0) {
    cache.nobjs -= 1;
    kmem_cache_free(base_cache, cache.objects.get(cache.nobjs));
  }
}

function mmu_topup_memory_cache_page(cache: kvm_mmu_memory_cache, min: number): number {
  if (cache.nobjs >= min) return 0;
  // Pages only up to what is needed: forty pages for each vCPU would be a large part of a simulated machine.
  while (cache.nobjs < min) {
    const page = alloc_page(GFP_KERNEL);
    if (page === NULL) return -ENOMEM;
    cache.objects.set(cache.nobjs, page_address(page));
    cache.nobjs += 1;
  }
  return 0;
}

function mmu_free_memory_cache_page(cache: kvm_mmu_memory_cache): void {
  while (cache.nobjs > 0) {
    cache.nobjs -= 1;
    free_page(cache.objects.get(cache.nobjs));
  }
}

export const mmu_topup_memory_caches = kernel_function(
  'mmu_topup_memory_caches',
  (vcpu: kvm_vcpu): number => {
    let r = mmu_topup_memory_cache(vcpu.mmu_pte_chain_cache, pte_chain_cache.value, PTE_CHAIN_MIN);
    if (r !== 0) return r;
    r = mmu_topup_memory_cache(vcpu.mmu_rmap_desc_cache, rmap_desc_cache.value, RMAP_DESC_MIN);
    if (r !== 0) return r;
    r = mmu_topup_memory_cache_page(vcpu.mmu_page_cache, MMU_PAGE_MIN);
    if (r !== 0) return r;
    return mmu_topup_memory_cache(vcpu.mmu_page_header_cache, mmu_page_header_cache.value, PAGE_HEADER_MIN);
  },
);

/** Uses the caches as they are now: objects of a cache that was destroyed meanwhile go to whatever is there. */
export const mmu_free_memory_caches = kernel_function('mmu_free_memory_caches', (vcpu: kvm_vcpu): void => {
  mmu_free_memory_cache(vcpu.mmu_pte_chain_cache, pte_chain_cache.value);
  mmu_free_memory_cache(vcpu.mmu_rmap_desc_cache, rmap_desc_cache.value);
  mmu_free_memory_cache_page(vcpu.mmu_page_cache);
  mmu_free_memory_cache(vcpu.mmu_page_header_cache, mmu_page_header_cache.value);
});

/** A new vCPU's paging structures. */
export const kvm_mmu_create = kernel_function('kvm_mmu_create', (vcpu: kvm_vcpu): number => {
  const page = alloc_page(GFP_KERNEL);
  if (page === NULL) return -ENOMEM;
  vcpu.mmu.pae_root = page_address(page);
  memset(vcpu.mmu.pae_root, 0xff, PAGE_SIZE);
  return 0;
});

/** Takes the guest's paging mode up: without paging there is nothing to choose. */
export const kvm_mmu_setup = kernel_function('kvm_mmu_setup', (vcpu: kvm_vcpu): number => {
  vcpu.mmu.root_hpa = INVALID_PAGE;
  return 0;
});

/** Gives the vCPU a root, so that the guest can be entered. */
export const kvm_mmu_load = kernel_function('kvm_mmu_load', (vcpu: kvm_vcpu): number => {
  const r = mmu_topup_memory_caches(vcpu);
  if (r !== 0) return r;
  vcpu.mmu.root_hpa = BigInt(vcpu.mmu.pae_root);
  return 0;
});

export function kvm_mmu_reload(vcpu: kvm_vcpu): number {
  return vcpu.mmu.root_hpa === INVALID_PAGE ? kvm_mmu_load(vcpu) : 0;
}

export const kvm_mmu_unload = kernel_function('kvm_mmu_unload', (vcpu: kvm_vcpu): void => {
  vcpu.mmu.root_hpa = INVALID_PAGE;
});

export const kvm_mmu_destroy = kernel_function('kvm_mmu_destroy', (vcpu: kvm_vcpu): void => {
  free_page(vcpu.mmu.pae_root);
  mmu_free_memory_caches(vcpu);
});

/** No shadow entry exists, so none is writable. */
export const kvm_mmu_slot_remove_write_access = kernel_function(
  'kvm_mmu_slot_remove_write_access',
  (_kvm: kvm, _slot: number): void => {},
);
