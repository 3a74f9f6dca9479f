import { describe, expect, it } from 'vitest';
import { EEXIST, EINVAL, ENOMEM } from '#base/errno';
import { NULL } from '#memory/struct';
import { patch, unpatchAll } from '#memory/symbols';
import { fget, file, fput, sys_close, sys_ioctl } from '#kernel/file';
import { sys_open } from '#kernel/open';
import { page_count, zone } from '#kernel/page_alloc';
import * as abi from '#kernel/kvm/kvm_abi';
import { kvm } from '#kernel/kvm/kvm';
import { bad_page, gfn_to_page, is_error_page, kvm_clear_guest_page } from '#kernel/kvm/kvm_main_vm';
import { svm_exit, svm_init } from '#kernel/kvm/svm';
import { vmx_exit, vmx_init } from '#kernel/kvm/vmx';
import { type Bench, boot } from './bench.ts';
import { buffer } from './values.ts';

const VENDORS = [
  { vendor: 'amd', init: svm_init, exit: svm_exit },
  { vendor: 'intel', init: vmx_init, exit: vmx_exit },
] as const;

function create_vm(): number {
  const dev = sys_open(NULL, 0, 0, '/dev/kvm');
  const vm = sys_ioctl(dev, abi.KVM_CREATE_VM, 0);
  sys_close(dev);
  return vm;
}

function structure(fd: number): kvm {
  const filp = fget(fd);
  const { private_data } = file.at(filp);
  fput(filp);
  return kvm.at(private_data);
}

interface Region {
  readonly slot: number;
  readonly address: bigint;
  readonly bytes: bigint;
  readonly flags?: number;
  readonly user?: number;
}

function set_region(bench: Bench, vm: number, region: Region): number {
  const mem = abi.kvm_userspace_memory_region.at(buffer(bench, abi.kvm_userspace_memory_region.size));
  mem.slot = region.slot;
  mem.flags = region.flags ?? 0;
  mem.guest_phys_addr = region.address;
  mem.memory_size = region.bytes;
  mem.userspace_addr = BigInt(region.user ?? 0);
  const how = region.user === undefined ? abi.KVM_SET_MEMORY_REGION : abi.KVM_SET_USER_MEMORY_REGION;
  return sys_ioctl(vm, how, mem.addr);
}

describe.each(VENDORS)('memory on $vendor', ({ vendor, init, exit }) => {
  it('a second round of load, VM, vCPU, run and unload leaves as many free pages as the first', () => {
    boot({ vendor });
    const round = (): number => {
      init();
      const vm = create_vm();
      sys_ioctl(vm, abi.KVM_SET_TSS_ADDR, 0xfffbd000);
      const vcpu = sys_ioctl(vm, abi.KVM_CREATE_VCPU, 0);
      expect(sys_ioctl(vcpu, abi.KVM_RUN, 0)).toBe(0);
      sys_close(vcpu);
      sys_close(vm);
      exit();
      return zone.nr_free_pages;
    };
    const first = round();
    expect(round()).toBe(first);
  });

  it('a failed load leaks bad_page, one page each time', () => {
    boot({ vendor });
    init();
    exit();
    const before = zone.nr_free_pages;
    patch('sysdev_register', () => -ENOMEM);
    expect(init()).toBe(-ENOMEM);
    expect(init()).toBe(-ENOMEM);
    unpatchAll();
    expect(zone.nr_free_pages).toBe(before - 2);
  });
});

describe('guest memory', () => {
  it('a frame without memory is bad_page, with a reference; with memory it can be cleared', () => {
    const bench = boot({ vendor: 'amd' });
    svm_init();
    const vm = create_vm();
    const view = structure(vm);
    const references = page_count(bad_page.value);
    expect(is_error_page(gfn_to_page(view, 0))).toBe(true);
    expect(page_count(bad_page.value)).toBe(references + 1);
    expect(set_region(bench, vm, { slot: 0, address: 0n, bytes: 0x4000n })).toBe(0);
    expect(is_error_page(gfn_to_page(view, 3))).toBe(false);
    expect(is_error_page(gfn_to_page(view, 4))).toBe(true);
    expect(kvm_clear_guest_page(view, 3, 0, 4096)).toBe(0);
    sys_close(vm);
  });

  it('refuses what is not whole pages, overlaps, or changes size', () => {
    const bench = boot({ vendor: 'amd' });
    svm_init();
    const vm = create_vm();
    expect(set_region(bench, vm, { slot: 0, address: 0n, bytes: 0x100n })).toBe(-EINVAL);
    expect(set_region(bench, vm, { slot: 8, address: 0n, bytes: 0x1000n })).toBe(-EINVAL);
    expect(set_region(bench, vm, { slot: 0, address: 0n, bytes: 0x4000n })).toBe(0);
    expect(set_region(bench, vm, { slot: 1, address: 0x3000n, bytes: 0x1000n })).toBe(-EEXIST);
    expect(set_region(bench, vm, { slot: 0, address: 0n, bytes: 0x2000n })).toBe(-EINVAL);
    expect(set_region(bench, vm, { slot: 0, address: 0n, bytes: 0n })).toBe(0);
    expect(set_region(bench, vm, { slot: 1, address: 0x3000n, bytes: 0x1000n, user: 0x300000 })).toBe(0);
    const nr = sys_ioctl(vm, abi.KVM_SET_NR_MMU_PAGES, 63);
    expect([nr, sys_ioctl(vm, abi.KVM_SET_NR_MMU_PAGES, 64)]).toEqual([-EINVAL, 0]);
    expect(sys_ioctl(vm, abi.KVM_GET_NR_MMU_PAGES, 0)).toBe(64);
    sys_close(vm);
    svm_exit();
  });

  it('hands out a dirty bitmap only for a region that keeps one', () => {
    const bench = boot({ vendor: 'intel' });
    vmx_init();
    const vm = create_vm();
    const log = abi.kvm_dirty_log.at(buffer(bench, abi.kvm_dirty_log.size));
    log.dirty_bitmap = BigInt(buffer(bench, 64));
    set_region(bench, vm, { slot: 0, address: 0n, bytes: 0x4000n });
    expect(sys_ioctl(vm, abi.KVM_GET_DIRTY_LOG, log.addr)).toBeLessThan(0);
    set_region(bench, vm, { slot: 0, address: 0n, bytes: 0x4000n, flags: abi.KVM_MEM_LOG_DIRTY_PAGES });
    expect(sys_ioctl(vm, abi.KVM_GET_DIRTY_LOG, log.addr)).toBe(0);
    sys_close(vm);
    vmx_exit();
    expect(bench.findings()).toEqual([]);
  });
});
