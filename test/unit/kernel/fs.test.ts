/** The file systems of the simulated kernel, as system calls see them. One CPU; what takes others is in test/threads. */
import { beforeEach, describe, expect, it } from 'vitest';
import { EACCES, EBADF, EBUSY, EFAULT, EINVAL, EISDIR, ENODEV, ENOENT, ENOTDIR, EROFS } from '#base/errno';
import { CpuWord, Pending } from '#memory/layout';
import { cpu_clear, cpu_online_map, cpu_present_map, cpu_set } from '#smp/cpumask';
import { svm_init } from '#kernel/kvm/svm';
import { debugfs_create_dir, debugfs_create_file } from '#kernel/debugfs';
import { O_RDWR, O_WRONLY, sys_close, sys_read, sys_write } from '#kernel/file';
import { cpulist } from '#kernel/fs/cpu-sysfs';
import { S_IFCHR, S_IFDIR, S_IFMT, S_IFREG } from '#kernel/fs/fs_types';
import { MS_RDONLY, MS_REMOUNT } from '#kernel/fs/mount';
import { sys_mount, sys_umount } from '#kernel/fs/namespace';
import { kstat, linux_dirent64, sys_getdents64, sys_newstat } from '#kernel/fs/readdir';
import { kernelInventory } from '#machine/inventory';
import { sys_init_module } from '#kernel/module_load';
import { sys_open } from '#kernel/open';
import { GFP_KERNEL, get_zeroed_page } from '#kernel/page_alloc';
import { type Bench, kernelBench } from '../../support/kernel-bench.ts';

const PAGE = 4096;
let bench: Bench;
let user: number;

function put(text: string, at = user): number {
  bench.bus.u8.set(new TextEncoder().encode(`${text}\0`), at);
  return at;
}

function mount(type: string, dir: string, flags = 0): number {
  return sys_mount(put('none', user + 512), put(type), flags, dir);
}

function read(path: string): string | number {
  const fd = sys_open(0, 0, 0, path);
  if (fd < 0) return fd;
  const length = sys_read(fd, user, PAGE);
  sys_close(fd);
  return length < 0 ? length : new TextDecoder().decode(bench.bus.u8.slice(user, user + length));
}

function write(path: string, text: string): number {
  const fd = sys_open(0, O_WRONLY, 0, path);
  if (fd < 0) return fd;
  const result = sys_write(fd, put(text), text.length);
  sys_close(fd);
  return result;
}

function list(path: string): string[] | number {
  const fd = sys_open(0, 0, 0, path);
  if (fd < 0) return fd;
  const names: string[] = [];
  for (;;) {
    // Room for a few entries only: the next call goes on where this one stopped.
    const length = sys_getdents64(fd, user, 128);
    if (length < 0) return length;
    if (length === 0) break;
    for (let at = user; at < user + length; at += linux_dirent64.at(at).d_reclen) {
      const name = at + linux_dirent64.offsetof('d_type') + 1;
      names.push(new TextDecoder().decode(bench.bus.u8.slice(name, bench.bus.u8.indexOf(0, name))));
    }
  }
  sys_close(fd);
  return names;
}

function mode(path: string): number {
  const result = sys_newstat(0, user, 0, path);
  return result === 0 ? kstat.at(user).mode : result;
}

beforeEach(() => {
  bench = kernelBench({ possible: 4 });
  for (let cpu = 0; cpu < 4; cpu++) cpu_set(cpu, cpu_present_map);
  user = get_zeroed_page(GFP_KERNEL);
  expect(mount('proc', '/proc')).toBe(0);
  expect(mount('sysfs', '/sys')).toBe(0);
  expect(mount('tmpfs', '/dev')).toBe(0);
});

