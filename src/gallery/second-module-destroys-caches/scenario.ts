import { NULL, call, pte_chain_cache, scenario, shared } from 'smplab';

const loaded = shared('loaded');

export default scenario({
  name: 'kvm-intel is tried while kvm-amd loads',
  vendor: 'amd',
  cpus: 2,
  modules: ['kvm'],
  races: 'ignore',
  on: [
    function load(): void {
      loaded.value = call('sys_init_module', 0, 0, 0, 'kvm-amd') === 0 ? 1 : 0;
    },
    // No Intel processor: it is to fail, and to leave nothing behind.
    function try_the_other(): void {
      call('sys_init_module', 0, 0, 0, 'kvm-intel');
    },
  ],
  check: () =>
    loaded.value === 0 ||
    pte_chain_cache.value !== NULL ||
    'kvm-amd is loaded, and its kvm_pte_chain cache is gone',
});
