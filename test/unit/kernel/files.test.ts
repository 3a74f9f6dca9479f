import { describe, expect, it } from 'vitest';
import { EBADF, EBUSY, EFAULT, EINVAL, ENODEV, ENOENT, ENOTTY, EOPNOTSUPP } from '#base/errno';
import { MODULE_IMAGE, vmlinux } from '#memory/image';
import { type Ptr, ptr, u32 } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { arm_fault } from '#smp/fault_inject';
import { anon_inode_getfd, kvm_exit_anon_inodes, kvm_init_anon_inodes } from '#kernel/anon_inodes';
import {
  DEFINE_SIMPLE_ATTRIBUTE,
  address_of_fops,
  debugfs_create_dir,
  debugfs_create_file,
  debugfs_remove,
  simple_attribute,
} from '#kernel/debugfs';
import {
  copy_from_user,
  copy_to_user,
  fget,
  file,
  file_count,
  file_operations,
  fput,
  sys_close,
  sys_ioctl,
  sys_mmap,
  sys_read,
} from '#kernel/file';
import { kernelInventory, liveAllocations } from '#machine/inventory';
import { MISC_DYNAMIC_MINOR, misc_deregister, misc_register, miscdevice, proc_devices } from '#kernel/misc';
import { MODULE_STATE_GOING, declare_module, module_refcount } from '#kernel/module';
import { sys_init_module } from '#kernel/module_load';
import { sys_open } from '#kernel/open';
import { GFP_KERNEL, get_zeroed_page } from '#kernel/page_alloc';
import { PageFault, kernelBench } from '../../support/kernel-bench.ts';

const driver = MODULE_IMAGE('driver', { perCpuBytes: 64 });
const DRIVER = declare_module(driver, {});
const released = vmlinux.DEFINE('released', u32);
const open_answer = vmlinux.DEFINE('open_answer', u32);

const dev_open = kernel_function('dev_open', (_inode: Ptr, _filp: Ptr): number => open_answer.value | 0);
const dev_release = kernel_function('dev_release', (_inode: Ptr, filp: Ptr): number => {
  released.value = file.at(filp).private_data + 1;
  return 0;
});
const dev_ioctl = kernel_function('dev_ioctl', (_filp: Ptr, cmd: number, arg: number): number => cmd + arg);
const dev_mmap = kernel_function('dev_mmap', (_filp: Ptr, pgoff: number): number =>
  pgoff === 0 ? 0x5000 : -EINVAL,
);
const fops = vmlinux.DEFINE('dev_fops', file_operations, {
  owner: DRIVER.addr,
  open: dev_open.addr,
  release: dev_release.addr,
  unlocked_ioctl: dev_ioctl.addr,
  mmap: dev_mmap.addr,
});
const no_fops = vmlinux.DEFINE('no_fops', file_operations);
const dev = vmlinux.DEFINE('dev', miscdevice, { minor: 232, name: 'kvm', fops: fops.addr });
const other = vmlinux.DEFINE('other', miscdevice, { minor: 232, name: 'other', fops: no_fops.addr });
const dynamic = vmlinux.DEFINE('dynamic', miscdevice, {
  minor: MISC_DYNAMIC_MINOR,
  name: 'any',
  fops: no_fops.addr,
});
const dynamic2 = vmlinux.DEFINE('dynamic2', miscdevice, {
  minor: MISC_DYNAMIC_MINOR,
  name: 'any2',
  fops: no_fops.addr,
});

const stat_get = kernel_function('stat_get', (data: Ptr): bigint => 0x1_0000_0000n + BigInt(data));
const stat_fops = vmlinux.DEFINE('stat_fops', simple_attribute, DEFINE_SIMPLE_ATTRIBUTE(stat_get));
const filp_out = vmlinux.DEFINE('filp_out', ptr);

function open(path: string): number {
  return sys_open(0, 0, 0, path);
}

function readAll(path: string): string | number {
  const fd = open(path);
  if (fd < 0) return fd;
  const buffer = get_zeroed_page(GFP_KERNEL);
  const length = sys_read(fd, buffer, 4096);
  expect(sys_read(fd, buffer, 4096)).toBe(0);
  const text = new TextDecoder().decode(bench.bus.u8.slice(buffer, buffer + length));
  sys_close(fd);
  return text;
}

let bench = undefined as unknown as ReturnType<typeof kernelBench>;

function boot(): void {
  bench = kernelBench();
  sys_init_module(0, 0, 0, 'driver');
}

