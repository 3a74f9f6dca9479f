/**
 * AMD SVM on the machine's side: is it there, the permission maps, and each CPU's data (spec 3.2-3.5).
 *
 * Lives with a defect of kvm-54: what svm_cpu_init allocated is freed by svm_hardware_disable and by nobody else, so it
 * leaks when loading fails before the CPUs were enabled.
 *
 * @linux drivers/kvm/svm.c, as of kvm-54
 * Leaves out: nested paging, which kvm-54 does not use.
 */
import { ENOMEM } from '#base/errno';
import { clear_bit } from '#memory/atomic';
import { per_cpu } from '#memory/percpu';
import { NULL, type Ptr, memset, u32, variableAt } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { NR_CPUS, first_online_cpu, next_online_cpu } from '#smp/cpumask';
import { BUG_ON, KERN_INFO, printk } from '#smp/printk';
import { is_i386 } from '#smp/subarch';
import { rdmsrl } from '../msr.ts';
import {
  GFP_KERNEL,
  PAGE_SHIFT,
  PAGE_SIZE,
  __free_pages,
  __va,
  alloc_page,
  alloc_pages,
  page_address,
  page_to_phys,
  virt_to_page,
} from '../page_alloc.ts';
import { X86_VENDOR_AMD, boot_cpu_data, cpuid_eax, cpuid_ecx } from '../processor.ts';
import { kfree, kzalloc } from '../slab.ts';
import {
  MSR_CSTAR,
  MSR_FS_BASE,
  MSR_GS_BASE,
  MSR_IA32_SYSENTER_CS,
  MSR_IA32_SYSENTER_EIP,
  MSR_IA32_SYSENTER_ESP,
  MSR_K6_STAR,
  MSR_KERNEL_GS_BASE,
  MSR_LSTAR,
  MSR_SYSCALL_MASK,
  MSR_VM_CR,
  SVM_CPUID_FEATURE_SHIFT,
  SVM_CPUID_FUNC,
  SVM_VM_CR_SVM_DISABLE,
} from './msr_index.ts';
import {
  IOPM_ALLOC_ORDER,
  MSRPM_ALLOC_ORDER,
  iopm_base,
  msrpm_base,
  svm_cpu_data,
  svm_data,
} from './svm_data.ts';

/** The vendor is the boot CPU's, the rest is asked of the CPU this runs on. */
export const has_svm = kernel_function('has_svm', (): number => {
  if (boot_cpu_data.x86_vendor !== X86_VENDOR_AMD) {
    printk(KERN_INFO, 'has_svm: not amd');
    return 0;
  }
  if (cpuid_eax(0x80000000) >>> 0 < SVM_CPUID_FUNC) {
    printk(KERN_INFO, "has_svm: can't execute cpuid_8000000a");
    return 0;
  }
  if ((cpuid_ecx(0x80000001) & (1 << SVM_CPUID_FEATURE_SHIFT)) === 0) {
    printk(KERN_INFO, 'has_svm: svm not available');
    return 0;
  }
  return 1;
});

/** What the BIOS said to this CPU. The others are not asked (spec B.7). */
export const is_disabled = kernel_function('is_disabled', (): number =>
  (rdmsrl(MSR_VM_CR) & (1n << SVM_VM_CR_SVM_DISABLE)) !== 0n ? 1 : 0,
);

/** First MSR of each part of the map. A part covers 2048 bytes of two bits each. */
const msrpm_ranges: readonly number[] = Object.freeze([0, 0xc0000000, 0xc0010000]);
const MSRS_RANGE_SIZE = 2048;
const MSRS_IN_RANGE = (MSRS_RANGE_SIZE * 8) / 2;

/** Grants (1) or takes away (0) direct access to an MSR: a bit that is set in the map means intercept. */
export const set_msr_interception = kernel_function(
  'set_msr_interception',
  (msrpm: Ptr, msr: number, read: number, write: number): void => {
    for (let i = 0; i < msrpm_ranges.length; i++) {
      const base = msrpm_ranges[i]!;
      if (msr < base || msr >= base + MSRS_IN_RANGE) continue;
      const msr_offset = (i * MSRS_IN_RANGE + msr - base) * 2;
      const word = variableAt(u32, msrpm + (msr_offset >>> 5) * u32.size);
      const msr_shift = msr_offset & 31;
      const mask = (write !== 0 ? 0 : 2) | (read !== 0 ? 0 : 1);
      word.value = (word.value & ~(3 << msr_shift)) | (mask << msr_shift);
      return;
    }
    BUG_ON(true, 'set_msr_interception');
  },
);

