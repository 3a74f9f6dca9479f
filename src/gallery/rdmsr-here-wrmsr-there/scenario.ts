import {
  MSR_IA32_SYSENTER_ESP,
  NULL,
  cpu_down,
  expect,
  kernel_function,
  on_each_cpu,
  preempt_disable,
  preempt_enable,
  raw_smp_processor_id,
  rdmsr_safe,
  rdmsrl,
  scenario,
  wrmsr_safe,
  wrmsrl,
} from 'smplab';

/** Each CPU enters the kernel on a stack of its own. */
function own_stack(): bigint {
  return BigInt(0x10000 * (raw_smp_processor_id() + 1));
}

const enable_sep_cpu = kernel_function('enable_sep_cpu', (): void => {
  wrmsrl(MSR_IA32_SYSENTER_ESP, own_stack());
});

const check_sep_cpu = kernel_function('check_sep_cpu', (): void => {
  expect(rdmsrl(MSR_IA32_SYSENTER_ESP) === own_stack(), "a CPU has another CPU's SYSENTER_ESP");
});

/** One access, whole: as rdmsr and wrmsr are with their trace points. */
function rdmsr_traced(msr: number): bigint | number {
  preempt_disable();
  const value = rdmsr_safe(msr);
  preempt_enable();
  return value;
}

function wrmsr_traced(msr: number, value: bigint): number {
  preempt_disable();
  const error = wrmsr_safe(msr, value);
  preempt_enable();
  return error;
}

/** Whether the register can be read and written: by writing what was read. */
const vmx_probe_msr = kernel_function('vmx_probe_msr', (msr: number): boolean => {
  const value = rdmsr_traced(msr);
  return typeof value === 'bigint' && wrmsr_traced(msr, value) === 0;
});

export default scenario({
  name: 'an MSR is probed while the CPU goes offline under the task',
  vendor: 'intel',
  cpus: 3,
  races: 'ignore',
  setup(): void {
    on_each_cpu(enable_sep_cpu, NULL, 0, 1);
  },
  on: [
    function offline(): void {
      cpu_down(1);
    },
    function load(): void {
      expect(vmx_probe_msr(MSR_IA32_SYSENTER_ESP), 'there is no SYSENTER_ESP');
      on_each_cpu(check_sep_cpu, NULL, 0, 1);
    },
  ],
});