describe('miscellaneous devices', () => {
  it('open, ioctl, mmap, close: the file holds the module that has the operations', () => {
    boot();
    expect(misc_register(dev)).toBe(0);
    const fd = open('/dev/kvm');
    expect(fd).toBeGreaterThanOrEqual(0);
    expect(module_refcount(DRIVER)).toBe(1);
    expect(sys_ioctl(fd, 0xae00, 5)).toBe(0xae05);
    expect(sys_mmap(fd, 0)).toBe(0x5000);
    expect(sys_mmap(fd, 1)).toBe(-EINVAL);
    expect(kernelInventory().openFiles).toEqual([{ fd, name: '/dev/kvm' }]);
    expect(sys_close(fd)).toBe(0);
    expect(released.value).toBe(1);
    expect(module_refcount(DRIVER)).toBe(0);
    expect(sys_close(fd)).toBe(-EBADF);
    expect(sys_ioctl(fd, 0, 0)).toBe(-EBADF);
  });

  it('a node without its device is -ENODEV, a path that does not exist -ENOENT', () => {
    boot();
    expect(open('/dev/kvm')).toBe(-ENODEV);
    expect(open('/dev/nobody')).toBe(-ENOENT);
    expect(open('/etc/passwd')).toBe(-ENOENT);
    expect(kernelInventory().openFiles).toEqual([]);
    expect(open('/dev/kvm')).toBe(-ENODEV);
  });

  it('a device whose module is on its way out is -ENODEV', () => {
    boot();
    misc_register(dev);
    DRIVER.state = MODULE_STATE_GOING;
    expect(open('/dev/kvm')).toBe(-ENODEV);
    expect(module_refcount(DRIVER)).toBe(0);
  });

  it("a device's own open may refuse, and leaves no reference", () => {
    boot();
    misc_register(dev);
    open_answer.value = -EOPNOTSUPP;
    expect(open('/dev/kvm')).toBe(-EOPNOTSUPP);
    expect(module_refcount(DRIVER)).toBe(0);
    expect(liveAllocations().some((one) => one.kind === 'slab' && one.cache === 'filp')).toBe(false);
  });

  it('a minor is taken once; an armed fault is the answer; an open file survives deregistration', () => {
    boot();
    misc_register(dev);
    expect(misc_register(other)).toBe(-EBUSY);
    const fd = open('/dev/kvm');
    expect(misc_deregister(dev)).toBe(0);
    expect(sys_ioctl(fd, 1, 2)).toBe(3);
    expect(open('/dev/kvm')).toBe(-ENODEV);
    arm_fault('misc_register', -EBUSY);
    expect(misc_register(dev)).toBe(-EBUSY);
    expect(kernelInventory().miscDevices).toEqual([]);
  });

  it('dynamic minors count down from 63, and come back', () => {
    boot();
    misc_register(dynamic);
    misc_register(dynamic2);
    expect([dynamic.minor, dynamic2.minor]).toEqual([63, 62]);
    misc_deregister(dynamic);
    dynamic.minor = MISC_DYNAMIC_MINOR;
    misc_register(dynamic);
    expect(dynamic.minor).toBe(63);
  });

  it('/proc/devices and /proc/misc show the major and the device', () => {
    boot();
    misc_register(dev);
    expect(readAll('/proc/devices')).toBe('Character devices:\n 10 misc\n\nBlock devices:\n');
    expect(proc_devices()).toBe(readAll('/proc/devices'));
    expect(readAll('/proc/misc')).toBe('232 kvm\n');
    expect(readAll('/proc/modules')).toMatch(/^driver /);
    const fd = open('/dev/kvm');
    expect(sys_read(fd, 0, 10)).toBe(-EINVAL);
  });
});