describe('mounting', () => {
  it('debugfs is not there before it is mounted, and its directory is empty', () => {
    debugfs_create_dir('kvm', 0);
    expect(list('/sys/kernel/debug')).toEqual([]);
    expect(mode('/sys/kernel/debug/kvm')).toBe(-ENOENT);
    expect(mount('debugfs', '/sys/kernel/debug')).toBe(0);
    expect(list('/sys/kernel/debug')).toEqual(['kvm']);
    expect(sys_umount(0, 0, 0, '/sys/kernel/debug')).toBe(0);
    expect(list('/sys/kernel/debug')).toEqual([]);
  });

  it('the errors are those of mount(2) and umount(2)', () => {
    expect(mount('nosuchfs', '/sys/kernel/debug')).toBe(-ENODEV);
    expect(mount('debugfs', '/sys/kernel/nothing')).toBe(-ENOENT);
    expect(mount('debugfs', '/proc/version')).toBe(-ENOTDIR);
    expect(mount('sysfs', '/sys')).toBe(-EBUSY);
    expect(sys_mount(12, put('sysfs'), 0, '/mnt')).toBe(-EFAULT);
    expect(sys_umount(0, 0, 0, '/sys/kernel')).toBe(-EINVAL);
    expect(sys_umount(0, 0, 0, '')).toBe(-ENOENT);
  });

  it('a file that is open, and a mount below, keep a mount busy', () => {
    const fd = sys_open(0, 0, 0, '/sys/devices/system/cpu/possible');
    expect(sys_umount(0, 0, 0, '/sys')).toBe(-EBUSY);
    sys_close(fd);
    mount('debugfs', '/sys/kernel/debug');
    expect(sys_umount(0, 0, 0, '/sys')).toBe(-EBUSY);
    expect(sys_umount(0, 0, 0, '/sys/kernel/debug')).toBe(0);
    expect(sys_umount(0, 0, 0, '/sys')).toBe(0);
    expect(mode('/sys/devices')).toBe(-ENOENT);
  });

  it('/proc/mounts and /proc/filesystems say so, read-only ones too', () => {
    mount('debugfs', '/sys/kernel/debug', MS_RDONLY);
    expect(read('/proc/mounts')).toContain('none /sys/kernel/debug debugfs ro 0 0\n');
    expect(mount('', '/sys/kernel/debug', MS_REMOUNT)).toBe(0);
    expect(read('/proc/mounts')).toContain('none /sys/kernel/debug debugfs rw 0 0\n');
    expect(read('/proc/filesystems')).toContain('nodev\tdebugfs\n');
    expect(mount('', '/elsewhere', MS_REMOUNT)).toBe(-EINVAL);
  });

  it('what is mounted elsewhere is there, and a later mount hides an earlier one', () => {
    mount('sysfs', '/mnt');
    expect(list('/mnt/devices')).toEqual(['system']);
    mount('proc', '/mnt');
    expect(read('/mnt/version')).toContain('Linux version 2.6.24');
  });
});

