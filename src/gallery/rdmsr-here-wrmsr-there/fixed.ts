import { preempt_disable, preempt_enable, rdmsr_safe, scenario, wrmsr_safe } from 'smplab';
import broken from './scenario.ts';

export default scenario({
  ...broken,
  patches: {
    vmx_probe_msr(msr: number): boolean {
      preempt_disable();
      const value = rdmsr_safe(msr);
      const works = typeof value === 'bigint' && wrmsr_safe(msr, value) === 0;
      preempt_enable();
      return works;
    },
  },
});
