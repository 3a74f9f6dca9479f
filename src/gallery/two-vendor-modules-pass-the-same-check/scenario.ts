import {
  NULL,
  call,
  pte_chain_cache,
  rmap_desc_cache,
  mmu_page_header_cache,
  scenario,
  shared,
} from 'smplab';
import { checksBeforeCaches } from '../internal/livepatches.ts';

/** Module init functions that answered 0. */
const loaded = shared('loaded');

function insmod(name: string): void {
  if (call('sys_init_module', 0, 0, 0, name) === 0) loaded.value = 1;
}

/** An AMD processor that has VMX as well, which nobody ever sold: what of kvm-intel asks for it, and what touches its registers. */
const alsoVmx = {
  cpu_has_kvm_support: (): number => 1,
  vmx_disabled_by_bios: (): number => 0,
  hardware_setup: (): number => 0,
  vmx_check_processor_compat(): void {},
  vmx_hardware_enable(): void {},
};

export default scenario({
  name: 'kvm-amd and kvm-intel load at the same time, on a processor that both accept',
  vendor: 'amd',
  cpus: 2,
  modules: ['kvm'],
  races: 'ignore',
  patches: {
    ...checksBeforeCaches,
    ...alsoVmx,
  },
  on: [
    function load_amd(): void {
      insmod('kvm-amd');
    },
    function load_intel(): void {
      insmod('kvm-intel');
    },
  ],
  check: () =>
    loaded.value === 0 ||
    (pte_chain_cache.value !== NULL &&
      rmap_desc_cache.value !== NULL &&
      mmu_page_header_cache.value !== NULL) ||
    'a vendor module is loaded, and the other one has destroyed its caches',
});