describe('sysfs', () => {
  it('lists what is present, with a control for every CPU but 0', () => {
    const cpus = list('/sys/devices/system/cpu');
    expect(cpus).toContain('cpu0');
    expect(list('/sys/devices/system/cpu/cpu0')).toEqual(['topology']);
    expect(mode('/sys/devices/system/cpu/cpu0/online')).toBe(-ENOENT);
    expect(mode('/sys/devices/system/cpu/cpu9')).toBe(-ENOENT);
    expect(mode('/sys/devices/system/cpu/cpu01')).toBe(-ENOENT);
    expect(mode('/sys/devices/system/cpu') & S_IFMT).toBe(S_IFDIR);
    expect(mode('/sys/devices/system/cpu/online')).toBe(S_IFREG | 0o444);
  });

  it('the lists of CPUs are ranges', () => {
    expect(read('/sys/devices/system/cpu/possible')).toBe('0-3\n');
    for (const cpu of [1, 3]) cpu_set(cpu, cpu_online_map);
    expect(cpulist(cpu_online_map)).toBe('0-1,3');
    expect(read('/sys/devices/system/cpu/online')).toBe('0-1,3\n');
    expect(read('/sys/devices/system/cpu/offline')).toBe('2\n');
    for (const cpu of [1, 3]) cpu_clear(cpu, cpu_online_map);
  });

  it('what is written to a control goes to cpu_up and cpu_down, or is refused', () => {
    const online = '/sys/devices/system/cpu/cpu1/online';
    expect(read(online)).toBe('0\n');
    expect(write(online, 'on\n')).toBe(-EINVAL);
    expect(write(online, '0\n')).toBe(-EBUSY); // the one CPU that there is
    expect(write('/sys/devices/system/cpu/online', '1\n')).toBe(-EACCES);
    expect(write('/sys/devices/system/cpu', '1')).toBe(-EISDIR);
  });

  it('nothing is written to a file system that is mounted read-only, or through a descriptor for reading', () => {
    mount('', '/sys', MS_REMOUNT | MS_RDONLY);
    expect(write('/sys/devices/system/cpu/cpu1/online', '1')).toBe(-EROFS);
    const fd = sys_open(0, 0, 0, '/sys/devices/system/cpu/cpu1/online');
    expect(sys_write(fd, user, 1)).toBe(-EBADF);
    sys_close(fd);
  });

  it('a module and what uses it appear while it is loaded, the name with an underscore', () => {
    expect(svm_init.symbol).toBe('svm_init'); // linked in, and not loaded
    expect(list('/sys/module')).toEqual([]);
    expect(sys_init_module(0, 0, 0, 'kvm')).toBe(0);
    expect(list('/sys/module')).toEqual(['kvm']);
    expect(read('/sys/module/kvm/refcnt')).toBe('0\n');
    expect(read('/sys/module/kvm/initstate')).toBe('live\n');
    expect(list('/sys/module/kvm/holders')).toEqual([]);
    expect(mode('/sys/module/kvm_amd')).toBe(-ENOENT);
  });
});

describe('procfs, debugfs and /dev', () => {
  it('a node of KVM is there before its device, which cannot be opened then', () => {
    expect(list('/dev')).toEqual(['kvm']);
    expect(mode('/dev/kvm')).toBe(S_IFCHR | 0o660);
    expect(kstat.at(user).rdev).toBe((10 << 8) | 232);
    expect(sys_open(0, O_RDWR, 0, '/dev/kvm')).toBe(-ENODEV);
  });

  it('interrupts are shown for each online CPU and vector', () => {
    bench.bus.registersOf(0).set(CpuWord.INTERRUPTS + Math.log2(Pending.CALL_FUNCTION), 17);
    const text = read('/proc/interrupts') as string;
    expect(text).toMatch(/^ {11}CPU0 +\n/u);
    expect(text).toMatch(/^CAL: +17 +function call interrupts$/mu);
    expect(text).toMatch(/^RES: +0 +Rescheduling interrupts$/mu);
  });

  it('a directory is read by getdents64 and nothing else, a file by anything but it', () => {
    const dir = sys_open(0, 0, 0, '/proc');
    expect(sys_read(dir, user, 64)).toBe(-EISDIR);
    expect(sys_getdents64(dir, user, 8)).toBe(-EINVAL);
    sys_close(dir);
    const fd = sys_open(0, 0, 0, '/proc/version');
    expect(sys_getdents64(fd, user, 64)).toBe(-ENOTDIR);
    sys_close(fd);
    expect(write('/proc/version', 'x')).toBe(-EINVAL);
  });

  it('every file of procfs can be read, and what is opened is closed again', () => {
    const before = kernelInventory();
    for (const name of list('/proc') as string[]) expect(typeof read(`/proc/${name}`), name).toBe('string');
    expect(read('/proc/nothing')).toBe(-ENOENT);
    expect(kernelInventory()).toEqual(before);
  });

  it('a file of debugfs that has no operations is not opened', () => {
    mount('debugfs', '/sys/kernel/debug');
    debugfs_create_file('empty', 0o444, 0, 0, 0);
    expect(read('/sys/kernel/debug/empty')).toBe(-ENOENT);
  });
});
