/**
 * Files without a name, as KVM's external build brings them along: all share one inode of a pseudo file system.
 *
 * @linux kvm/kernel/anon_inodes.c of the kvm-54 tarball (after fs/anon_inodes.c)
 * Leaves out: the dentry between a file and the inode.
 *
 * The data belong to kvm.ko. Until kvm_init_anon_inodes is through, `anon_inode_inode` is NULL, which the test for an error
 * pointer lets pass: a VM made in that window is an oops in igrab (spec 1.4).
 */
import { ENFILE, ENODEV, ENOMEM } from '#base/errno';
import { NULL, type Ptr, ptr, variableAt } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { should_fail } from '#smp/fault_inject';
import { fd_install, file, get_empty_filp, get_unused_fd, put_filp } from './file.ts';
import { file_system_type, register_filesystem, unregister_filesystem } from './filesystems.ts';
import { I_DIRTY, igrab, inode, iput, kern_mount, mntget, mntput, new_inode } from './inode.ts';
import { kvm_ko } from './kvm/kvm_ko.ts';

/** Written by module init and exit only; read without a lock by who opens a file. */
const anon_inode_mnt = kvm_ko.DEFINE('anon_inode_mnt', ptr);
const anon_inode_inode = kvm_ko.DEFINE('anon_inode_inode', ptr);
const anon_inode_fs_type = kvm_ko.DEFINE('anon_inode_fs_type', file_system_type, {
  name: 'kvm_anon_inodefs',
});

const anon_inode_mkinode = kernel_function('anon_inode_mkinode', (): Ptr => {
  const ino = new_inode(anon_inode_mnt.value);
  if (ino === NULL) return NULL;
  const view = inode.at(ino);
  // Dirty from the start, so that nobody ever puts it on a list of dirty inodes.
  view.i_state = I_DIRTY;
  view.i_mode = 0o600;
  return ino;
});

/** @returns 0, or -ENOMEM, whatever went wrong */
export const kvm_init_anon_inodes = kernel_function('kvm_init_anon_inodes', (): number => {
  const injected = should_fail('kvm_init_anon_inodes');
  if (injected !== 0) return injected;
  if (register_filesystem(anon_inode_fs_type) !== 0) return -ENOMEM;
  const mnt = kern_mount(anon_inode_fs_type);
  if (mnt !== NULL) {
    anon_inode_mnt.value = mnt;
    const ino = anon_inode_mkinode();
    if (ino !== NULL) {
      anon_inode_inode.value = ino;
      return 0;
    }
    mntput(mnt);
  }
  unregister_filesystem(anon_inode_fs_type);
  return -ENOMEM;
});

/** The two pointers dangle afterwards. */
export const kvm_exit_anon_inodes = kernel_function('kvm_exit_anon_inodes', (): void => {
  iput(anon_inode_inode.value);
  mntput(anon_inode_mnt.value);
  unregister_filesystem(anon_inode_fs_type);
});

/**
 * A new file on the common inode, behind a new descriptor. The descriptor works as soon as it is installed, before this
 * returns: another task may use it first.
 * @param fops address of file_operations; no reference on their module is taken
 * @param pfile where to put the file's address, if anywhere; written after the descriptor works
 * @returns the descriptor, -ENFILE (no memory for a file), -ENODEV, or -EMFILE
 */
export const anon_inode_getfd = kernel_function(
  'anon_inode_getfd',
  (name: string, fops: Ptr, priv: Ptr, pfile?: Ptr): number => {
    const filp = get_empty_filp();
    if (filp === NULL) return -ENFILE;
    const ino = igrab(anon_inode_inode.value);
    if (ino === NULL) {
      put_filp(filp);
      return -ENODEV;
    }
    const fd = get_unused_fd();
    if (fd < 0) {
      iput(ino);
      put_filp(filp);
      return fd;
    }
    const view = file.at(filp);
    view.f_name = name;
    view.f_op = fops;
    view.private_data = priv;
    view.f_inode = ino;
    view.f_vfsmnt = mntget(anon_inode_mnt.value);
    fd_install(fd, filp);
    if (pfile !== undefined && pfile !== NULL) variableAt(ptr, pfile).value = filp;
    return fd;
  },
);
