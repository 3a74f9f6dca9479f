/**
 * Intel VMX, the guest's side: a vCPU from its making to its end, and one entry into the guest (spec 4.8, 5.7).
 *
 * @linux drivers/kvm/vmx.c, as of kvm-54
 * Leaves out: segment registers, real-mode emulation but for its TSS in guest memory, MSRs switched by software (a guest in
 * real mode uses none), interrupt injection, all exits but interrupt, CPUID and HLT.
 */
import { ENOMEM } from '#base/errno';
import { stack_alloc } from '#memory/stack';
import { NULL, type Ptr } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { get_cpu, put_cpu } from '#smp/percpu';
import { rdmsrl } from '../msr.ts';
import { GFP_KERNEL, PAGE_SHIFT, PAGE_SIZE, page_to_phys } from '../page_alloc.ts';
import { read_cr0, read_cr4 } from '../processor.ts';
import { kfree, kmalloc, kmem_cache_free, kmem_cache_zalloc } from '../slab.ts';
import { VMCS_FIELD, asm_vmlaunch, asm_vmread, asm_vmwrite, rdtscll } from './asm.ts';
import { GUEST_CPUID, GUEST_INTERRUPTED } from './guest.ts';
import { KVM_EXIT_FAIL_ENTRY, KVM_EXIT_UNKNOWN, kvm_run, kvm_userspace_memory_region } from './kvm_abi.ts';
import { ERR_PTR, KVM_MEMORY_SLOTS, VCPU_REGS_RSP, kvm } from './kvm.ts';
import { kvm_clear_guest_page, kvm_set_memory_region } from './kvm_main_vm.ts';
import { kvm_vcpu_cache, kvm_vcpu_init, kvm_vcpu_uninit } from './kvm_main_vcpu.ts';
import { MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_EIP, MSR_IA32_SYSENTER_ESP } from './msr_index.ts';
import {
  CPU_BASED_ACTIVATE_SECONDARY_CONTROLS,
  EXIT_REASON_CPUID,
  EXIT_REASON_EXTERNAL_INTERRUPT,
  EXIT_REASON_HLT,
  bypass_guest_pf,
  to_vmx,
  vcpu_vmx,
  vmcs_config,
  vmcs_read32,
  vmcs_readl,
  vmcs_write32,
  vmcs_write64,
  vmcs_writel,
  vmx_io_bitmap_a,
  vmx_io_bitmap_b,
} from './vmx_data.ts';
import { alloc_vmcs, free_vmcs } from './vmx_setup.ts';
import { vmcs_clear, vmx_free_vmcs, vmx_vcpu_load, vmx_vcpu_put } from './vmx_vmcs.ts';
import { fx_init } from './x86.ts';
import { kvm_emulate_cpuid, kvm_emulate_halt } from './x86_vcpu.ts';

/** A TSS for the real mode that VMX cannot do: three guest pages, at KVM_SET_TSS_ADDR or at the end of slot 0. */
export const init_rmode_tss = kernel_function('init_rmode_tss', (vm: kvm): number => {
  const first = vm.memslots.at(0);
  let fn = vm.tss_addr !== 0 ? vm.tss_addr >>> PAGE_SHIFT : first.base_gfn + first.npages - RMODE_TSS_PAGES;
  for (let page = 0; page < RMODE_TSS_PAGES; page++, fn++) {
    if (kvm_clear_guest_page(vm, fn, 0, PAGE_SIZE) < 0) return 0;
  }
  return 1;
});

const RMODE_TSS_PAGES = 3;
const RFLAGS_RESERVED = 2n;
const RESET_RIP = 0xfff0n;
const NO_LINK = 0xffff_ffff_ffff_ffffn;
const APIC_DEFAULT_BASE = 0xfee00000n;
const APIC_BASE_ENABLE = 1n << 11n;
const APIC_BASE_BSP = 1n << 8n;

/** A guest as it comes out of reset. Fails where the guest has no memory for the TSS: memory comes before vCPUs. */
export const vmx_vcpu_reset = kernel_function('vmx_vcpu_reset', (vcpu: Ptr): number => {
  const vmx = to_vmx(vcpu);
  if (init_rmode_tss(kvm.at(vmx.vcpu.kvm)) === 0) return -ENOMEM;

  vmx.vcpu.cr8 = 0n;
  vmx.vcpu.apic_base = APIC_DEFAULT_BASE | APIC_BASE_ENABLE;
  if (vmx.vcpu.vcpu_id === 0) vmx.vcpu.apic_base |= APIC_BASE_BSP;
  fx_init(vmx.vcpu);
  vmx.vcpu.fpu_active = 1;

  vmcs_writel(VMCS_FIELD.GUEST_RFLAGS, RFLAGS_RESERVED);
  vmcs_writel(VMCS_FIELD.GUEST_RIP, RESET_RIP);
  vmcs_writel(VMCS_FIELD.GUEST_RSP, 0n);
  vmx.vcpu.rip = RESET_RIP;
  return 0;
});

