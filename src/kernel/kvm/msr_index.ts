/**
 * Numbers and bits of the machine-specific registers and CPUID leaves that KVM touches (spec 2.4, 3.1, 4.1).
 *
 * @linux include/asm-x86/msr-index.h, as of 2.6.24; drivers/kvm/{svm,vmx}.h, as of kvm-54
 * Leaves out: every register KVM does not touch.
 */
export const MSR_IA32_TIME_STAMP_COUNTER = 0x10;
export const MSR_IA32_FEATURE_CONTROL = 0x3a;
export const MSR_IA32_SYSENTER_CS = 0x174;
export const MSR_IA32_SYSENTER_ESP = 0x175;
export const MSR_IA32_SYSENTER_EIP = 0x176;
export const MSR_IA32_MISC_ENABLE = 0x1a0;

export const MSR_IA32_VMX_BASIC = 0x480;
export const MSR_IA32_VMX_PINBASED_CTLS = 0x481;
export const MSR_IA32_VMX_PROCBASED_CTLS = 0x482;
export const MSR_IA32_VMX_EXIT_CTLS = 0x483;
export const MSR_IA32_VMX_ENTRY_CTLS = 0x484;
export const MSR_IA32_VMX_PROCBASED_CTLS2 = 0x48b;

export const MSR_EFER = 0xc0000080;
export const MSR_K6_STAR = 0xc0000081;
export const MSR_LSTAR = 0xc0000082;
export const MSR_CSTAR = 0xc0000083;
export const MSR_SYSCALL_MASK = 0xc0000084;
export const MSR_FS_BASE = 0xc0000100;
export const MSR_GS_BASE = 0xc0000101;
export const MSR_KERNEL_GS_BASE = 0xc0000102;

export const MSR_VM_CR = 0xc0010114;
export const MSR_VM_HSAVE_PA = 0xc0010117;

/** EFER.SVME */
export const MSR_EFER_SVME_MASK = 1n << 12n;

export const MSR_IA32_FEATURE_CONTROL_LOCKED = 0x1n;
export const MSR_IA32_FEATURE_CONTROL_VMXON_ENABLED = 0x4n;

export const SVM_VM_CR_SVM_DISABLE = 4n;

export const SVM_CPUID_FEATURE_SHIFT = 2;
export const SVM_CPUID_FUNC = 0x8000000a;
