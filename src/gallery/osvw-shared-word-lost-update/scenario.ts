import {
  DEFINE_PER_CPU,
  type Ptr,
  __get_cpu_var,
  call,
  old_func,
  per_cpu,
  scenario,
  shared,
  u32,
} from 'smplab';

const CPUS = 3;
const OSVW_LENGTH = 8;

/** The two registers of each processor, MSR C001_0140h and C001_0141h. Only its CPU reads them. */
const msr_osvw_id_length = DEFINE_PER_CPU('msr_osvw_id_length', u32);
const msr_osvw_status = DEFINE_PER_CPU('msr_osvw_status', u32);

/** What guests are told: the errata of any CPU. */
const osvw_len = shared('osvw_len', 64);
const osvw_status = shared('osvw_status');

/** As svm_hardware_enable's part of it. On the CPU concerned, interrupts off. */
export function svm_init_osvw(): void {
  const len = __get_cpu_var(msr_osvw_id_length).value;
  const status = __get_cpu_var(msr_osvw_status).value;
  if (len < osvw_len.value) osvw_len.value = len;
  osvw_status.value |= status;
  osvw_status.value &= (1 << osvw_len.value) - 1;
}

export default scenario({
  name: 'all CPUs are enabled at once, and each reports its errata',
  vendor: 'amd',
  cpus: CPUS,
  modules: ['kvm'],
  races: 'ignore',
  patches: {
    svm_hardware_enable(garbage: Ptr): void {
      old_func('svm_hardware_enable')(garbage);
      svm_init_osvw();
    },
  },
  setup(): void {
    for (let cpu = 0; cpu < CPUS; cpu++) {
      per_cpu(msr_osvw_id_length, cpu).value = OSVW_LENGTH;
      // Each CPU has an erratum of its own.
      per_cpu(msr_osvw_status, cpu).value = 1 << cpu;
    }
  },
  on: [
    function load(): void {
      call('sys_init_module', 0, 0, 0, 'kvm-amd');
    },
  ],
  check: () => osvw_status.value === (1 << CPUS) - 1 || 'an erratum of a CPU is lost',
});
