/**
 * The x86 half of loading and unloading: checks, the operations pointer, the list of MSRs; and the thin wrappers through
 * which common code reaches the vendor module.
 *
 * @linux drivers/kvm/x86.c, as of kvm-54
 * Leaves out: emulation of guest instructions and devices; vCPUs are in x86_vcpu.ts, VM and device ioctls in x86_ioctl.ts.
 */
import { EEXIST, ENOMEM, EOPNOTSUPP } from '#base/errno';
import { NULL, type ArrayView, type Ptr, array, memset, ptr, struct, u32 } from '#memory/struct';
import { call_pointer, kernel_function } from '#memory/symbols';
import { preempt_disable } from '#smp/irqflags';
import { BUG_ON, KERN_ERR, printk } from '#smp/printk';
import { preempt_enable } from '#smp/sched';
import { is_i386 } from '#smp/subarch';
import { rdmsr_safe } from '../msr.ts';
import { GFP_KERNEL, __GFP_ZERO, alloc_page, free_page, page_address } from '../page_alloc.ts';
import {
  INVALID_PAGE,
  VCPU_MP_STATE_RUNNABLE,
  VCPU_MP_STATE_UNINITIALIZED,
  i387_fxsave_struct,
  irqchip_in_kernel,
  kvm,
  type kvm_vcpu,
  kvm_x86_ops_t,
} from './kvm.ts';
import { kvm_ko } from './kvm_ko.ts';
import {
  kvm_mmu_create,
  kvm_mmu_destroy,
  kvm_mmu_module_exit,
  kvm_mmu_module_init,
  kvm_mmu_set_nonpresent_ptes,
} from './mmu.ts';
import {
  MSR_CSTAR,
  MSR_IA32_MISC_ENABLE,
  MSR_IA32_SYSENTER_CS,
  MSR_IA32_SYSENTER_EIP,
  MSR_IA32_SYSENTER_ESP,
  MSR_IA32_TIME_STAMP_COUNTER,
  MSR_K6_STAR,
  MSR_KERNEL_GS_BASE,
  MSR_LSTAR,
  MSR_SYSCALL_MASK,
} from './msr_index.ts';

const X86_CR0_ET = 0x10n;

/** The vendor module's operations, NULL = none is loaded. Checked and then set with no lock around: two loads may both pass. */
export const kvm_x86_ops = kvm_ko.DEFINE('kvm_x86_ops', ptr);

/** The operations, as `kvm_x86_ops->` reads them: NULL while no vendor module is loaded, and then a use is an oops. */
export function x86_ops(): kvm_x86_ops_t {
  return kvm_x86_ops_t.at(kvm_x86_ops.value);
}

/**
 * Which MSRs user space has to save and restore. Compacted in place by kvm_init_msr_list: what was dropped is gone, and
 * the tail keeps duplicates that a second load may find (spec 2.4). Survives unloading of the vendor module.
 */
const msrs_to_save_x86_64 = kvm_ko.DEFINE(
  'msrs_to_save',
  struct('msrs_to_save', { a: u32, b: u32, c: u32, d: u32, e: u32, f: u32, g: u32, h: u32, i: u32 }),
  {
    a: MSR_IA32_SYSENTER_CS,
    b: MSR_IA32_SYSENTER_ESP,
    c: MSR_IA32_SYSENTER_EIP,
    d: MSR_K6_STAR,
    e: MSR_CSTAR,
    f: MSR_KERNEL_GS_BASE,
    g: MSR_SYSCALL_MASK,
    h: MSR_LSTAR,
    i: MSR_IA32_TIME_STAMP_COUNTER,
  },
);
const msrs_to_save_i386 = kvm_ko.DEFINE(
  'msrs_to_save_i386',
  struct('msrs_to_save_i386', { a: u32, b: u32, c: u32, d: u32, e: u32 }),
  {
    a: MSR_IA32_SYSENTER_CS,
    b: MSR_IA32_SYSENTER_ESP,
    c: MSR_IA32_SYSENTER_EIP,
    d: MSR_K6_STAR,
    e: MSR_IA32_TIME_STAMP_COUNTER,
  },
);
const MSRS_X86_64 = 9;
const MSRS_I386 = 5;

/** One array in the kernel's source, of which the build takes more or less: here the machine decides. */
export function msrs_to_save(): ArrayView<typeof u32> {
  return is_i386()
    ? array(u32, MSRS_I386).at(msrs_to_save_i386.addr)
    : array(u32, MSRS_X86_64).at(msrs_to_save_x86_64.addr);
}

export const num_msrs_to_save = kvm_ko.DEFINE('num_msrs_to_save', u32);

/** Reported to user space besides; never probed, for KVM makes them up. */
export const emulated_msrs = kvm_ko.DEFINE('emulated_msrs', u32, MSR_IA32_MISC_ENABLE);
export const NUM_EMULATED_MSRS = 1;

/** Finds out which of the MSRs exist, by reading each on this CPU. The values are not wanted. */
export const kvm_init_msr_list = kernel_function('kvm_init_msr_list', (): void => {
  const msrs = msrs_to_save();
  let j = 0;
  for (let i = 0; i < msrs.length; i++) {
    if (typeof rdmsr_safe(msrs.get(i)) === 'number') continue;
    if (j < i) msrs.set(j, msrs.get(i));
    j++;
  }
  num_msrs_to_save.value = j;
});

/**
 * Takes the place of the one vendor module. `opaque` is its kvm_x86_ops.
 * The caches come before the checks: a second module's load creates them again, and its failure destroys them (spec 2.2).
 */
