import { afterEach, describe, expect, it } from 'vitest';
import { E2BIG, EEXIST, EINTR, EINVAL, EIO, ENOMEM } from '#base/errno';
import { CpuWord } from '#memory/layout';
import { per_cpu } from '#memory/percpu';
import { NULL } from '#memory/struct';
import { patch, unpatchAll } from '#memory/symbols';
import { list_empty } from '#memory/list';
import { CPU_DYING, CPU_ONLINE, CPU_TASKS_FROZEN, CPU_UP_CANCELED, CPU_UP_PREPARE } from '#smp/cpu';
import { NOTIFY_OK } from '#smp/notifier';
import { current_task } from '#smp/sched';
import { fget, file, fput, sys_close, sys_ioctl } from '#kernel/file';
import { sys_open } from '#kernel/open';
import * as abi from '#kernel/kvm/kvm_abi';
import { kvm, kvm_vcpu } from '#kernel/kvm/kvm';
import {
  hardware_disable,
  hardware_enable,
  kvm_cpu_hotplug,
  kvm_reboot,
} from '#kernel/kvm/kvm_main_hardware';
import { kvm_flush_remote_tlbs } from '#kernel/kvm/kvm_main_vcpu';
import { vm_list } from '#kernel/kvm/kvm_main_vm';
import { debugfs_entries, vcpu_stat_get } from '#kernel/kvm/kvm_stats';
import { svm_exit, svm_init } from '#kernel/kvm/svm';
import { svm_data, to_svm, vmcb_of } from '#kernel/kvm/svm_data';
import { vmx_exit, vmx_init } from '#kernel/kvm/vmx';
import { current_vmcs, to_vmx } from '#kernel/kvm/vmx_data';
import { type Bench, PageFault, boot } from './bench.ts';
import { buffer } from './values.ts';

afterEach(() => unpatchAll());

const VENDORS = [
  { vendor: 'amd', init: svm_init, exit: svm_exit },
  { vendor: 'intel', init: vmx_init, exit: vmx_exit },
] as const;

function open_dev_kvm(): number {
  const fd = sys_open(NULL, 0, 0, '/dev/kvm');
  expect(fd).toBeGreaterThanOrEqual(0);
  return fd;
}

/** The structure behind a descriptor. */
function behind(fd: number): number {
  const filp = fget(fd);
  const { private_data } = file.at(filp);
  fput(filp);
  return private_data;
}

function create_vm(): number {
  const dev = open_dev_kvm();
  const vm = sys_ioctl(dev, abi.KVM_CREATE_VM, 0);
  expect(vm).toBeGreaterThanOrEqual(0);
  sys_close(dev);
  return vm;
}

/** A VM with a place for the TSS that VMX wants, and a vCPU. */
function create_vcpu(): { readonly vm: number; readonly vcpu: number } {
  const vm = create_vm();
  expect(sys_ioctl(vm, abi.KVM_SET_TSS_ADDR, 0xfffbd000)).toBe(0);
  const vcpu = sys_ioctl(vm, abi.KVM_CREATE_VCPU, 0);
  expect(vcpu).toBeGreaterThanOrEqual(0);
  return { vm, vcpu };
}

function stat(name: string): bigint {
  const entry = debugfs_entries.find((item) => item.name === name);
  return vcpu_stat_get(entry!.offset);
}

/** Sets RSI, the number of CPUID exits the guest makes. */
function set_exits(bench: Bench, vcpu: number, exits: bigint): void {
  const regs = abi.kvm_regs.at(buffer(bench, abi.kvm_regs.size));
  expect(sys_ioctl(vcpu, abi.KVM_GET_REGS, regs.addr)).toBe(0);
  regs.gpr.set(4, exits);
  expect(sys_ioctl(vcpu, abi.KVM_SET_REGS, regs.addr)).toBe(0);
}

