import { old_func, scenario, to_vmx } from 'smplab';
import broken, { hv_enlightened_vmcs } from './scenario.ts';

export default scenario({
  ...broken,
  patches: {
    // Whose bitmap it is is known: no CPU has to be asked.
    vmx_create_vcpu(kvm: number, id: number): unknown {
      const vcpu = old_func('vmx_create_vcpu')(kvm, id) as number;
      hv_enlightened_vmcs.at(to_vmx(vcpu).vmcs).hv_clean_fields = 0;
      return vcpu;
    },
  },
});