/** One CPU's data, made by the CPU that loads the module. */
export const svm_cpu_init = kernel_function('svm_cpu_init', (cpu: number): number => {
  const address = kzalloc(svm_cpu_data.size, GFP_KERNEL);
  if (address === NULL) return -ENOMEM;
  const data = svm_cpu_data.at(address);
  data.cpu = cpu;
  data.save_area = alloc_page(GFP_KERNEL);
  if (data.save_area === NULL) {
    kfree(address);
    return -ENOMEM;
  }

  per_cpu(svm_data, cpu).value = address;
  return 0;
});

/** The MSRs a guest may touch without KVM: only what is switched anyway. */
const DIRECT_ACCESS_MSRS_X86_64: readonly number[] = Object.freeze([
  MSR_GS_BASE,
  MSR_FS_BASE,
  MSR_KERNEL_GS_BASE,
  MSR_LSTAR,
  MSR_CSTAR,
  MSR_SYSCALL_MASK,
]);
const DIRECT_ACCESS_MSRS: readonly number[] = Object.freeze([
  MSR_K6_STAR,
  MSR_IA32_SYSENTER_CS,
  MSR_IA32_SYSENTER_ESP,
  MSR_IA32_SYSENTER_EIP,
]);

export const svm_hardware_setup = kernel_function('svm_hardware_setup', (): number => {
  const iopm_pages = alloc_pages(GFP_KERNEL, IOPM_ALLOC_ORDER);
  if (iopm_pages === NULL) return -ENOMEM;
  const iopm_va = page_address(iopm_pages);
  memset(iopm_va, 0xff, PAGE_SIZE << IOPM_ALLOC_ORDER);
  clear_bit(0x80, iopm_va); // the guest may write to the debug port itself
  iopm_base.value = page_to_phys(iopm_pages);

  let r = -ENOMEM;
  err_1: {
    const msrpm_pages = alloc_pages(GFP_KERNEL, MSRPM_ALLOC_ORDER);
    if (msrpm_pages === NULL) break err_1;
    err_2: {
      const msrpm_va = page_address(msrpm_pages);
      memset(msrpm_va, 0xff, PAGE_SIZE << MSRPM_ALLOC_ORDER);
      msrpm_base.value = page_to_phys(msrpm_pages);

      if (!is_i386()) {
        for (const msr of DIRECT_ACCESS_MSRS_X86_64) set_msr_interception(msrpm_va, msr, 1, 1);
      }
      for (const msr of DIRECT_ACCESS_MSRS) set_msr_interception(msrpm_va, msr, 1, 1);

      for (let cpu = first_online_cpu(); cpu < NR_CPUS; cpu = next_online_cpu(cpu)) {
        r = svm_cpu_init(cpu);
        if (r !== 0) break err_2;
      }
      return 0;
    }
    // err_2: the data of the CPUs before stays where it is, a leak of kvm-54.
    __free_pages(msrpm_pages, MSRPM_ALLOC_ORDER);
    msrpm_base.value = 0n;
  }
  __free_pages(iopm_pages, IOPM_ALLOC_ORDER);
  iopm_base.value = 0n;
  return r;
});

function phys_to_page(physical: bigint): Ptr {
  return virt_to_page(__va((physical >> BigInt(PAGE_SHIFT)) << BigInt(PAGE_SHIFT)));
}

/** The maps only: svm_data is svm_hardware_disable's. */
export const svm_hardware_unsetup = kernel_function('svm_hardware_unsetup', (): void => {
  __free_pages(phys_to_page(msrpm_base.value), MSRPM_ALLOC_ORDER);
  __free_pages(phys_to_page(iopm_base.value), IOPM_ALLOC_ORDER);
  msrpm_base.value = 0n;
  iopm_base.value = 0n;
});