describe.each(VENDORS)('a VM on $vendor', ({ vendor, init, exit }) => {
  it.each([false, true])('runs a guest until HLT and goes away with its files (i386=%s)', (i386) => {
    const bench = boot({ vendor, i386 });
    expect(init()).toBe(0);
    const { vm, vcpu } = create_vcpu();
    set_exits(bench, vcpu, 3n);
    expect(sys_ioctl(vcpu, abi.KVM_RUN, 0)).toBe(0);
    const view = kvm_vcpu.at(behind(vcpu));
    expect(abi.kvm_run.at(view.run).exit_reason).toBe(abi.KVM_EXIT_HLT);
    expect([stat('exits'), stat('halt_exits')]).toEqual([4n, 1n]);
    expect(view.guest_mode).toBe(0);
    expect(bench.registers.preemptCount).toBe(0);
    expect(bench.registers.irqsEnabled).toBe(true);
    expect(sys_ioctl(vcpu, abi.KVM_RUN, 1)).toBe(-EINVAL);
    expect(sys_ioctl(vcpu, 0xae99, 0)).toBe(-EINVAL);

    sys_close(vm);
    expect(list_empty(vm_list)).toBe(false); // the vCPU's file keeps it
    sys_close(vcpu);
    expect(list_empty(vm_list)).toBe(true);
    exit();
    expect(bench.findings()).toEqual([]);
    expect(bench.log().filter((line) => /vmwrite|fail/.test(line))).toEqual([]);
  });

  it('a signal sends RUN back with -EINTR', () => {
    boot({ vendor });
    init();
    const { vcpu } = create_vcpu();
    current_task().signal_pending = 1;
    expect(sys_ioctl(vcpu, abi.KVM_RUN, 0)).toBe(-EINTR);
    expect(stat('signal_exits')).toBe(1n);
  });

  it('another process gets -EIO from every ioctl', () => {
    boot({ vendor });
    init();
    const { vm, vcpu } = create_vcpu();
    current_task().mm = 2;
    expect(sys_ioctl(vm, abi.KVM_CREATE_VCPU, 1)).toBe(-EIO);
    expect(sys_ioctl(vcpu, abi.KVM_RUN, 0)).toBe(-EIO);
  });

  it('CREATE_VCPU: four slots, each once', () => {
    boot({ vendor });
    init();
    const { vm } = create_vcpu();
    expect(sys_ioctl(vm, abi.KVM_CREATE_VCPU, 0)).toBe(-EEXIST);
    expect(sys_ioctl(vm, abi.KVM_CREATE_VCPU, 4)).toBe(-EINVAL);
    expect(sys_ioctl(vm, abi.KVM_CREATE_VCPU, -1)).toBe(-EINVAL);
    expect(sys_ioctl(vm, abi.KVM_CREATE_VCPU, 3)).toBeGreaterThanOrEqual(0);
  });

  it('kvm_flush_remote_tlbs: sets the request, and the next entry flushes', () => {
    boot({ vendor });
    init();
    const { vm, vcpu } = create_vcpu();
    const view = kvm_vcpu.at(behind(vcpu));
    kvm_flush_remote_tlbs(kvm.at(behind(vm)));
    expect(view.requests).toBe(1);
    expect(kvm.at(behind(vm)).stat.remote_tlb_flush).toBe(0); // nobody is elsewhere
    expect(sys_ioctl(vcpu, abi.KVM_RUN, 0)).toBe(0);
    expect(view.requests).toBe(0);
  });

  it('disabling the CPU takes the vCPU off it', () => {
    const bench = boot({ vendor });
    init();
    const { vcpu } = create_vcpu();
    const view = kvm_vcpu.at(behind(vcpu));
    expect(sys_ioctl(vcpu, abi.KVM_RUN, 0)).toBe(0);
    expect(view.cpu).toBe(0);
    hardware_disable(NULL);
    expect(view.cpu).toBe(-1);
    expect(per_cpu(current_vmcs, 0).value).toBe(NULL);
    expect(bench.registers.get(CpuWord.IN_VMX_ROOT)).toBe(0);
  });

  it('a reboot turns virtualisation off, a halt does not', () => {
    const bench = boot({ vendor });
    init();
    bench.msrWrites.length = 0;
    expect(kvm_reboot(NULL, 2, NULL)).toBe(NOTIFY_OK);
    expect(bench.log().at(-1)).toBe('loaded kvm module (kvm-54)');
    expect(kvm_reboot(NULL, 1, NULL)).toBe(NOTIFY_OK);
    expect(bench.log().at(-1)).toBe('kvm: exiting hardware virtualization');
  });
});

describe('/dev/kvm', () => {
  it('answers what spec 5.9 says', () => {
    boot({ vendor: 'amd' });
    svm_init();
    const dev = open_dev_kvm();
    expect(sys_ioctl(dev, abi.KVM_GET_API_VERSION, 0)).toBe(12);
    expect(sys_ioctl(dev, abi.KVM_GET_API_VERSION, 1)).toBe(-EINVAL);
    expect(sys_ioctl(dev, abi.KVM_CREATE_VM, 1)).toBe(-EINVAL);
    expect(sys_ioctl(dev, abi.KVM_GET_VCPU_MMAP_SIZE, 0)).toBe(8192);
    expect([0, 1, 2, 3, 4, 5, 6].map((cap) => sys_ioctl(dev, abi.KVM_CHECK_EXTENSION, cap))).toEqual([
      1, 1, 1, 1, 1, 1, 0,
    ]);
    expect(sys_ioctl(dev, 0xae77, 0)).toBe(-EINVAL);
  });

  it('KVM_GET_MSR_INDEX_LIST: room is not asked for the emulated MSR, which lands elsewhere', () => {
    const bench = boot({ vendor: 'amd' });
    svm_init();
    const dev = open_dev_kvm();
    const user = buffer(bench, 512);
    bench.bus.store32(user, 8);
    expect(sys_ioctl(dev, abi.KVM_GET_MSR_INDEX_LIST, user)).toBe(-E2BIG);
    expect(bench.bus.load32(user)).toBe(10);
    bench.bus.store32(user, 9);
    expect(sys_ioctl(dev, abi.KVM_GET_MSR_INDEX_LIST, user)).toBe(0);
    expect(bench.bus.load32(user + 4)).toBe(0x174);
    expect(bench.bus.load32(user + 4 + 8 * 4)).toBe(0x10);
    expect(bench.bus.load32(user + 4 + 9 * 4)).toBe(0);
    expect(bench.bus.load32(user + 4 + 9 * 16)).toBe(0x1a0);
  });

  it('a VM made before the anonymous inodes exist is an oops', () => {
    boot({ vendor: 'amd' });
    patch('kvm_init_anon_inodes', () => -ENOMEM);
    svm_init();
    const dev = open_dev_kvm();
    expect(() => sys_ioctl(dev, abi.KVM_CREATE_VM, 0)).toThrow(PageFault);
  });
});

