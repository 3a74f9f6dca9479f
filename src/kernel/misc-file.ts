/** Opening a miscellaneous device by its minor. @linux fs/char_dev.c (chrdev_open), as of 2.6.24 */
import { ENFILE } from '#base/errno';
import { NULL } from '#memory/struct';
import { file, get_empty_filp, put_filp } from './file.ts';
import { misc_open } from './misc.ts';

/** An open file, or a negative errno. @param path what it was opened as */
export function open_device(path: string, minor: number): number {
  const filp = get_empty_filp();
  if (filp === NULL) return -ENFILE;
  file.at(filp).f_name = path;
  const error = misc_open(minor, filp);
  if (error === 0) return filp;
  put_filp(filp);
  return error;
}
