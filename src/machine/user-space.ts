/**
 * A process of user space: its memory is pages of the machine, what it asks of the kernel are system calls in a task of its own
 * pid on a CPU of the machine.
 *
 * A process makes one call at a time. Two processes make theirs at the same time in parallel mode; in deterministic mode they
 * take turns, as a run there is of calls that begin together.
 */
import { SmplabError } from '#base/errors';
import { errnoName } from '#base/errno';
import { cpu_online } from '#smp/cpumask';
import { O_RDONLY } from '#kernel/file';
import { linux_dirent64, kstat } from '#kernel/fs/readdir';
import { GFP_KERNEL } from '#kernel/gfp';
import { orAborted } from './abort.ts';
import type { CallOutcome, Machine } from './machine.ts';

/** A system call answered a negative errno. */
export class SystemCallError extends Error {
  readonly errno: number;

  constructor(symbol: string, errno: number) {
    super(`${symbol}: ${errnoName(-errno)}`);
    this.name = 'SystemCallError';
    this.errno = errno;
  }
}

/** A system call did not come back: an oops killed the process, or the machine came to its end. */
export class NoReturn extends Error {
  readonly outcome: CallOutcome;

  constructor(symbol: string, outcome: CallOutcome) {
    super(`${symbol}: ${outcome.kind}`);
    this.name = 'NoReturn';
    this.outcome = outcome;
  }
}

/** Somebody stopped waiting for a system call. It goes on, in a process that nobody hears of any more. */
export class Interrupted extends Error {
  constructor(symbol: string) {
    super(`${symbol}: interrupted`);
    this.name = 'Interrupted';
  }
}

export interface FileStatus {
  /** type and permissions, as in stat(2) */
  readonly mode: number;
  /** major << 8 | minor */
  readonly device: number;
  readonly size: number;
}

export interface DirectoryEntry {
  readonly name: string;
  /** DT_DIR (4), DT_REG (8), DT_CHR (2) */
  readonly type: number;
}

export const DT_CHR = 2;
export const DT_DIR = 4;

/** 2^4 pages: what one read can bring. */
const BUFFER_ORDER = 4;
const BUFFER_BYTES = 4096 << BUFFER_ORDER;
/** Longest path that fits a task's text with its NUL (smp/sched). */
const PATH_MAX = 95;
const ENAMETOOLONG = 36;
/** How often a CPU may go offline just when it has been chosen. */
const CHOICES_MAX = 100;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Calls of a deterministic machine take turns. */
const turns = new WeakMap<Machine, Promise<unknown>>();

export interface ProcessOptions {
  readonly pid: number;
  readonly comm: string;
  /** CPUs it may run on; undefined = all. */
  readonly affinity?: readonly number[] | undefined;
}

export class UserProcess {
  readonly machine: Machine;
  readonly pid: number;
  /** Name of the program that calls. */
  comm: string;
  /** Ends the wait for a call that is running. */
  signal: AbortSignal | undefined;
  /** A call was given up while it ran: the process makes no further ones. */
  isLost = false;
  #affinity: readonly number[] | undefined;
  #cpu = 0;
  /** Address of the process's pages; 0 = not there yet. */
  #buffer = 0;
  /** The call that runs, and those that wait for it. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(machine: Machine, { pid, comm, affinity }: ProcessOptions) {
    this.machine = machine;
    this.pid = pid;
    this.comm = comm;
    this.#affinity = affinity;
  }

  /** CPUs it may run on; undefined = all. */
  get affinity(): readonly number[] | undefined {
    return this.#affinity;
  }

  /** The CPU its next call starts on. */
  get cpu(): number {
    return this.#place();
  }

