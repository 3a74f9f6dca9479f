/**
 * AMD SVM, the guest's side: a vCPU with its control block, ASIDs, and what is swapped when the vCPU comes and goes
 * (spec 3.5, 3.9).
 *
 * No cross call anywhere: a VMCB is memory, and no CPU keeps state of it. What a CPU must have is its svm_data; a vCPU that
 * runs on one without it is an oops in pre_svm_run.
 *
 * @linux drivers/kvm/svm.c, as of kvm-54
 * Leaves out: segment registers, debug registers, interrupt injection, all exits but interrupt, CPUID and HLT.
 */
import { ENOMEM } from '#base/errno';
import { __get_cpu_var, per_cpu } from '#memory/percpu';
import { NULL, type Ptr, memset, u8, variableAt } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { local_irq_disable, raw_smp_processor_id } from '#smp/irqflags';
import { KERN_ERR, printk } from '#smp/printk';
import { is_i386 } from '#smp/subarch';
import { rdmsrl, wrmsrl } from '../msr.ts';
import {
  GFP_KERNEL,
  PAGE_SIZE,
  __free_page,
  __pa,
  __va,
  alloc_page,
  page_address,
  virt_to_page,
} from '../page_alloc.ts';
import { kmem_cache_free, kmem_cache_zalloc } from '../slab.ts';
import { asm_clgi, asm_stgi, asm_vmrun, rdtscll } from './asm.ts';
import { GUEST_CPUID, GUEST_INTERRUPTED } from './guest.ts';
import { KVM_EXIT_UNKNOWN, kvm_run } from './kvm_abi.ts';
import { ERR_PTR, VCPU_REGS_RAX, VCPU_REGS_RSP, kvm, type kvm_vcpu } from './kvm.ts';
import { kvm_vcpu_cache, kvm_vcpu_init, kvm_vcpu_uninit } from './kvm_main_vcpu.ts';
import {
  MSR_CSTAR,
  MSR_EFER_SVME_MASK,
  MSR_FS_BASE,
  MSR_IA32_SYSENTER_CS,
  MSR_IA32_SYSENTER_EIP,
  MSR_IA32_SYSENTER_ESP,
  MSR_K6_STAR,
  MSR_KERNEL_GS_BASE,
  MSR_LSTAR,
  MSR_SYSCALL_MASK,
} from './msr_index.ts';
import {
  DESC_TYPE_BYTE,
  INTERCEPT_CPUID,
  INTERCEPT_HLT,
  INTERCEPT_INTR,
  INTERCEPT_IOIO_PROT,
  INTERCEPT_MSR_PROT,
  SVM_EXIT_CPUID,
  SVM_EXIT_HLT,
  SVM_EXIT_INTR,
  TLB_CONTROL_DO_NOTHING,
  TLB_CONTROL_FLUSH_ALL_ASID,
  TSS_AVAILABLE,
  iopm_base,
  msrpm_base,
  svm_cpu_data,
  svm_data,
  to_svm,
  vcpu_svm,
  type vmcb,
  vmcb_of,
} from './svm_data.ts';
import { fx_init, kvm_migrate_apic_timer } from './x86.ts';
import { kvm_emulate_cpuid, kvm_emulate_halt } from './x86_vcpu.ts';

/** What the guest shares with the host and #VMEXIT does not give back. */
const HOST_SAVE_USER_MSRS_X86_64: readonly number[] = Object.freeze([
  MSR_K6_STAR,
  MSR_LSTAR,
  MSR_CSTAR,
  MSR_SYSCALL_MASK,
  MSR_KERNEL_GS_BASE,
  MSR_FS_BASE,
  MSR_IA32_SYSENTER_CS,
  MSR_IA32_SYSENTER_ESP,
  MSR_IA32_SYSENTER_EIP,
]);
const HOST_SAVE_USER_MSRS_I386: readonly number[] = Object.freeze([
  MSR_IA32_SYSENTER_CS,
  MSR_IA32_SYSENTER_ESP,
  MSR_IA32_SYSENTER_EIP,
]);

function host_save_user_msrs(): readonly number[] {
  return is_i386() ? HOST_SAVE_USER_MSRS_I386 : HOST_SAVE_USER_MSRS_X86_64;
}

const RESET_RIP = 0xfff0n;
const RFLAGS_RESERVED = 2n;
const ALWAYS_INTERCEPTED =
  (1n << BigInt(INTERCEPT_INTR)) |
  (1n << BigInt(INTERCEPT_CPUID)) |
  (1n << BigInt(INTERCEPT_HLT)) |
  (1n << BigInt(INTERCEPT_IOIO_PROT)) |
  (1n << BigInt(INTERCEPT_MSR_PROT));

