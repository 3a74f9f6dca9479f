import { afterEach, describe, expect, it } from 'vitest';
import { EBUSY, EEXIST, EIO, ENOMEM, EOPNOTSUPP } from '#base/errno';
import { cpu_isset } from '#memory/cpumask';
import { CpuWord } from '#memory/layout';
import { per_cpu } from '#memory/percpu';
import { NULL, s32, variableAt } from '#memory/struct';
import { patch, unpatchAll } from '#memory/symbols';
import { cpu_chain } from '#smp/cpu';
import { rdmsrl } from '#kernel/msr';
import { debugfs_lookup } from '#kernel/debugfs';
import { bad_page } from '#kernel/kvm/kvm_main_vm';
import { cpus_hardware_enabled, kvm_cpu_notifier } from '#kernel/kvm/kvm_main_hardware';
import { kvm_vcpu_cache } from '#kernel/kvm/kvm_main_vcpu';
import { svm_exit, svm_init, svm_x86_ops } from '#kernel/kvm/svm';
import { iopm_base, msrpm_base, svm_cpu_data, svm_data, svm_features } from '#kernel/kvm/svm_data';
import { shadow_notrap_nonpresent_pte, shadow_trap_nonpresent_pte } from '#kernel/kvm/mmu';
import { vmx_exit, vmx_init } from '#kernel/kvm/vmx';
import { vmx_io_bitmap_a, vmxarea } from '#kernel/kvm/vmx_data';
import { kvm_x86_ops, msrs_to_save, num_msrs_to_save } from '#kernel/kvm/x86';
import { boot } from './bench.ts';
import { lose_msr } from './values.ts';

afterEach(() => unpatchAll());

const kvmDirectory = (): boolean => debugfs_lookup('kvm') > 0;
const EFER = 0xc0000080;
const HSAVE = 0xc0010117;
const SVME = 0x1000n;

describe('svm_init on one CPU', () => {
  it('enables the CPU, registers everything, and svm_exit takes it all back', () => {
    const bench = boot({ vendor: 'amd' });
    expect(svm_init()).toBe(0);
    expect(bench.log().at(-1)).toBe('loaded kvm module (kvm-54)');
    expect(kvm_x86_ops.value).toBe(svm_x86_ops.addr);
    expect(cpu_isset(0, cpus_hardware_enabled)).toBe(true);
    const data = svm_cpu_data.at(per_cpu(svm_data, 0).value);
    expect([data.asid_generation, data.max_asid, data.next_asid]).toEqual([1n, 0x3f, 0x40]);
    expect(svm_features.value).toBe(7);
    expect(data.tss_desc).toBe(bench.registers.get(CpuWord.GDT_BASE) + 64);
    expect(rdmsrl(EFER) & SVME).toBe(SVME);
    expect(rdmsrl(HSAVE)).not.toBe(0n);
    expect(per_cpu(svm_data, 1).value).toBe(NULL);
    expect(cpu_chain.head).toBe(kvm_cpu_notifier.addr);
    expect(kvmDirectory()).toBe(true);

    svm_exit();
    expect(kvm_x86_ops.value).toBe(NULL);
    expect(cpu_isset(0, cpus_hardware_enabled)).toBe(false);
    expect(rdmsrl(EFER) & SVME).toBe(0n);
    expect(rdmsrl(HSAVE)).toBe(0n);
    expect([iopm_base.value, msrpm_base.value]).toEqual([0n, 0n]);
    expect(cpu_chain.head).toBe(NULL);
    expect(kvmDirectory()).toBe(false);
  });

  it('writes EFER before HSAVE on enabling and HSAVE before EFER on disabling', () => {
    const bench = boot({ vendor: 'amd' });
    svm_init();
    svm_exit();
    expect(bench.msrWrites.map(([msr]) => msr)).toEqual([EFER, HSAVE, HSAVE, EFER]);
    expect(bench.msrWrites[2]![1]).toBe(0n);
  });

  it.each([
    ['no-svm', 'has_svm: svm not available', 'kvm: no hardware support'],
    ['no-cpuid-8000000a', "has_svm: can't execute cpuid_8000000a", 'kvm: no hardware support'],
    ['svmdis', 'kvm: disabled by bios', 'kvm: disabled by bios'],
  ] as const)('%s: -EOPNOTSUPP, and the debugfs files stay', (quirk, first, last) => {
    const bench = boot({ vendor: 'amd', quirks: [quirk] });
    expect(svm_init()).toBe(-EOPNOTSUPP);
    expect(bench.log()).toContain(first);
    expect(bench.log().at(-1)).toBe(last);
    expect(kvm_x86_ops.value).toBe(NULL);
    expect(kvmDirectory()).toBe(true);
  });

  it('on an Intel processor: not amd', () => {
    const bench = boot({ vendor: 'intel' });
    expect(svm_init()).toBe(-EOPNOTSUPP);
    expect(bench.log()).toContain('has_svm: not amd');
  });
});

