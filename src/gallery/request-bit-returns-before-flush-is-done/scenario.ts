import {
  DEFINE,
  DEFINE_PER_CPU,
  GFP_KERNEL,
  KVM_RUN,
  NULL,
  type Ptr,
  READ_ONCE,
  __get_cpu_var,
  call,
  kfree,
  kmalloc,
  kvm,
  kvm_flush_remote_tlbs,
  old_func,
  ptr,
  scenario,
  shared,
  struct,
  u32,
  vm_list,
  xchg,
} from 'smplab';
import { create_vcpu, create_vm, open_dev_kvm, run_on } from '../internal/guest.ts';

const guest_page = struct('guest_page', { word: u32 });
/** A shadow page table of two entries. */
const spte_0 = DEFINE('spte_0', ptr);
const spte_1 = DEFINE('spte_1', ptr);
/** What a CPU remembers of the second: only this CPU looks at it, and only its own flush empties it. */
const tlb_1 = DEFINE_PER_CPU('tlb_1', ptr);

const vcpu = shared('vcpu_fd');
const vm = shared('vm');

/** The guest reads from its second page: through the TLB, which is filled from the table where it has nothing. */
function guest_reads(): void {
  const cached = __get_cpu_var(tlb_1);
  if (cached.value === NULL) cached.value = READ_ONCE(spte_1, 'value');
  // Not mapped is a fault of the guest's own.
  const page = cached.value;
  if (page !== NULL) void guest_page.at(page).word;
}

/** A mapping is taken from the guest and the page given back: what the callers of the flush do. */
function unmap(spte: typeof spte_0): void {
  const page = xchg(spte, 'value', NULL);
  kvm_flush_remote_tlbs(kvm.at(vm.value));
  kfree(page);
}

export default scenario({
  name: 'two CPUs take pages from a guest that runs on a third',
  vendor: 'amd',
  cpus: 3,
  modules: ['kvm', 'kvm-amd'],
  races: 'ignore',
  // The guest of this machine has no memory: these two give it a page to read, and a TLB.
  patches: {
    svm_vcpu_run(svm: Ptr, run: Ptr): void {
      guest_reads();
      old_func('svm_vcpu_run')(svm, run);
    },
    svm_flush_tlb(svm: Ptr): void {
      old_func('svm_flush_tlb')(svm);
      __get_cpu_var(tlb_1).value = NULL;
    },
  },
  setup(): void {
    vcpu.value = create_vcpu(create_vm(open_dev_kvm()), 0);
    vm.value = kvm.container(vm_list.next, 'vm_list').addr;
    spte_0.value = kmalloc(guest_page.size, GFP_KERNEL);
    spte_1.value = kmalloc(guest_page.size, GFP_KERNEL);
    // The vCPU's CPU is 2, and what it knows there is in the TLB.
    run_on(2);
    call('sys_ioctl', vcpu.value, KVM_RUN, 0);
    run_on(0);
  },
  on: [
    function unmap_0(): void {
      unmap(spte_0);
    },
    function unmap_1(): void {
      unmap(spte_1);
    },
    function run(): void {
      call('sys_ioctl', vcpu.value, KVM_RUN, 0);
    },
  ],
});