describe('Intel only', () => {
  it('without memory for the TSS a vCPU is -ENOMEM, and freed twice', () => {
    boot({ vendor: 'intel' });
    vmx_init();
    const vm = create_vm();
    const freed: number[] = [];
    patch('vmx_free_vcpu', (vcpu: number) => void freed.push(vcpu));
    expect(sys_ioctl(vm, abi.KVM_CREATE_VCPU, 0)).toBe(-ENOMEM);
    expect(freed).toHaveLength(2);
    expect(freed[0]).toBe(freed[1]);
  });

  it('a VMCS stays current after vcpu_put, and is cleared by decache', () => {
    const bench = boot({ vendor: 'intel' });
    vmx_init();
    const { vcpu } = create_vcpu();
    const vmx = to_vmx(behind(vcpu));
    expect(per_cpu(current_vmcs, 0).value).toBe(vmx.vmcs);
    expect(bench.registers.get64(CpuWord.CURRENT_VMCS_LOW)).toBe(BigInt(vmx.vmcs));
    expect(sys_ioctl(vcpu, abi.KVM_RUN, 0)).toBe(0);
    expect(vmx.launched).toBe(1);
    hardware_disable(NULL);
    hardware_enable(NULL);
    expect(vmx.launched).toBe(0);
    expect(sys_ioctl(vcpu, abi.KVM_RUN, 0)).toBe(0);
  });
});

describe('AMD only', () => {
  it('the first entry starts a new generation of ASIDs', () => {
    boot({ vendor: 'amd' });
    svm_init();
    const { vcpu } = create_vcpu();
    expect(sys_ioctl(vcpu, abi.KVM_RUN, 0)).toBe(0);
    const svm = to_svm(behind(vcpu));
    expect([svm.asid_generation, vmcb_of(svm).asid, vmcb_of(svm).tlb_ctl]).toEqual([2n, 1, 1]);
    expect(sys_ioctl(vcpu, abi.KVM_RUN, 0)).toBe(0);
    expect([vmcb_of(svm).asid, vmcb_of(svm).tlb_ctl]).toEqual([1, 0]);
  });

  it('a vCPU on a CPU that came back is an oops: nobody looked for svm_data', () => {
    const bench = boot({ vendor: 'amd' });
    svm_init();
    const { vcpu } = create_vcpu();
    hardware_disable(NULL);
    hardware_enable(NULL);
    expect(bench.log().at(-1)).toBe('svm_cpu_init: svm_data is NULL on 0');
    expect(per_cpu(svm_data, 0).value).toBe(NULL);
    expect(() => sys_ioctl(vcpu, abi.KVM_RUN, 0)).toThrow(PageFault);
  });
});

describe('kvm_cpu_hotplug', () => {
  it.each([
    [CPU_DYING, 'kvm: disabling virtualization on CPU0'],
    [CPU_DYING | CPU_TASKS_FROZEN, 'kvm: disabling virtualization on CPU0'],
    [CPU_UP_CANCELED, 'kvm: disabling virtualization on CPU0'],
    [CPU_ONLINE, 'kvm: enabling virtualization on CPU0'],
    [CPU_ONLINE | CPU_TASKS_FROZEN, 'kvm: enabling virtualization on CPU0'],
    [CPU_UP_PREPARE, 'loaded kvm module (kvm-54)'],
  ])('action %i: OK, and the last line of the log is "%s"', (action, line) => {
    const bench = boot({ vendor: 'intel' });
    vmx_init();
    expect(kvm_cpu_hotplug(NULL, action, 0)).toBe(NOTIFY_OK);
    expect(bench.log().at(-1)).toBe(line);
  });
});
