/**
 * procfs: the files that say something about this machine.
 *
 * @linux fs/proc/{root,generic,proc_misc}.c, init/version.c, as of 2.6.24
 * Leaves out: directories of processes, and every file whose numbers would be made up: what is not modelled has no file.
 */
import { EISDIR, ENOENT } from '#base/errno';
import { bus } from '#memory/bus';
import { vmlinux } from '#memory/image';
import { MACHINE_BLOCK, MachineWord } from '#memory/layout';
import { type Ptr, addressOf } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { file_system_type, registered_types } from '../filesystems.ts';
import { kallsyms } from '../kallsyms.ts';
import { proc_devices, proc_misc } from '../misc.ts';
import { proc_modules } from '../proc-modules.ts';
import { dev_fs_type } from './dev.ts';
import {
  READ_ONLY_FOPS,
  S_IFREG,
  type dirent,
  make_dir,
  make_file,
  path_components,
  type path_inode,
  text_file,
} from './fs_types.ts';
import { proc_cpuinfo } from './proc-cpuinfo.ts';
import { proc_interrupts } from './proc-interrupts.ts';
import { proc_mounts } from './proc-mounts.ts';
import { proc_slabinfo } from './proc-slabinfo.ts';

function machine_word(word: number): number {
  return bus.loadLocal32(MACHINE_BLOCK + word * 4);
}

/** What the boot loader said. Only maxcpus= exists here. */
const proc_cmdline = kernel_function('cmdline_read_proc', (): string => {
  const maxcpus = machine_word(MachineWord.MAX_CPUS);
  return `root=/dev/ram0 maxcpus=${maxcpus}\n`;
});

export const LINUX_RELEASE = '2.6.24';
/** What `uname -v` says. */
export const LINUX_VERSION = '#1 SMP PREEMPT';

const proc_version = kernel_function(
  'version_read_proc',
  (): string => `Linux version ${LINUX_RELEASE} (smplab) ${LINUX_VERSION}\n`,
);

/** Seconds of simulated time, which passes only while everybody waits. The second number is idle time: the same. */
const proc_uptime = kernel_function('uptime_read_proc', (): string => {
  const seconds = ((machine_word(MachineWord.CLOCK_US) >>> 0) / 1_000_000).toFixed(2);
  return `${seconds} ${seconds}\n`;
});

const proc_kallsyms = kernel_function('kallsyms_show', (): string => {
  let text = '';
  for (const { address, name } of kallsyms()) text += `${address.toString(16).padStart(16, '0')} T ${name}\n`;
  return text;
});

/** None of them needs a block device. */
const proc_filesystems = kernel_function('filesystems_read_proc', (): string => {
  let text = '';
  for (const type of [...builtin_fs_types(), ...registered_types()])
    text += `nodev\t${file_system_type.at(type).name}\n`;
  return text;
});

function ENTRY(name: string, show: Ptr): { readonly name: string; readonly at: Ptr } {
  const made = vmlinux.DEFINE(`proc_${name}_file`, text_file, { fops: READ_ONLY_FOPS, show });
  return { name, at: addressOf(made, 'fops') };
}

const entries = Object.freeze([
  ENTRY('cmdline', proc_cmdline.addr),
  ENTRY('cpuinfo', proc_cpuinfo.addr),
  ENTRY('devices', proc_devices.addr),
  ENTRY('filesystems', proc_filesystems.addr),
  ENTRY('interrupts', proc_interrupts.addr),
  ENTRY('kallsyms', proc_kallsyms.addr),
  ENTRY('misc', proc_misc.addr),
  ENTRY('modules', proc_modules.addr),
  ENTRY('mounts', proc_mounts.addr),
  ENTRY('slabinfo', proc_slabinfo.addr),
  ENTRY('uptime', proc_uptime.addr),
  ENTRY('version', proc_version.addr),
]);

export const proc_lookup = kernel_function('proc_lookup', (path: string): path_inode | number => {
  const names = path_components(path);
  if (names.length === 0) return make_dir();
  if (names.length > 1) return -ENOENT;
  for (const { name, at } of entries) if (name === names[0]) return make_file(0o444, at, 0, 0);
  return -ENOENT;
});

const proc_readdir = kernel_function('proc_readdir', (path: string): dirent[] | number => {
  if (path_components(path).length > 0) return -EISDIR;
  const list: dirent[] = [];
  for (const { name } of entries) list.push({ name, i_mode: S_IFREG | 0o444 });
  return list;
});

export const proc_fs_type = vmlinux.DEFINE('proc_fs_type', file_system_type, {
  name: 'proc',
  next: dev_fs_type.addr,
  lookup: proc_lookup.addr,
  readdir: proc_readdir.addr,
});

/** The types that are part of the kernel image, which is where their chain is made; others come with modules (filesystems.ts). */
export function builtin_fs_types(): Ptr[] {
  const types: Ptr[] = [];
  for (let at: Ptr = proc_fs_type.addr; at !== 0; at = file_system_type.at(at).next) types.push(at);
  return types;
}
