/** What the files of this room know of each other without importing each other. */
import type { BaseBus } from '#memory/base-bus';
import type { Bus } from '#memory/bus';
import type { Arch } from '#smp/arch';

/** A bus of either kind: both are Bus and BaseBus. */
export type ThreadBus = Bus & BaseBus;

/** What a move to another CPU asks of the thread that makes it. */
export type CpuFlow = Pick<Arch, 'cli' | 'sti' | 'offline' | 'misplaced'>;
