/** A machine with kvm on it, from the outside: what tests of the built package ask again and again. */
import {
  type CallOutcome,
  type KernelInventory,
  type KvmCpuState,
  Machine,
  type MachineConfig,
  inventoryDifference,
  symbolizeData,
} from 'smplab';

export type Vendor = 'amd' | 'intel';

/** Runs `use` with a machine that is up, and switches it off whatever happens. */
export async function withMachine<T>(
  config: MachineConfig,
  use: (machine: Machine) => Promise<T>,
): Promise<T> {
  const machine = await Machine.powerOn(config);
  try {
    if (machine.bootOutcome.kind !== 'returned')
      throw new Error(`boot: ${JSON.stringify(machine.bootOutcome)}`);
    return await use(machine);
  } finally {
    await machine.powerOff();
  }
}

/** What a call came to: its value, or the word for how else it ended. */
export function valueOf(outcome: CallOutcome): number | CallOutcome['kind'] {
  return outcome.kind === 'returned' ? outcome.value : outcome.kind;
}

export async function insmod(machine: Machine, name: string, cpu = 0): Promise<number | string> {
  return valueOf(await machine.call('sys_init_module', { cpu, text: name }));
}

export async function rmmod(machine: Machine, name: string, cpu = 0): Promise<number | string> {
  return valueOf(await machine.call('sys_delete_module', { cpu, text: name }));
}

export async function cpuDown(machine: Machine, victim: number, cpu = 0): Promise<number | string> {
  return valueOf(await machine.call('cpu_down', { cpu, args: [victim] }));
}

export async function cpuUp(machine: Machine, newcomer: number, cpu = 0): Promise<number | string> {
  return valueOf(await machine.call('cpu_up', { cpu, args: [newcomer] }));
}

/** Throws unless it is 0: for the steps a test needs and does not test. */
export async function succeeds(what: string, result: Promise<number | string>): Promise<void> {
  const value = await result;
  if (value !== 0) throw new Error(`${what}: ${value}`);
}

/** First address of the kernel's static data (memory/layout), and more bytes than there are. */
const STATIC_DATA = 0x6000;
const STATIC_BYTES = 0x20000;

/** Address of a static variable by its name. */
export function variableAddress(name: string): number {
  for (let address = STATIC_DATA; address < STATIC_DATA + STATIC_BYTES; address += 4) {
    if (symbolizeData(address) === name) return address;
  }
  throw new Error(`no static variable is called ${name}`);
}

/** First word of a static variable. */
export function variable(machine: Machine, name: string): number {
  return machine.bus.u32[variableAddress(name) >>> 2]!;
}

/** The state of a CPU as one line, for tables. */
export function describeCpu(state: KvmCpuState): string {
  const { cpu, online, hardwareEnabled, perCpuPointer } = state;
  const owner = perCpuPointer.owner === null ? 'none' : `CPU ${perCpuPointer.owner}'s`;
  const registers =
    'efer' in state
      ? `EFER ${state.efer} VM_HSAVE_PA ${state.vm_hsave_pa === '0x0' ? '0x0' : 'set'}`
      : `FEATURE_CONTROL ${state.feature_control} CR4 ${state.cr4}${state.inVmxRoot ? ' VMX root' : ''}`;
  return `${cpu}: ${online ? 'online' : 'offline'}, ${hardwareEnabled ? 'bit' : 'no bit'}, ${perCpuPointer.name} ${owner}, ${registers}`;
}

const plural = (count: number, what: string): string => (count === 1 ? what : `${count} x ${what}`);

function entriesOf(inventory: KernelInventory): string[] {
  return [
    ...inventory.modules.map(
      ({ name, state, references }) => `module ${name} ${state}, ${references} references`,
    ),
    ...inventory.cpuNotifiers.map(
      ({ function: name, priority }) => `CPU notifier ${name}, priority ${priority}`,
    ),
    ...inventory.rebootNotifiers.map(({ function: name }) => `reboot notifier ${name}`),
    ...inventory.miscDevices.map(({ name, minor }) => `misc device ${name}, minor ${minor}`),
    // 25 statistics: which they are is for the unit tests.
    ...inventory.debugfs.map((path) => {
      const slash = path.lastIndexOf('/');
      return path === 'kvm' ? 'debugfs kvm/' : `debugfs ${path.slice(0, slash + 1)}<file>`;
    }),
    ...inventory.sysdevClasses.map((name) => `sysdev class ${name}`),
    ...inventory.sysdevs.map((name) => `sysdev ${name}`),
    ...inventory.fileSystems.map((name) => `file system ${name}`),
    ...inventory.openFiles.map(({ name }) => `open file ${name}`),
    ...inventory.allocations.map(({ kind, cache, order, allocatedBy }) => {
      if (kind === 'cache') return `cache ${cache}`;
      if (kind === 'slab') return `object of ${allocatedBy}`;
      return `${plural(1 << (order ?? 0), 'page')} of ${allocatedBy}`;
    }),
  ];
}

/** The same lines counted, sorted: `25 x debugfs kvm/<file>`. */
function counted(lines: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1);
  return [...counts].map(([line, count]) => plural(count, line)).toSorted();
}

/** What is there now and was not, and after a minus what was there and is not. */
export function changes(before: KernelInventory, after: KernelInventory): string[] {
  return [
    ...counted(entriesOf(inventoryDifference(before, after))),
    ...counted(entriesOf(inventoryDifference(after, before))).map((line) => `- ${line}`),
  ];
}
