/**
 * /sys/devices/system/cpu.
 *
 * @linux drivers/base/cpu.c, drivers/base/topology.c, arch/x86/kernel/topology.c, as of 2.6.24; the lists of possible, present,
 * online and offline CPUs as of 2.6.26 to 2.6.28, which scripts expect
 * Leaves out: uevents, crash notes, the CPU's own system devices (what is there follows from cpu_present_map).
 */
import { PAGE_SIZE } from '#memory/layout';
import { EINVAL, ENODEV } from '#base/errno';
import type { cpumask_t } from '#memory/cpumask';
import { vmlinux } from '#memory/image';
import { type Ptr, addressOf } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { cpu_down, cpu_up } from '#smp/cpu';
import {
  NR_CPUS,
  cpu_isset,
  cpu_online,
  cpu_online_map,
  cpu_possible_map,
  cpu_present,
  cpu_present_map,
  first_cpu,
  next_cpu,
} from '#smp/cpumask';
import {
  DIR_MODE,
  READ_ONLY_FOPS,
  READ_WRITE_FOPS,
  S_IFREG,
  type dirent,
  make_dir,
  make_file,
  type path_inode,
  text_file,
} from './fs_types.ts';

/** The CPUs of a mask as ranges: `0-2,5`. @linux lib/bitmap.c (bitmap_scnlistprintf), as of 2.6.24 */
export function cpulist(mask: cpumask_t): string {
  let text = '';
  for (let cpu = first_cpu(mask); cpu < NR_CPUS;) {
    const from = cpu;
    let to = cpu;
    for (cpu = next_cpu(cpu, mask); cpu === to + 1; cpu = next_cpu(cpu, mask)) to = cpu;
    text += `${text === '' ? '' : ','}${from === to ? from : `${from}-${to}`}`;
  }
  return text;
}

/** A mask as hexadecimal words, the highest first: `00000000,0000000f`. */
function cpumask_hex(cpu: number): string {
  let text = '';
  for (let word = NR_CPUS / 32 - 1; word >= 0; word--) {
    const bits = cpu >>> 5 === word ? (1 << (cpu & 31)) >>> 0 : 0;
    text += `${text === '' ? '' : ','}${bits.toString(16).padStart(8, '0')}`;
  }
  return text;
}

const print_cpus_possible = kernel_function(
  'print_cpus_possible',
  (): string => `${cpulist(cpu_possible_map)}\n`,
);
const print_cpus_present = kernel_function(
  'print_cpus_present',
  (): string => `${cpulist(cpu_present_map)}\n`,
);
const print_cpus_online = kernel_function('print_cpus_online', (): string => `${cpulist(cpu_online_map)}\n`);
const print_cpus_kernel_max = kernel_function('print_cpus_kernel_max', (): string => `${NR_CPUS - 1}\n`);

/** Possible and not online. */
const print_cpus_offline = kernel_function('print_cpus_offline', (): string => {
  let text = '';
  let from = -1;
  for (let cpu = 0; cpu <= NR_CPUS; cpu++) {
    const offline = cpu < NR_CPUS && cpu_isset(cpu, cpu_possible_map) && !cpu_online(cpu);
    if (offline && from < 0) from = cpu;
    if (offline || from < 0) continue;
    text += `${text === '' ? '' : ','}${from === cpu - 1 ? from : `${from}-${cpu - 1}`}`;
    from = -1;
  }
  return `${text}\n`;
});

const show_online = kernel_function('show_online', (cpu: number): string =>
  cpu_online(cpu) ? '1\n' : '0\n',
);

/** The first character decides, whatever follows. */
const store_online = kernel_function('store_online', (cpu: number, buf: string): number => {
  let error = -EINVAL;
  if (buf.startsWith('0')) error = cpu_down(cpu);
  else if (buf.startsWith('1')) error = cpu_up(cpu);
  return error < 0 ? error : buf.length;
});

/** Every CPU is a package of its own: no cores, no hyper-threads. */
const show_physical_package_id = kernel_function(
  'show_physical_package_id',
  (cpu: number): string => `${cpu}\n`,
);
const show_core_id = kernel_function('show_core_id', (): string => '0\n');
const show_thread_siblings = kernel_function('show_thread_siblings', (cpu: number): string | number =>
  cpu_online(cpu) ? `${cpumask_hex(cpu)}\n` : -ENODEV,
);

