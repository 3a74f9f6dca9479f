import {
  CPU_DYING,
  NULL,
  type Ptr,
  __raw_notifier_call_chain,
  call,
  cpu_chain,
  scenario,
  struct,
  u32,
  vmx_is_on,
} from 'smplab';
import broken from './scenario.ts';

const take_cpu_down_param = struct('take_cpu_down_param', { mod: u32, hcpu: u32 });

export default scenario({
  ...broken,
  patches: {
    // The event after the point of no return, still on the dying CPU with interrupts off.
    take_cpu_down(param: Ptr): number {
      const { mod, hcpu } = take_cpu_down_param.at(param);
      const error = call('__cpu_disable') as number;
      if (error < 0) return error;
      __raw_notifier_call_chain(cpu_chain, CPU_DYING | mod, hcpu, -1, NULL);
      return 0;
    },
  },
  check: () => vmx_is_on(0) || 'CPU 0 has stayed online, and its virtualization is off',
});
