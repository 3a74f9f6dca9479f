/**
 * Where the variables of a test are, and what everything starts with.
 *
 * Threads see addresses from VARIABLES_BASE up; a bus gets the offset from there, and whoever runs the test decides where
 * in memory that is. So an address is the same number in every run and on every machine, and the numbers are unlikely
 * ones, so that a final value that is an address can be printed as the variable it belongs to.
 */
import { type Constant, type LitmusProgram, type LitmusVariable, registerSlots } from './program.ts';

export const VARIABLES_BASE = 0x4c69_0000;

/** Each variable has a line of its own: accesses to one never touch another, whatever size they have. */
export const VARIABLE_ALIGN = 16;

export interface LitmusLayout {
  /** Bytes of all variables together, a multiple of VARIABLE_ALIGN. */
  readonly bytes: number;
  /** Variable -> offset in bytes. */
  readonly offsets: ReadonlyMap<string, number>;
}

export function layoutOf(program: LitmusProgram): LitmusLayout {
  const offsets = new Map<string, number>();
  let bytes = 0;
  for (const variable of program.variables) {
    offsets.set(variable.name, bytes);
    bytes += Math.ceil(Math.max(1, bytesOf(variable)) / VARIABLE_ALIGN) * VARIABLE_ALIGN;
  }
  return { bytes, offsets };
}

export function bytesOf(variable: LitmusVariable): number {
  return variable.initial.length * variable.type.size;
}

/** The number behind a constant: itself, or an address. */
export function constantValue(layout: LitmusLayout, constant: Constant): bigint {
  if (constant.symbol === undefined) return constant.value;
  return constant.value + BigInt(VARIABLES_BASE + layout.offsets.get(constant.symbol)!);
}

/** Memory before the first step, `layout.bytes` of it, little-endian. */
export function initialMemory(program: LitmusProgram, layout: LitmusLayout): Uint8Array {
  const memory = new Uint8Array(layout.bytes);
  for (const variable of program.variables) {
    const offset = layout.offsets.get(variable.name)!;
    variable.initial.forEach((constant, element) => {
      const value = BigInt.asUintN(64, constantValue(layout, constant));
      for (let byte = 0; byte < variable.type.size; byte++) {
        memory[offset + element * variable.type.size + byte] = Number((value >> BigInt(8 * byte)) & 0xffn);
      }
    });
  }
  return memory;
}

/** Words of one thread's registers: two for each slot, low word first. */
export function registerWords(program: LitmusProgram): number {
  return registerSlots(program) * 2;
}

/** Registers of a thread before its first instruction. */
export function initialRegisters(program: LitmusProgram, layout: LitmusLayout, thread: number): Int32Array {
  const words = new Int32Array(registerWords(program));
  for (const { thread: of, register, value } of program.initialRegisters) {
    if (of !== thread) continue;
    // A negative int fills its own 32 bits, as it would in a C harness; a 64-bit register it fills whole.
    const bits = BigInt.asUintN(register.size * 8, constantValue(layout, value)) << (register.high ? 8n : 0n);
    words[register.slot * 2] = Number(BigInt.asIntN(32, bits));
    words[register.slot * 2 + 1] = Number(BigInt.asIntN(32, bits >> 32n));
  }
  return words;
}
