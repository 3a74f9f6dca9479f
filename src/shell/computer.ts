/** The machine that shells run on: switched on, its file systems mounted, and what becomes of it. */
import type { InMemoryFs } from 'just-bash';
import type { Fault, MachineConfig } from '#machine/config';
import { Machine } from '#machine/machine';
import { NoReturn, UserProcess } from '#machine/user-space';
import { type End, MountTable } from './caller.ts';
import { ConsoleWatch } from './console-watch.ts';
import { KernelLog } from './kernel-log.ts';
import { type SharedFile, makeUserRoot } from './user-root.ts';

/** Where a shell's text goes. */
export interface Terminal {
  out(text: string): void;
  err(text: string): void;
}

const FIRST_PID = 1000;

/** Host milliseconds of a system call that works on and on: longer than the watchdogs take to say why. */
const CALL_TIMEOUT_MS = 20_000;

/** TraceMask bits. */
const TRACE_ALL = 7;

/** What `init` mounts: source, directory, type. */
const BOOT_MOUNTS = [
  ['proc', '/proc', 'proc'],
  ['sysfs', '/sys', 'sysfs'],
  ['udev', '/dev', 'tmpfs'],
] as const;

export class Computer {
  readonly config: MachineConfig;
  readonly #faults: readonly Fault[];
  readonly terminal: Terminal;
  readonly root: InMemoryFs;
  machine: Machine;
  log: KernelLog;
  #watch: ConsoleWatch;
  mounts = new MountTable();
  /** What `kvmctl` knows of its VMs: a descriptor, and the address of the guest's memory. */
  vms = new Map<number, number>();
  /** Of its vCPUs: a descriptor, the guest-physical address of its steps, and where that is. */
  vcpus = new Map<number, { readonly guest: number; readonly address: number }>();
  /** How the machine came to its end, if it has. */
  end: End | undefined;
  /** A reboot, halt or power-off that somebody asked for. */
  request: 'reboot' | 'halt' | 'poweroff' | undefined;
  /** What the kernels reported that are gone since. */
  #earlierFindings = 0;
  #nextPid = FIRST_PID;
  /** Told when `end` is set. */
  readonly #onEnd = new Set<() => void>();

  private constructor(
    config: MachineConfig,
    faults: readonly Fault[],
    terminal: Terminal,
    root: InMemoryFs,
    machine: Machine,
  ) {
    this.config = config;
    this.#faults = faults;
    this.terminal = terminal;
    this.root = root;
    this.machine = machine;
    this.log = new KernelLog(machine);
    this.#watch = this.#watchOver(machine);
  }

  #watchOver(machine: Machine): ConsoleWatch {
    return new ConsoleWatch(machine, (line) => {
      this.terminal.err(`[watchdog] ${line}\n`);
    });
  }

  /** @throws SmplabError for a configuration that is unusable or a host that fails */
  static async powerOn(
    config: MachineConfig,
    faults: readonly Fault[],
    terminal: Terminal,
    shared: readonly SharedFile[] = [],
  ): Promise<Computer> {
    const root = await makeUserRoot(shared);
    const computer = new Computer(config, faults, terminal, root, await switchOn(config, faults));
    await computer.#init();
    return computer;
  }

  /** Everything anew but user space's own files. */
  async reboot(): Promise<void> {
    this.#earlierFindings = this.nrFindings;
    this.#watch.stop();
    await this.machine.powerOff();
    this.machine = await switchOn(this.config, this.#faults);
    this.log = new KernelLog(this.machine);
    this.#watch = this.#watchOver(this.machine);
    this.mounts = new MountTable();
    this.vms = new Map();
    this.vcpus = new Map();
    this.end = undefined;
    this.request = undefined;
    await this.#init();
  }

  async powerOff(): Promise<void> {
    this.#watch.stop();
    await this.machine.powerOff();
  }

  newPid(): number {
    return this.#nextPid++;
  }

  /** Reports of the simulated kernel about itself, of all boots. */
  get nrFindings(): number {
    const { records, lost } = this.machine.findings();
    return this.#earlierFindings + records.length + lost + this.#watch.barks;
  }

  /** The machine is not there any more for who makes calls. */
  hasEnded(end: End): void {
    this.end ??= end;
    for (const listener of this.#onEnd) listener();
  }

  onEnd(listener: () => void): () => void {
    this.#onEnd.add(listener);
    return () => this.#onEnd.delete(listener);
  }

  /** What the kernel says to whoever looks at the console. */
  showLog(): void {
    for (const line of this.log.news()) this.terminal.err(`${line}\n`);
  }

  /** The first process: mounts what a distribution mounts. */
  async #init(): Promise<void> {
    const { bootOutcome } = this.machine;
    if (bootOutcome.kind !== 'returned') {
      if (bootOutcome.kind !== 'killed') this.hasEnded(bootOutcome);
      return;
    }
    const init = new UserProcess(this.machine, { pid: 1, comm: 'init' });
    try {
      for (const [source, directory, type] of BOOT_MOUNTS) {
        await init.mount(source, directory, type, 0);
        this.mounts.add(directory);
      }
      await init.exit();
    } catch (error) {
      // An injected failure may hit init as well as anybody.
      if (error instanceof NoReturn && error.outcome.kind !== 'returned' && error.outcome.kind !== 'killed')
        this.hasEnded(error.outcome);
      else this.terminal.err(`init: ${error instanceof Error ? error.message : String(error)}\n`);
    }
  }
}

async function switchOn(config: MachineConfig, faults: readonly Fault[]): Promise<Machine> {
  // Rings are made for a machine that is traced: this one is when somebody asks for it.
  return Machine.powerOn(
    { callTimeoutMs: CALL_TIMEOUT_MS, ...config, trace: TRACE_ALL },
    {
      beforeBoot: (fresh) => {
        fresh.setTraceMask(0);
        fresh.injectFaults(faults);
      },
    },
  );
}
