/** Names of what lies in memory, for reports. */
import { dataNames } from '#memory/image';
import { functionNames } from '#memory/symbols';
import {
  CONTEXT_BYTES,
  CPU_BLOCK_BYTES,
  ContextWord,
  type Geometry,
  MACHINE_BLOCK,
  MachineWord,
  PERCPU_BYTES,
  PERCPU_TEMPLATE,
} from '#memory/layout';

const ORPHANS = MACHINE_BLOCK + MachineWord.ORPHANS * 4;

/**
 * Name of the variable at an address, or of what else is there.
 * @param data names of static data
 */
export function variableName(
  layout: Geometry,
  data: (address: number) => string | undefined,
  address: number,
): string {
  const area = address - layout.perCpuAreas;
  if (area >= 0 && area < layout.nrPossible * PERCPU_BYTES) {
    const name = data(PERCPU_TEMPLATE + (area % PERCPU_BYTES));
    if (name !== undefined) return `${name} (cpu ${Math.floor(area / PERCPU_BYTES)})`;
  }
  const block = address - layout.cpuBlocks;
  if (block >= 0 && block < layout.nrPossible * CPU_BLOCK_BYTES)
    return `interrupts of cpu ${Math.floor(block / CPU_BLOCK_BYTES)}`;
  const context = address - layout.contexts;
  if (context >= 0 && context < layout.nrPossible * CONTEXT_BYTES) {
    const [cpu, offset] = [Math.floor(context / CONTEXT_BYTES), context % CONTEXT_BYTES];
    return offset === ContextWord.WANTS * 4
      ? `CPUs wanted by cpu ${cpu}'s task`
      : `stack of cpu ${cpu}+${offset}`;
  }
  if (address === ORPHANS) return 'tasks that want a CPU';
  return data(address) ?? `0x${(address >>> 0).toString(16).padStart(8, '0')}`;
}

/** Names of addresses as they are now, for reports that outlive the scenario. */
export interface MachineNames {
  /** Of a function; of no function, something to print. */
  readonly symbol: (address: number) => string;
  readonly variable: (address: number) => string;
  /** Of a function, if the address is one. */
  readonly known: (address: number) => string | undefined;
}

export function namesOf(layout: Geometry): MachineNames {
  const known = functionNames();
  const data = dataNames();
  return {
    symbol: (address) => (address === 0 ? 'the laboratory' : (known(address) ?? `0x${address.toString(16)}`)),
    variable: (address) => variableName(layout, data, address),
    known,
  };
}
