/** Text of /proc/mounts. @linux fs/namespace.c (show_vfsmnt), as of 2.6.24 */
import { kernel_function } from '#memory/symbols';
import { mutex_lock, mutex_unlock } from '#smp/mutex';
import { MS_RDONLY, mount, mount_list, mount_type, namespace_sem } from './mount.ts';

export const proc_mounts = kernel_function('proc_mounts', (): string => {
  let text = 'rootfs / rootfs rw 0 0\n';
  mutex_lock(namespace_sem);
  for (let at = mount_list.next; at !== mount_list.addr;) {
    const mnt = mount.container(at, 'mnt_list');
    const access = (mnt.mnt_flags & MS_RDONLY) !== 0 ? 'ro' : 'rw';
    text += `${mnt.mnt.mnt_devname} ${mnt.mnt_mountpoint} ${mount_type(mnt).name} ${access} 0 0\n`;
    at = mnt.mnt_list.next;
  }
  mutex_unlock(namespace_sem);
  return text;
});