/** The fields that say how the guest is run, and what the host is like. The VMCS is current. */
export const vmx_vcpu_setup = kernel_function('vmx_vcpu_setup', (_vmx: vcpu_vmx): number => {
  vmcs_write64(VMCS_FIELD.IO_BITMAP_A, page_to_phys(vmx_io_bitmap_a.value));
  vmcs_write64(VMCS_FIELD.IO_BITMAP_B, page_to_phys(vmx_io_bitmap_b.value));
  vmcs_write64(VMCS_FIELD.VMCS_LINK_POINTER, NO_LINK);

  vmcs_write32(VMCS_FIELD.PIN_BASED_VM_EXEC_CONTROL, vmcs_config.pin_based_exec_ctrl);
  vmcs_write32(VMCS_FIELD.CPU_BASED_VM_EXEC_CONTROL, vmcs_config.cpu_based_exec_ctrl);
  if ((vmcs_config.cpu_based_exec_ctrl & CPU_BASED_ACTIVATE_SECONDARY_CONTROLS) !== 0) {
    vmcs_write32(VMCS_FIELD.SECONDARY_VM_EXEC_CONTROL, vmcs_config.cpu_based_2nd_exec_ctrl);
  }
  const bypass = bypass_guest_pf.value !== 0 ? 1 : 0;
  vmcs_write32(VMCS_FIELD.PAGE_FAULT_ERROR_CODE_MASK, bypass);
  vmcs_write32(VMCS_FIELD.PAGE_FAULT_ERROR_CODE_MATCH, bypass);
  vmcs_write32(VMCS_FIELD.CR3_TARGET_COUNT, 0);

  vmcs_writel(VMCS_FIELD.HOST_CR0, BigInt(read_cr0() >>> 0));
  vmcs_writel(VMCS_FIELD.HOST_CR4, BigInt(read_cr4() >>> 0));
  vmcs_write32(VMCS_FIELD.HOST_IA32_SYSENTER_CS, Number(BigInt.asUintN(32, rdmsrl(MSR_IA32_SYSENTER_CS))));
  vmcs_writel(VMCS_FIELD.HOST_IA32_SYSENTER_ESP, rdmsrl(MSR_IA32_SYSENTER_ESP));
  vmcs_writel(VMCS_FIELD.HOST_IA32_SYSENTER_EIP, rdmsrl(MSR_IA32_SYSENTER_EIP));

  vmcs_write32(VMCS_FIELD.VM_EXIT_CONTROLS, vmcs_config.vmexit_ctrl);
  vmcs_write32(VMCS_FIELD.VM_ENTRY_CONTROLS, vmcs_config.vmentry_ctrl);
  vmcs_write64(VMCS_FIELD.TSC_OFFSET, BigInt.asUintN(64, -rdtscll()));
  return 0;
});

/** Everything of a new vCPU that is VMX's. What it got is given back in reverse. */
export const vmx_create_vcpu = kernel_function('vmx_create_vcpu', (vm: Ptr, id: number): Ptr => {
  const address = kmem_cache_zalloc(kvm_vcpu_cache.value, GFP_KERNEL);
  if (address === NULL) return ERR_PTR(-ENOMEM);
  const vmx = vcpu_vmx.at(address);

  let err: number;
  free_vcpu: {
    err = kvm_vcpu_init(vmx.vcpu, kvm.at(vm), id);
    if (err !== 0) break free_vcpu;

    uninit_vcpu: {
      vmx.guest_msrs = kmalloc(PAGE_SIZE, GFP_KERNEL);
      if (vmx.guest_msrs === NULL) {
        err = -ENOMEM;
        break uninit_vcpu;
      }
      free_guest_msrs: {
        vmx.host_msrs = kmalloc(PAGE_SIZE, GFP_KERNEL);
        if (vmx.host_msrs === NULL) {
          err = -ENOMEM;
          break free_guest_msrs;
        }
        free_msrs: {
          vmx.vmcs = alloc_vmcs();
          if (vmx.vmcs === NULL) {
            err = -ENOMEM;
            break free_msrs;
          }
          vmcs_clear(vmx.vmcs);

          const cpu = get_cpu();
          vmx_vcpu_load(vmx.vcpu.addr, cpu);
          err = vmx_vcpu_setup(vmx);
          vmx_vcpu_put(vmx.vcpu.addr);
          put_cpu();
          if (err === 0) return vmx.vcpu.addr;
          free_vmcs(vmx.vmcs);
        }
        kfree(vmx.host_msrs);
      }
      kfree(vmx.guest_msrs);
    }
    kvm_vcpu_uninit(vmx.vcpu);
  }
  kmem_cache_free(kvm_vcpu_cache.value, address);
  return ERR_PTR(err);
});