/** A guest as it comes out of reset, with the machine's permission maps. */
export const init_vmcb = kernel_function('init_vmcb', (block: vmcb): void => {
  block.intercept = ALWAYS_INTERCEPTED;
  block.iopm_base_pa = iopm_base.value;
  block.msrpm_base_pa = msrpm_base.value;
  block.tsc_offset = 0n;
  block.efer = MSR_EFER_SVME_MASK;
  block.rflags = RFLAGS_RESERVED;
  block.rip = RESET_RIP;
});

export const svm_vcpu_reset = kernel_function('svm_vcpu_reset', (vcpu: Ptr): number => {
  const svm = to_svm(vcpu);
  init_vmcb(vmcb_of(svm));
  svm.vcpu.rip = RESET_RIP;
  return 0;
});

const APIC_DEFAULT_BASE = 0xfee00000n;
const APIC_BASE_ENABLE = 1n << 11n;
const APIC_BASE_BSP = 1n << 8n;

export const svm_create_vcpu = kernel_function('svm_create_vcpu', (vm: Ptr, id: number): Ptr => {
  const address = kmem_cache_zalloc(kvm_vcpu_cache.value, GFP_KERNEL);
  if (address === NULL) return ERR_PTR(-ENOMEM);
  const svm = vcpu_svm.at(address);

  let err: number;
  free_svm: {
    err = kvm_vcpu_init(svm.vcpu, kvm.at(vm), id);
    if (err !== 0) break free_svm;

    uninit: {
      const page = alloc_page(GFP_KERNEL);
      if (page === NULL) {
        err = -ENOMEM;
        break uninit;
      }
      svm.vmcb = page_address(page);
      memset(svm.vmcb, 0, PAGE_SIZE);
      svm.vmcb_pa = __pa(svm.vmcb);
      svm.asid_generation = 0n;
      init_vmcb(vmcb_of(svm));

      fx_init(svm.vcpu);
      svm.vcpu.fpu_active = 1;
      svm.vcpu.apic_base = APIC_DEFAULT_BASE | APIC_BASE_ENABLE;
      if (id === 0) svm.vcpu.apic_base |= APIC_BASE_BSP;
      return svm.vcpu.addr;
    }
    kvm_vcpu_uninit(svm.vcpu);
  }
  kmem_cache_free(kvm_vcpu_cache.value, address);
  return ERR_PTR(err);
});

export const svm_free_vcpu = kernel_function('svm_free_vcpu', (vcpu: Ptr): void => {
  const svm = to_svm(vcpu);
  __free_page(virt_to_page(__va(svm.vmcb_pa)));
  kvm_vcpu_uninit(svm.vcpu);
  kmem_cache_free(kvm_vcpu_cache.value, svm.addr);
});

/** This CPU is to run the vCPU, preemption off. */
export const svm_vcpu_load = kernel_function('svm_vcpu_load', (vcpu: Ptr, cpu: number): void => {
  const svm = to_svm(vcpu);
  if (cpu !== svm.vcpu.cpu) {
    // The guest's time must not run backwards because this CPU's counter is behind the last one's.
    const delta = svm.vcpu.host_tsc - rdtscll();
    const block = vmcb_of(svm);
    block.tsc_offset = BigInt.asUintN(64, block.tsc_offset + delta);
    svm.vcpu.cpu = cpu;
    kvm_migrate_apic_timer(svm.vcpu);
  }
  const msrs = host_save_user_msrs();
  for (let i = 0; i < msrs.length; i++) svm.host_user_msrs.set(i, rdmsrl(msrs[i]!));
});

export const svm_vcpu_put = kernel_function('svm_vcpu_put', (vcpu: Ptr): void => {
  const svm = to_svm(vcpu);
  svm.vcpu.stat.host_state_reload += 1;
  const msrs = host_save_user_msrs();
  for (let i = 0; i < msrs.length; i++) wrmsrl(msrs[i]!, svm.host_user_msrs.get(i));
  svm.vcpu.host_tsc = rdtscll();
});

/** No CPU keeps anything of a VMCB. */
export const svm_vcpu_decache = kernel_function('svm_vcpu_decache', (_vcpu: Ptr): void => {});

export const svm_prepare_guest_switch = kernel_function('svm_prepare_guest_switch', (_vcpu: Ptr): void => {});

