/**
 * Character device majors. @linux fs/char_dev.c, as of 2.6.24
 * Leaves out: minor ranges, cdev, dynamic majors.
 */
import { EBUSY, ENOMEM } from '#base/errno';
import { vmlinux } from '#memory/image';
import { array, char, struct, u32 } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { mutex, mutex_lock, mutex_unlock } from '#smp/mutex';

const CHRDEVS_MAX = 8;

const char_device_struct = struct('char_device_struct', { used: u32, major: u32, name: char(24) });

/** Guards chrdevs. */
const chrdevs_lock = vmlinux.DEFINE('chrdevs_lock', mutex);
/** Ascending by major, as /proc/devices shows them; the used ones first. */
export const chrdevs = vmlinux.DEFINE('chrdevs', array(char_device_struct, CHRDEVS_MAX));

/** Must hold chrdevs_lock. */
function count_chrdevs(): number {
  let count = 0;
  while (count < CHRDEVS_MAX && chrdevs.at(count).used !== 0) count++;
  return count;
}

/** Takes a major number; 0, -EBUSY if it is taken. */
export const register_chrdev = kernel_function('register_chrdev', (major: number, name: string): number => {
  mutex_lock(chrdevs_lock);
  const count = count_chrdevs();
  let place = 0;
  while (place < count && chrdevs.at(place).major < major) place++;
  let error = 0;
  if (place < count && chrdevs.at(place).major === major) error = -EBUSY;
  else if (count === CHRDEVS_MAX) error = -ENOMEM;
  if (error === 0) {
    for (let index = count; index > place; index--) {
      const above = chrdevs.at(index);
      const below = chrdevs.at(index - 1);
      above.used = 1;
      above.major = below.major;
      above.name = below.name;
    }
    const entry = chrdevs.at(place);
    entry.used = 1;
    entry.major = major;
    entry.name = name;
  }
  mutex_unlock(chrdevs_lock);
  return error;
});

/** Text of /proc/devices. No block devices here. */
export const proc_devices = kernel_function('proc_devices', (): string => {
  mutex_lock(chrdevs_lock);
  let text = 'Character devices:\n';
  const count = count_chrdevs();
  for (let index = 0; index < count; index++) {
    const { major, name } = chrdevs.at(index);
    text += `${String(major).padStart(3)} ${name}\n`;
  }
  mutex_unlock(chrdevs_lock);
  return `${text}\nBlock devices:\n`;
});