export const kvm_arch_init = kernel_function('kvm_arch_init', (opaque: Ptr): number => {
  let r = kvm_mmu_module_init();
  if (r !== 0) return r;

  kvm_init_msr_list();

  out: {
    const ops = kvm_x86_ops_t.at(opaque);
    if (kvm_x86_ops.value !== NULL) {
      printk(KERN_ERR, 'kvm: already loaded the other module');
      r = -EEXIST;
      break out;
    }
    // Both questions are put to this CPU only.
    if (call_pointer(ops.cpu_has_kvm_support) === 0) {
      printk(KERN_ERR, 'kvm: no hardware support');
      r = -EOPNOTSUPP;
      break out;
    }
    if (call_pointer(ops.disabled_by_bios) !== 0) {
      printk(KERN_ERR, 'kvm: disabled by bios');
      r = -EOPNOTSUPP;
      break out;
    }

    kvm_x86_ops.value = opaque;
    kvm_mmu_set_nonpresent_ptes(0n, 0n);
    return 0;
  }
  kvm_mmu_module_exit();
  return r;
});

export const kvm_arch_exit = kernel_function('kvm_arch_exit', (): void => {
  kvm_x86_ops.value = NULL;
  kvm_mmu_module_exit();
});

export const kvm_arch_hardware_setup = kernel_function(
  'kvm_arch_hardware_setup',
  (): number => call_pointer(x86_ops().hardware_setup) as number,
);

export const kvm_arch_hardware_unsetup = kernel_function('kvm_arch_hardware_unsetup', (): void => {
  call_pointer(x86_ops().hardware_unsetup);
});

export const kvm_arch_hardware_enable = kernel_function('kvm_arch_hardware_enable', (garbage: Ptr): void => {
  call_pointer(x86_ops().hardware_enable, garbage);
});

export const kvm_arch_hardware_disable = kernel_function(
  'kvm_arch_hardware_disable',
  (garbage: Ptr): void => {
    call_pointer(x86_ops().hardware_disable, garbage);
  },
);

/** Runs on each CPU by cross call. The answer goes through the pointer. */
export const kvm_arch_check_processor_compat = kernel_function(
  'kvm_arch_check_processor_compat',
  (rtn: Ptr): void => {
    call_pointer(x86_ops().check_processor_compatibility, rtn);
  },
);

export const kvm_arch_vcpu_load = kernel_function(
  'kvm_arch_vcpu_load',
  (vcpu: kvm_vcpu, cpu: number): void => {
    call_pointer(x86_ops().vcpu_load, vcpu.addr, cpu);
  },
);

export const kvm_arch_vcpu_put = kernel_function('kvm_arch_vcpu_put', (vcpu: kvm_vcpu): void => {
  call_pointer(x86_ops().vcpu_put, vcpu.addr);
  kvm_put_guest_fpu(vcpu);
});

/** Takes the vCPU's state off the CPU that has it. */
export const kvm_arch_vcpu_decache = kernel_function('kvm_arch_vcpu_decache', (vcpu: kvm_vcpu): void => {
  call_pointer(x86_ops().vcpu_decache, vcpu.addr);
});

export const kvm_arch_vcpu_free = kernel_function('kvm_arch_vcpu_free', (vcpu: kvm_vcpu): void => {
  call_pointer(x86_ops().vcpu_free, vcpu.addr);
});

/** Saves the host's FPU and takes up the guest's. The registers themselves are not modelled, only who has them. */
export const kvm_load_guest_fpu = kernel_function('kvm_load_guest_fpu', (vcpu: kvm_vcpu): void => {
  if (vcpu.fpu_active === 0 || vcpu.guest_fpu_loaded !== 0) return;
  vcpu.guest_fpu_loaded = 1;
});

/** A new guest's FPU: reset. */
export const fx_init = kernel_function('fx_init', (vcpu: kvm_vcpu): void => {
  preempt_disable();
  memset(vcpu.guest_fx_image.addr, 0, i387_fxsave_struct.size);
  preempt_enable();
  vcpu.cr0 |= X86_CR0_ET;
});

export const kvm_put_guest_fpu = kernel_function('kvm_put_guest_fpu', (vcpu: kvm_vcpu): void => {
  if (vcpu.guest_fpu_loaded === 0) return;
  vcpu.guest_fpu_loaded = 0;
  vcpu.stat.fpu_reload += 1;
});

/** Takes the timer of the in-kernel APIC along to another CPU. There is no such APIC here. */
export const kvm_migrate_apic_timer = kernel_function('kvm_migrate_apic_timer', (vcpu: kvm_vcpu): void => {
  if (vcpu.apic === NULL) return;
});

/** x86's part of a new vCPU: the PIO page and the paging structures. */
export const kvm_arch_vcpu_init = kernel_function('kvm_arch_vcpu_init', (vcpu: kvm_vcpu): number => {
  BUG_ON(vcpu.kvm === NULL, 'kvm_arch_vcpu_init');
  vcpu.mmu.root_hpa = INVALID_PAGE;
  const runnable = !irqchip_in_kernel(kvm.at(vcpu.kvm)) || vcpu.vcpu_id === 0;
  vcpu.mp_state = runnable ? VCPU_MP_STATE_RUNNABLE : VCPU_MP_STATE_UNINITIALIZED;

  const page = alloc_page(GFP_KERNEL | __GFP_ZERO);
  if (page === NULL) return -ENOMEM;
  vcpu.pio_data = page_address(page);

  const r = kvm_mmu_create(vcpu);
  if (r < 0) {
    free_page(vcpu.pio_data);
    return r;
  }
  return 0;
});

export const kvm_arch_vcpu_uninit = kernel_function('kvm_arch_vcpu_uninit', (vcpu: kvm_vcpu): void => {
  kvm_mmu_destroy(vcpu);
  free_page(vcpu.pio_data);
});