function ATTR(name: string, show: Ptr): text_file_view {
  return vmlinux.DEFINE(`attr_${name}`, text_file, { fops: READ_ONLY_FOPS, show });
}
type text_file_view = ReturnType<typeof text_file.at>;

const class_attrs = Object.freeze([
  { name: 'kernel_max', attr: ATTR('kernel_max', print_cpus_kernel_max.addr) },
  { name: 'offline', attr: ATTR('offline', print_cpus_offline.addr) },
  { name: 'online', attr: ATTR('online', print_cpus_online.addr) },
  { name: 'possible', attr: ATTR('possible', print_cpus_possible.addr) },
  { name: 'present', attr: ATTR('present', print_cpus_present.addr) },
]);
const topology_attrs = Object.freeze([
  { name: 'core_id', attr: ATTR('core_id', show_core_id.addr) },
  { name: 'core_siblings', attr: ATTR('core_siblings', show_thread_siblings.addr) },
  { name: 'physical_package_id', attr: ATTR('physical_package_id', show_physical_package_id.addr) },
  { name: 'thread_siblings', attr: ATTR('thread_siblings', show_thread_siblings.addr) },
]);
const attr_cpu_online = vmlinux.DEFINE('attr_cpu_online', text_file, {
  fops: READ_WRITE_FOPS,
  show: show_online.addr,
  store: store_online.addr,
});

/** The number in `cpu3`, of a CPU that is present; -1 for any other name. */
function cpu_of(name: string): number {
  if (!name.startsWith('cpu')) return -1;
  const digits = name.slice('cpu'.length);
  const cpu = Number(digits);
  return digits === String(cpu) && Number.isInteger(cpu) && cpu >= 0 && cpu < NR_CPUS && cpu_present(cpu)
    ? cpu
    : -1;
}

/** CPU 0 cannot go offline, so it has no such file. */
function has_control(cpu: number): boolean {
  return cpu !== 0;
}

type attrs = typeof class_attrs;

function attr_in(list: attrs, name: string, data: number): path_inode | undefined {
  for (const { name: known, attr } of list)
    if (known === name) return make_file(0o444, addressOf(attr, 'fops'), data, PAGE_SIZE);
  return undefined;
}

function attr_names(list: attrs): dirent[] {
  const names: dirent[] = [];
  for (const { name } of list) names.push({ name, i_mode: S_IFREG | 0o444 });
  return names;
}

/** What is at `names` below /sys/devices/system/cpu; undefined for nothing. */
export function cpu_sysfs_lookup(names: readonly string[]): path_inode | undefined {
  const [first, second, third] = names;
  if (first === undefined) return make_dir();
  const cpu = cpu_of(first);
  if (cpu < 0) return names.length === 1 ? attr_in(class_attrs, first, 0) : undefined;
  if (second === undefined) return make_dir();
  if (second === 'online' && third === undefined && has_control(cpu))
    return make_file(0o644, addressOf(attr_cpu_online, 'fops'), cpu, PAGE_SIZE);
  if (second !== 'topology') return undefined;
  if (third === undefined) return make_dir();
  return names.length === 3 ? attr_in(topology_attrs, third, cpu) : undefined;
}

/** The entries of a directory that cpu_sysfs_lookup has found. */
export function cpu_sysfs_readdir(names: readonly string[]): dirent[] {
  const [first] = names;
  if (first === undefined) {
    const entries: dirent[] = [];
    for (let cpu = first_cpu(cpu_present_map); cpu < NR_CPUS; cpu = next_cpu(cpu, cpu_present_map))
      entries.push({ name: `cpu${cpu}`, i_mode: DIR_MODE });
    return entries.concat(attr_names(class_attrs));
  }
  if (names.length === 2) return attr_names(topology_attrs);
  const entries: dirent[] = [];
  if (has_control(cpu_of(first))) entries.push({ name: 'online', i_mode: S_IFREG | 0o644 });
  entries.push({ name: 'topology', i_mode: DIR_MODE });
  return entries;
}