/** An address-space number of this CPU for the guest. When they are used up a new generation starts, and all are flushed. */
export const new_asid = kernel_function('new_asid', (svm: vcpu_svm, data: svm_cpu_data): void => {
  const block = vmcb_of(svm);
  if (data.next_asid > data.max_asid) {
    data.asid_generation += 1n;
    data.next_asid = 1;
    block.tlb_ctl = TLB_CONTROL_FLUSH_ALL_ASID;
  }
  svm.vcpu.cpu = data.cpu;
  svm.asid_generation = data.asid_generation;
  block.asid = data.next_asid;
  data.next_asid += 1;
});

/** Just before VMRUN. On a CPU without svm_data this follows NULL: nobody looked (spec 3.7). */
export const pre_svm_run = kernel_function('pre_svm_run', (svm: vcpu_svm): void => {
  const cpu = raw_smp_processor_id();
  const data = svm_cpu_data.at(per_cpu(svm_data, cpu).value);
  vmcb_of(svm).tlb_ctl = TLB_CONTROL_DO_NOTHING;
  if (svm.vcpu.cpu !== cpu || svm.asid_generation !== data.asid_generation) new_asid(svm, data);
});

/** An old generation: the next entry takes a new ASID, and with it an empty TLB. */
export const svm_flush_tlb = kernel_function('svm_flush_tlb', (vcpu: Ptr): void => {
  to_svm(vcpu).asid_generation -= 1n;
});

/** #VMEXIT leaves the host's TSS descriptor marked busy, and LTR takes only an available one. */
export const reload_tss = kernel_function('reload_tss', (_vcpu: kvm_vcpu): void => {
  const data = svm_cpu_data.at(__get_cpu_var(svm_data).value);
  const type = variableAt(u8, data.tss_desc + DESC_TYPE_BYTE);
  type.value = (type.value & 0xf0) | TSS_AVAILABLE;
});

export const svm_vcpu_run = kernel_function('svm_vcpu_run', (vcpu: Ptr, _run: Ptr): void => {
  const svm = to_svm(vcpu);
  pre_svm_run(svm);

  asm_clgi();
  const exit = asm_vmrun(svm.vcpu);
  vmcb_of(svm).exit_code =
    exit === GUEST_INTERRUPTED ? SVM_EXIT_INTR : exit === GUEST_CPUID ? SVM_EXIT_CPUID : SVM_EXIT_HLT;
  reload_tss(svm.vcpu);
  local_irq_disable();
  asm_stgi();

  svm.next_rip = 0n;
});

/** Returns 1 to go on, 0 for user space. */
export const svm_handle_exit = kernel_function('svm_handle_exit', (run: Ptr, vcpu: Ptr): number => {
  const svm = to_svm(vcpu);
  const { exit_code } = vmcb_of(svm);
  switch (exit_code) {
    case SVM_EXIT_INTR:
      svm.vcpu.stat.irq_exits += 1;
      return 1;
    case SVM_EXIT_CPUID:
      kvm_emulate_cpuid(svm.vcpu);
      return 1;
    case SVM_EXIT_HLT:
      return kvm_emulate_halt(svm.vcpu);
    default: {
      printk(KERN_ERR, `svm_handle_exit: unexpected exit 0x${exit_code.toString(16)}`);
      const shared = kvm_run.at(run);
      shared.exit_reason = KVM_EXIT_UNKNOWN;
      shared.hardware_exit_reason = BigInt(exit_code);
      return 0;
    }
  }
});

/** What the control block keeps of the general registers, to where KVM looks for them. */
export const svm_cache_regs = kernel_function('svm_cache_regs', (vcpu: Ptr): void => {
  const svm = to_svm(vcpu);
  const block = vmcb_of(svm);
  svm.vcpu.regs.set(VCPU_REGS_RAX, block.rax);
  svm.vcpu.regs.set(VCPU_REGS_RSP, block.rsp);
  svm.vcpu.rip = block.rip;
});

export const svm_decache_regs = kernel_function('svm_decache_regs', (vcpu: Ptr): void => {
  const svm = to_svm(vcpu);
  const block = vmcb_of(svm);
  block.rax = svm.vcpu.regs.get(VCPU_REGS_RAX);
  block.rsp = svm.vcpu.regs.get(VCPU_REGS_RSP);
  block.rip = svm.vcpu.rip;
});

export const svm_get_rflags = kernel_function(
  'svm_get_rflags',
  (vcpu: Ptr): bigint => vmcb_of(to_svm(vcpu)).rflags,
);

export const svm_set_rflags = kernel_function('svm_set_rflags', (vcpu: Ptr, rflags: bigint): void => {
  vmcb_of(to_svm(vcpu)).rflags = rflags;
});

/** A TSS in guest memory is Intel's need. */
export const svm_set_tss_addr = kernel_function('svm_set_tss_addr', (_kvm: Ptr, _addr: number): number => 0);