describe('debugfs', () => {
  it('a file shows its number; a read in pieces goes on where it ended; a bad buffer is -EFAULT', () => {
    boot();
    const dir = debugfs_create_dir('kvm', 0);
    debugfs_create_file('exits', 0o444, dir, 5, address_of_fops(stat_fops));
    expect(readAll('/sys/kernel/debug/kvm/exits')).toBe('4294967301\n');
    expect(readAll('/sys/kernel/debug/kvm/nobody')).toBe(-ENOENT);
    expect(open('/sys/kernel/debug/kvm')).toBe(-ENOENT);
    const fd = open('/sys/kernel/debug/kvm/exits');
    expect(sys_read(fd, 0x10, 4)).toBe(-EFAULT);
    const buffer = get_zeroed_page(GFP_KERNEL);
    expect(sys_read(fd, buffer, 4)).toBe(4);
    expect(sys_read(fd, buffer, 4096)).toBe(7);
    expect(sys_ioctl(fd, 0, 0)).toBe(-ENOTTY);
  });

  it('a name that is taken is NULL, and a NULL parent is the root (the second loader of spec 2.1)', () => {
    boot();
    const dir = debugfs_create_dir('kvm', 0);
    const first = debugfs_create_file('exits', 0o444, dir, 0, address_of_fops(stat_fops));
    const again = debugfs_create_dir('kvm', 0);
    expect(again).toBe(0);
    const second = debugfs_create_file('exits', 0o444, again, 0, address_of_fops(stat_fops));
    expect(kernelInventory().debugfs).toEqual(['exits', 'kvm', 'kvm/exits']);
    debugfs_remove(second);
    debugfs_remove(first);
    debugfs_remove(dir);
    debugfs_remove(0);
    expect(kernelInventory().debugfs).toEqual([]);
    expect(liveAllocations().some((one) => one.kind === 'slab' && one.cache === 'dentry')).toBe(false);
  });

  it('a directory that is not empty stays, and is complained of', () => {
    boot();
    const dir = debugfs_create_dir('kvm', 0);
    debugfs_create_file('exits', 0o444, dir, 0, 0);
    debugfs_remove(dir);
    expect(kernelInventory().debugfs).toEqual(['kvm', 'kvm/exits']);
    expect(bench.log()).toContain('DebugFS rmdir on kvm failed : directory not empty.');
  });

  it('an entry that is removed twice is an oops', () => {
    boot();
    const dir = debugfs_create_dir('kvm', 0);
    debugfs_remove(dir);
    expect(() => debugfs_remove(dir)).toThrow(PageFault);
  });

  it('without memory there is no entry', () => {
    boot();
    arm_fault('kmem_cache_alloc:dentry', -12);
    expect(debugfs_create_dir('kvm', 0)).toBe(0);
  });
});

describe('anonymous files', () => {
  it('a descriptor, its file, and everything back at the end', () => {
    boot();
    const before = kernelInventory();
    expect(sys_init_module(0, 0, 0, 'kvm')).toBe(-ENOENT); // no module of that name is declared here
    anonInodesLoaded();
    expect(kvm_init_anon_inodes()).toBe(0);
    expect(kernelInventory().fileSystems).toEqual(['kvm_anon_inodefs']);
    const fd = anon_inode_getfd('kvm-vm', fops.addr, 0x40, filp_out.addr);
    const filp = fget(fd);
    expect(filp).toBe(filp_out.value);
    expect(file_count(filp)).toBe(2);
    fput(filp);
    expect(module_refcount(DRIVER)).toBe(0);
    // The operations name a module, so closing drops a reference that was never taken: not so for KVM's, which name none.
    fops.owner = 0;
    sys_close(fd);
    expect(released.value).toBe(0x41);
    kvm_exit_anon_inodes();
    expect(kernelInventory()).toEqual(before);
  });

  it('the file system can be registered once: a second init is -ENOMEM', () => {
    boot();
    anonInodesLoaded();
    expect(kvm_init_anon_inodes()).toBe(0);
    expect(kvm_init_anon_inodes()).toBe(-12);
  });

  it('a file made before the inode is there is an oops (spec 1.4)', () => {
    boot();
    anonInodesLoaded();
    expect(() => anon_inode_getfd('kvm-vm', fops.addr, 0)).toThrow(PageFault);
  });
});

describe('user memory', () => {
  it('only pages of the heap are user memory', () => {
    boot();
    const page = get_zeroed_page(GFP_KERNEL);
    bench.bus.store32(page, 0x1234);
    expect(copy_from_user(page + 8, page, 4)).toBe(0);
    expect(bench.bus.load32(page + 8)).toBe(0x1234);
    expect(copy_to_user(0x20, page, 4)).toBe(4);
    expect(copy_from_user(page, 0, 4)).toBe(4);
    expect(copy_to_user(bench.bus.layout.heapEnd - 2, page, 4)).toBe(4);
  });
});

/** kvm.ko's data are as its image has them: a machine starts so, whether or not the module is loaded. */
function anonInodesLoaded(): void {
  expect(kernelInventory().fileSystems).toEqual([]);
}