describe('the unwind ladder of kvm_init', () => {
  it('misc_register fails: everything is undone but bad_page', () => {
    const bench = boot({ vendor: 'amd' });
    patch('misc_register', () => -EBUSY);
    expect(svm_init()).toBe(-EBUSY);
    expect(bench.log().at(-1)).toBe('kvm: misc device register failed');
    expect(cpu_isset(0, cpus_hardware_enabled)).toBe(false);
    expect(cpu_chain.head).toBe(NULL);
    expect(kvm_x86_ops.value).toBe(NULL);
    expect(kvmDirectory()).toBe(false);
    expect(bad_page.value).not.toBe(NULL);
    expect(per_cpu(svm_data, 0).value).toBe(NULL);
  });

  it('the anonymous inodes fail: hardware, notifier and cache stay, and the operations are gone', () => {
    boot({ vendor: 'amd' });
    patch('kvm_init_anon_inodes', () => -ENOMEM);
    expect(svm_init()).toBe(-ENOMEM);
    expect(kvm_x86_ops.value).toBe(NULL);
    expect(cpu_isset(0, cpus_hardware_enabled)).toBe(true);
    expect(cpu_chain.head).toBe(kvm_cpu_notifier.addr);
    expect(kvm_vcpu_cache.value).not.toBe(NULL);
    expect(kvmDirectory()).toBe(false);
  });

  it('the compatibility check fails: svm_data stays installed', () => {
    boot({ vendor: 'amd' });
    patch('svm_check_processor_compat', (rtn: number) => {
      variableAt(s32, rtn).value = -EIO; // what vmx would store
    });
    expect(svm_init()).toBe(-EIO);
    expect(per_cpu(svm_data, 0).value).not.toBe(NULL);
    expect(cpu_isset(0, cpus_hardware_enabled)).toBe(false);
    expect(iopm_base.value).toBe(0n);
  });
});

describe('a second vendor module', () => {
  it('SLUB: -EEXIST, and the first one goes on working', () => {
    const bench = boot({ vendor: 'intel', slub: true });
    expect(vmx_init()).toBe(0);
    expect(svm_init()).toBe(-EEXIST);
    expect(bench.log().at(-1)).toBe('kvm: already loaded the other module');
    // The 25 files of the second load are in the root.
    expect(debugfs_lookup('exits')).toBeGreaterThan(0);
    vmx_exit();
  });

  it('SLAB: -ENOMEM, for the cache names are taken', () => {
    boot({ vendor: 'intel' });
    expect(vmx_init()).toBe(0);
    expect(svm_init()).toBe(-ENOMEM);
  });
});

describe('vmx_init on one CPU', () => {
  it('turns VMX on; vmx_exit turns it off and leaves CR4.VMXE', () => {
    const { bus, registers } = boot({ vendor: 'intel' });
    expect(vmx_init()).toBe(0);
    expect(registers.get(CpuWord.IN_VMX_ROOT)).toBe(1);
    expect(registers.get(CpuWord.CR4) & 0x2000).toBe(0x2000);
    expect(registers.get64(CpuWord.VMXON_LOW)).toBe(BigInt(per_cpu(vmxarea, 0).value));
    expect(bus.load32(per_cpu(vmxarea, 0).value)).toBe(0xd);
    expect(shadow_trap_nonpresent_pte.value).toBe(0xfffffffffffff001n);
    expect(shadow_notrap_nonpresent_pte.value).toBe(0n);
    expect(vmx_io_bitmap_a.value).not.toBe(NULL);
    vmx_exit();
    expect(registers.get(CpuWord.IN_VMX_ROOT)).toBe(0);
    expect(registers.get(CpuWord.CR4) & 0x2000).toBe(0x2000);
  });

  it('enables and locks a FEATURE_CONTROL that the BIOS left open', () => {
    const bench = boot({ vendor: 'intel', quirks: ['feature-control-clear'] });
    expect(vmx_init()).toBe(0);
    expect(bench.msrWrites).toEqual([[0x3a, 5n]]);
  });

  it.each([
    ['feature-control-locked', 'kvm: disabled by bios'],
    ['no-vmx', 'kvm: no hardware support'],
  ] as const)('%s: -EOPNOTSUPP', (quirk, text) => {
    const bench = boot({ vendor: 'intel', quirks: [quirk] });
    expect(vmx_init()).toBe(-EOPNOTSUPP);
    expect(bench.log().at(-1)).toBe(text);
  });
});

describe('kvm_init_msr_list', () => {
  it.each([
    [false, [0x174, 0x175, 0x176, 0xc0000081, 0xc0000083, 0xc0000102, 0xc0000084, 0xc0000082, 0x10]],
    [true, [0x174, 0x175, 0x176, 0xc0000081, 0x10]],
  ])('i386=%s: keeps what it can read, in order', (i386, list) => {
    boot({ vendor: 'amd', i386 });
    svm_init();
    expect(num_msrs_to_save.value).toBe(list.length);
    expect(list.map((_msr, index) => msrs_to_save().get(index))).toEqual(list);
    svm_exit();
  });

  it('drops an MSR for good: a second load finds the last one twice', () => {
    const bench = boot({ vendor: 'amd', i386: true });
    lose_msr(bench, 0xc0000081);
    svm_init();
    expect(num_msrs_to_save.value).toBe(4);
    expect([0, 1, 2, 3, 4].map((at) => msrs_to_save().get(at))).toEqual([0x174, 0x175, 0x176, 0x10, 0x10]);
    svm_exit();
    svm_init();
    expect(num_msrs_to_save.value).toBe(5);
  });
});