export const vmx_free_vcpu = kernel_function('vmx_free_vcpu', (vcpu: Ptr): void => {
  const vmx = to_vmx(vcpu);
  vmx_free_vmcs(vmx);
  kfree(vmx.host_msrs);
  kfree(vmx.guest_msrs);
  kvm_vcpu_uninit(vmx.vcpu);
  kmem_cache_free(kvm_vcpu_cache.value, vmx.addr);
});

/** Without VPID every entry starts with an empty TLB. */
export const vmx_flush_tlb = kernel_function('vmx_flush_tlb', (_vcpu: Ptr): void => {});

export const vmx_vcpu_run = kernel_function('vmx_vcpu_run', (vcpu: Ptr, _run: Ptr): void => {
  const vmx = to_vmx(vcpu);
  vmcs_writel(VMCS_FIELD.HOST_CR0, BigInt(read_cr0() >>> 0));
  const exit = asm_vmlaunch(vmx.vcpu, vmx.launched !== 0);
  vmx.fail = exit < 0 ? 1 : 0;
  if (exit >= 0) {
    const reason =
      exit === GUEST_INTERRUPTED
        ? EXIT_REASON_EXTERNAL_INTERRUPT
        : exit === GUEST_CPUID
          ? EXIT_REASON_CPUID
          : EXIT_REASON_HLT;
    asm_vmwrite(VMCS_FIELD.VM_EXIT_REASON, BigInt(reason)); // the processor's doing
  }
  vmx.launched = 1;
});

/** Returns 1 to go on, 0 for user space. */
export const vmx_handle_exit = kernel_function('vmx_handle_exit', (run: Ptr, vcpu: Ptr): number => {
  const vmx = to_vmx(vcpu);
  const shared = kvm_run.at(run);
  if (vmx.fail !== 0) {
    shared.exit_reason = KVM_EXIT_FAIL_ENTRY;
    shared.hardware_exit_reason = asm_vmread(VMCS_FIELD.VM_INSTRUCTION_ERROR);
    return 0;
  }
  const exit_reason = vmcs_read32(VMCS_FIELD.VM_EXIT_REASON);
  switch (exit_reason) {
    case EXIT_REASON_EXTERNAL_INTERRUPT:
      vmx.vcpu.stat.irq_exits += 1;
      return 1;
    case EXIT_REASON_CPUID:
      kvm_emulate_cpuid(vmx.vcpu);
      return 1;
    case EXIT_REASON_HLT:
      return kvm_emulate_halt(vmx.vcpu);
    default:
      shared.exit_reason = KVM_EXIT_UNKNOWN;
      shared.hardware_exit_reason = BigInt(exit_reason);
      return 0;
  }
});

/** What the VMCS keeps of the registers, to where KVM looks for them. */
export const vcpu_load_rsp_rip = kernel_function('vcpu_load_rsp_rip', (vcpu: Ptr): void => {
  const vmx = to_vmx(vcpu);
  vmx.vcpu.regs.set(VCPU_REGS_RSP, vmcs_readl(VMCS_FIELD.GUEST_RSP));
  vmx.vcpu.rip = vmcs_readl(VMCS_FIELD.GUEST_RIP);
});

export const vcpu_put_rsp_rip = kernel_function('vcpu_put_rsp_rip', (vcpu: Ptr): void => {
  const vmx = to_vmx(vcpu);
  vmcs_writel(VMCS_FIELD.GUEST_RSP, vmx.vcpu.regs.get(VCPU_REGS_RSP));
  vmcs_writel(VMCS_FIELD.GUEST_RIP, vmx.vcpu.rip);
});

export const vmx_get_rflags = kernel_function('vmx_get_rflags', (_vcpu: Ptr): bigint =>
  vmcs_readl(VMCS_FIELD.GUEST_RFLAGS),
);

export const vmx_set_rflags = kernel_function('vmx_set_rflags', (_vcpu: Ptr, rflags: bigint): void => {
  vmcs_writel(VMCS_FIELD.GUEST_RFLAGS, rflags);
});

/** The kernel's own memory slot for the TSS. */
const TSS_PRIVATE_MEMSLOT = KVM_MEMORY_SLOTS;

export const vmx_set_tss_addr = kernel_function('vmx_set_tss_addr', (vm: Ptr, addr: number): number => {
  const tss_mem = stack_alloc(kvm_userspace_memory_region);
  tss_mem.slot = TSS_PRIVATE_MEMSLOT;
  tss_mem.flags = 0;
  tss_mem.guest_phys_addr = BigInt(addr);
  tss_mem.memory_size = BigInt(PAGE_SIZE * RMODE_TSS_PAGES);
  tss_mem.userspace_addr = 0n;
  const view = kvm.at(vm);
  const ret = kvm_set_memory_region(view, tss_mem, 0);
  if (ret !== 0) return ret;
  view.tss_addr = addr;
  return 0;
});