  /** @throws SystemCallError EINVAL where no CPU of the list is online */
  restrict(cpus: readonly number[]): void {
    if (!cpus.some((cpu) => this.#online(cpu))) throw new SystemCallError('sched_setaffinity', 22);
    this.#affinity = cpus;
  }

  /** A process of the same affinity, as fork makes one. */
  fork(pid: number): UserProcess {
    return new UserProcess(this.machine, { pid, comm: this.comm, affinity: this.#affinity });
  }

  /**
   * A system call.
   * @returns what it answers, zero or more
   * @throws SystemCallError for a negative errno, NoReturn where it never comes back, Interrupted where nobody waits any more
   */
  async call(symbol: string, args: readonly number[] = [], text = ''): Promise<number> {
    const value = await this.#turn(() => this.#call(symbol, args, text));
    if (value < 0 && value > -4096) throw new SystemCallError(symbol, -value);
    return value;
  }

  async open(path: string, flags: number = O_RDONLY): Promise<number> {
    if (path.length > PATH_MAX) throw new SystemCallError('sys_open', ENAMETOOLONG);
    return this.call('sys_open', [0, flags, 0], path);
  }

  async close(fd: number): Promise<void> {
    await this.call('sys_close', [fd]);
  }

  /** The rest of an open file. A read that is shorter than the buffer is the last one. */
  async read(fd: number): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    for (;;) {
      const piece = await this.#withBuffer(async (buffer) => {
        const length = await this.#checked('sys_read', [fd, buffer, BUFFER_BYTES]);
        return this.machine.bus.u8.slice(buffer, buffer + length);
      });
      pieces.push(piece);
      if (piece.length < BUFFER_BYTES) return Buffer.concat(pieces);
    }
  }

  async write(fd: number, bytes: Uint8Array): Promise<number> {
    return this.#withBuffer(async (buffer) => {
      const piece = bytes.subarray(0, BUFFER_BYTES);
      this.machine.bus.u8.set(piece, buffer);
      return this.#checked('sys_write', [fd, buffer, piece.length]);
    });
  }

  /** Opens, reads, closes. */
  async readFile(path: string): Promise<Uint8Array> {
    const fd = await this.open(path);
    try {
      return await this.read(fd);
    } finally {
      await this.close(fd);
    }
  }

  async readText(path: string): Promise<string> {
    return decoder.decode(await this.readFile(path));
  }

  async readdir(path: string): Promise<DirectoryEntry[]> {
    const fd = await this.open(path);
    try {
      const entries: DirectoryEntry[] = [];
      for (;;) {
        const some = await this.#withBuffer(async (buffer) => {
          const length = await this.#checked('sys_getdents64', [fd, buffer, BUFFER_BYTES]);
          return this.#direntsAt(buffer, length);
        });
        if (some.length === 0) return entries;
        entries.push(...some);
      }
    } finally {
      await this.close(fd);
    }
  }

  async stat(path: string): Promise<FileStatus> {
    if (path.length > PATH_MAX) throw new SystemCallError('sys_newstat', ENAMETOOLONG);
    return this.#withBuffer(async (buffer) => {
      await this.#checked('sys_newstat', [0, buffer, 0], path);
      return this.machine.look(() => {
        const { mode, rdev, size } = kstat.at(buffer);
        return { mode, device: rdev, size };
      });
    });
  }

  async mount(device: string, directory: string, type: string, flags: number): Promise<void> {
    await this.#withBuffer(async (buffer) => {
      this.poke(buffer, encoder.encode(`${type}\0`));
      this.poke(buffer + 256, encoder.encode(`${device}\0`));
      await this.#checked('sys_mount', [buffer + 256, buffer, flags], directory);
    });
  }

  /** An ioctl whose argument is a structure in user memory; answers what the call answers, and the structure afterwards. */
  async ioctl(
    fd: number,
    command: number,
    argument: Uint8Array,
  ): Promise<{ value: number; bytes: Uint8Array }> {
    return this.#withBuffer(async (buffer) => {
      this.poke(buffer, argument);
      const value = await this.#checked('sys_ioctl', [fd, command, buffer]);
      return { value, bytes: this.machine.bus.u8.slice(buffer, buffer + argument.length) };
    });
  }

  /** Bytes of memory that the kernel lent, such as a vCPU's page. */
  peek(address: number, length: number): Uint8Array {
    return this.machine.bus.u8.slice(address, address + length);
  }

  /** Writes memory of the process's own: pages that it asked for. */
  poke(address: number, bytes: Uint8Array): void {
    this.machine.bus.u8.set(bytes, address);
  }

  #direntsAt(buffer: number, length: number): DirectoryEntry[] {
    const { u8 } = this.machine.bus;
    const entries: DirectoryEntry[] = [];
    this.machine.look(() => {
      for (let at = buffer; at < buffer + length;) {
        const { d_reclen, d_type } = linux_dirent64.at(at);
        const name = at + linux_dirent64.offsetof('d_type') + 1;
        entries.push({ name: decoder.decode(u8.slice(name, u8.indexOf(0, name))), type: d_type });
        at += d_reclen;
      }
    });
    return entries;
  }

  /** A piece of work on the process's pages, which one call at a time uses. */
  async #withBuffer<T>(work: (buffer: number) => Promise<T>): Promise<T> {
    return this.#turn(async () => {
      if (this.#buffer === 0) {
        const pages = await this.#call('__get_free_pages', [GFP_KERNEL, BUFFER_ORDER], '');
        if (pages === 0) throw new SystemCallError('__get_free_pages', 12);
        this.#buffer = pages >>> 0;
      }
      return work(this.#buffer);
    });
  }

  /** Gives the process's pages back: it ends. */
  async exit(): Promise<void> {
    if (this.#buffer === 0) return;
    await this.#turn(() => this.#call('free_pages', [this.#buffer, BUFFER_ORDER], ''));
    this.#buffer = 0;
  }

  async #turn<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#last;
    const mine = (async () => {
      await before.catch(() => {});
      return work();
    })();
    this.#last = mine;
    return mine;
  }

  async #checked(symbol: string, args: readonly number[], text = ''): Promise<number> {
    const value = await this.#call(symbol, args, text);
    if (value < 0 && value > -4096) throw new SystemCallError(symbol, -value);
    return value;
  }

  async #call(symbol: string, args: readonly number[], text: string): Promise<number> {
    if (this.machine.config.mode !== 'deterministic') return this.#post(symbol, args, text);
    const before = turns.get(this.machine) ?? Promise.resolve();
    const mine = (async () => {
      await before.catch(() => {});
      return this.#post(symbol, args, text);
    })();
    turns.set(this.machine, mine);
    return mine;
  }

  async #post(symbol: string, args: readonly number[], text: string): Promise<number> {
    if (this.isLost || this.signal?.aborted === true) throw new Interrupted(symbol);
    for (let choice = 0; ; choice++) {
      const allowed = this.#affinity;
      const call = this.machine.call(symbol, {
        cpu: this.#place(),
        args,
        text,
        pid: this.pid,
        comm: this.comm,
        ...(allowed === undefined ? {} : { allowed }),
      });
      try {
        const outcome = await orAborted(call, this.signal);
        if (outcome === undefined) {
          this.isLost = true;
          throw new Interrupted(symbol);
        }
        if (outcome.kind === 'returned') return outcome.value;
        throw new NoReturn(symbol, outcome);
      } catch (error) {
        // The CPU went offline between the look and the call.
        const again = error instanceof SmplabError && error.code === 'SMPLAB_BAD_USAGE';
        if (!again || this.#online(this.#cpu) || choice >= CHOICES_MAX) throw error;
      }
    }
  }

  #online(cpu: number): boolean {
    const exists = Number.isInteger(cpu) && cpu >= 0 && cpu < this.machine.config.possible;
    return exists && this.machine.look(() => cpu_online(cpu));
  }

  /** The CPU it is on, while that is online and allowed; then the first one that is. Without any it may run anywhere again. */
  #place(): number {
    const may = (cpu: number): boolean =>
      this.#online(cpu) && (this.#affinity === undefined || this.#affinity.includes(cpu));
    if (may(this.#cpu)) return this.#cpu;
    const all = Array.from({ length: this.machine.config.possible }, (_, cpu) => cpu);
    let found = all.find(may);
    if (found === undefined) {
      this.#affinity = undefined;
      found = all.find(may) ?? 0;
    }
    this.#cpu = found;
    return found;
  }
}
