/**
 * Restart, halt, power off: tells whoever registered, then ends the machine.
 *
 * @linux kernel/sys.c, include/linux/{reboot,notifier}.h, as of 2.6.24
 * Leaves out: device shutdown beyond system devices, kexec, Ctrl-Alt-Del.
 */
import { EINVAL } from '#base/errno';
import { vmlinux } from '#memory/image';
import { MachineEnd } from '#memory/layout';
import { NULL, type Ptr, u32 } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { arch } from '#smp/arch';
import {
  blocking_notifier_call_chain,
  blocking_notifier_chain_register,
  blocking_notifier_chain_unregister,
  blocking_notifier_head,
  type notifier_block,
} from '#smp/notifier';
import { KERN_EMERG, printk } from '#smp/printk';
import { sysdev_shutdown } from './sysdev.ts';

/** What the chain is called with. SYS_DOWN is the old name of SYS_RESTART. */
export const SYS_DOWN = 0x0001;
export const SYS_RESTART = SYS_DOWN;
export const SYS_HALT = 0x0002;
export const SYS_POWER_OFF = 0x0003;

/** Commands of sys_reboot. */
export const LINUX_REBOOT_CMD_RESTART = 0x01234567;
export const LINUX_REBOOT_CMD_HALT = 0xcdef0123;
export const LINUX_REBOOT_CMD_POWER_OFF = 0x4321fedc;

/** Values of system_state. */
export const SYSTEM_BOOTING = 0;
export const SYSTEM_RUNNING = 1;
export const SYSTEM_HALT = 2;
export const SYSTEM_POWER_OFF = 3;
export const SYSTEM_RESTART = 4;

/** Guarded by its own rwsem. */
export const reboot_notifier_list = vmlinux.DEFINE('reboot_notifier_list', blocking_notifier_head);
/** Written by who boots, and by who ends the machine. */
export const system_state = vmlinux.DEFINE('system_state', u32);

export const register_reboot_notifier = kernel_function(
  'register_reboot_notifier',
  (nb: notifier_block): number => blocking_notifier_chain_register(reboot_notifier_list, nb),
);

export const unregister_reboot_notifier = kernel_function(
  'unregister_reboot_notifier',
  (nb: notifier_block): number => blocking_notifier_chain_unregister(reboot_notifier_list, nb),
);

/** Everything that happens before the machine is gone, and after which it still answers. */
export const kernel_restart_prepare = kernel_function('kernel_restart_prepare', (cmd: Ptr): void => {
  blocking_notifier_call_chain(reboot_notifier_list, SYS_RESTART, cmd);
  system_state.value = SYSTEM_RESTART;
  sysdev_shutdown();
});

/** Does not return. */
export const kernel_restart = kernel_function('kernel_restart', (cmd: Ptr): void => {
  kernel_restart_prepare(cmd);
  printk(KERN_EMERG, 'Restarting system.');
  machine_restart();
});

export const kernel_shutdown_prepare = kernel_function('kernel_shutdown_prepare', (state: number): void => {
  const action = state === SYSTEM_HALT ? SYS_HALT : SYS_POWER_OFF;
  blocking_notifier_call_chain(reboot_notifier_list, action, NULL);
  system_state.value = state;
});

/** Does not return. */
export const kernel_halt = kernel_function('kernel_halt', (): void => {
  kernel_shutdown_prepare(SYSTEM_HALT);
  sysdev_shutdown();
  printk(KERN_EMERG, 'System halted.');
  machine_halt();
});

/** Does not return. */
export const kernel_power_off = kernel_function('kernel_power_off', (): void => {
  kernel_shutdown_prepare(SYSTEM_POWER_OFF);
  sysdev_shutdown();
  printk(KERN_EMERG, 'Power down.');
  machine_power_off();
});

/** The processor's part: here all three leave the machine standing still, for the host to look at. */
export const machine_restart = kernel_function('machine_restart', (): void => {
  arch.haltMachine(MachineEnd.RESTART);
});

export const machine_halt = kernel_function('machine_halt', (): void => {
  arch.haltMachine(MachineEnd.HALT);
});

export const machine_power_off = kernel_function('machine_power_off', (): void => {
  arch.haltMachine(MachineEnd.POWER_OFF);
});

/** @returns -EINVAL for an unknown command; the others do not return */
export const sys_reboot = kernel_function(
  'sys_reboot',
  (_magic1: number, _magic2: number, cmd: number, _arg: unknown): number => {
    const command = cmd >>> 0;
    if (command === LINUX_REBOOT_CMD_RESTART) kernel_restart(NULL);
    else if (command === LINUX_REBOOT_CMD_HALT) kernel_halt();
    else if (command === LINUX_REBOOT_CMD_POWER_OFF) kernel_power_off();
    else return -EINVAL;
    return 0;
  },
);
