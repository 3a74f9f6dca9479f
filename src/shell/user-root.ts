/** What is in user space's root when the shell starts: what a small distribution of the time would have there. */
import type { InMemoryFs } from 'just-bash';
import { LINUX_RELEASE } from '#kernel/fs/proc';
import { loadBash } from './just-bash.ts';

/** Module files, and the module that each holds. The seed's names for KVM's are there too. */
const MODULES: readonly (readonly [file: string, module: string])[] = [
  ['kvm.ko', 'kvm'],
  ['kvm-amd.ko', 'kvm-amd'],
  ['kvm-intel.ko', 'kvm-intel'],
  ['svm.ko', 'kvm-amd'],
  ['vmx.ko', 'kvm-intel'],
  ['lkdtm.ko', 'lkdtm'],
  ['notifier-error-inject.ko', 'notifier-error-inject'],
  ['cpu-notifier-error-inject.ko', 'cpu-notifier-err-inject'],
  ['cpu-notifier-err-inject.ko', 'cpu-notifier-err-inject'],
];

export const MODULE_DIRECTORY = `/lib/modules/${LINUX_RELEASE}/extra`;
const MODULE_MAGIC = 'module image: ';

/** Other names of modules, as `modprobe` knows them. */
export const MODULE_ALIASES: ReadonlyMap<string, string> = new Map([
  ['svm', 'kvm-amd'],
  ['vmx', 'kvm-intel'],
  ['cpu-notifier-error-inject', 'cpu-notifier-err-inject'],
  ['char-major-10-232', 'kvm'],
]);

/** The module that a file holds; undefined for any other file. */
export function moduleIn(text: string): string | undefined {
  return text.startsWith(MODULE_MAGIC) ? text.slice(MODULE_MAGIC.length).trim() : undefined;
}

const FSTAB = `# device  directory          type     options   dump pass
proc      /proc              proc     defaults  0 0
sysfs     /sys               sysfs    defaults  0 0
none      /sys/kernel/debug  debugfs  noauto    0 0
`;

const DIRECTORIES = ['/proc', '/sys', '/dev', '/tmp', '/root', '/mnt', '/var/tmp', '/run'];
/** Names that programs are called by: none is there as a file that could be read. */
const PROGRAM_DIRECTORIES = ['/bin', '/sbin', '/usr/bin', '/usr/sbin'];

/** A file of the host's that scripts see under its own name. What they write there stays in the shell. */
export interface SharedFile {
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
  read(): Uint8Array;
}

export async function makeUserRoot(shared: readonly SharedFile[] = []): Promise<InMemoryFs> {
  const bash = await loadBash();
  const root = new bash.InMemoryFs();
  for (const directory of [...DIRECTORIES, ...PROGRAM_DIRECTORIES, MODULE_DIRECTORY, '/etc'])
    await root.mkdir(directory, { recursive: true });
  await root.writeFile('/etc/hostname', 'smplab\n');
  await root.writeFile('/etc/passwd', 'root:x:0:0:root:/root:/bin/bash\n');
  await root.writeFile('/etc/fstab', FSTAB);
  for (const [file, module] of MODULES)
    await root.writeFile(`${MODULE_DIRECTORY}/${file}`, `${MODULE_MAGIC}${module}\n`);
  for (const file of shared) root.writeFileLazy(file.path, () => file.read(), { mode: file.mode });
  return root;
}
