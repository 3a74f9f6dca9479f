/**
 * A litmus test as a scenario: each of its threads is what one CPU runs. Its variables are shared memory under their own
 * names; registers are a thread's own, and are left in memory when it ends, so that the final state can be read there.
 */
// First: it decides every address.
import '#kernel/image';
import { assert } from '#base/assert';
import { applyRmw } from '#litmus/alu';
import type { LitmusBus } from '#litmus/bus';
import { runThread } from '#litmus/run-thread';
import {
  type LitmusLayout,
  VARIABLE_ALIGN,
  initialMemory,
  initialRegisters,
  layoutOf,
  registerWords,
} from '#litmus/layout';
import { parseLitmus } from '#litmus/parse';
import type { LitmusProgram, Value } from '#litmus/program';
import { bus } from '#memory/bus';
import { scenarioImage } from '#memory/image';
import { array, u32 } from '#memory/struct';
import { AccessKind } from '#trace/events';
import { type Scenario, scenario } from './definition.ts';
import { fail } from './expect.ts';

/** How a thread ended, as it stands in memory. */
export const LitmusEnd = { DONE: 1, IDLE: 2, LIMIT: 3 } as const;

/** Where a litmus test is in a machine's memory. */
export interface LitmusPlace {
  readonly program: LitmusProgram;
  readonly layout: LitmusLayout;
  /** Address of the first variable. */
  readonly variables: number;
  /** Address of thread 0's registers; the others follow, registerWords() words each. */
  readonly registers: number;
  /** Address of thread 0's LitmusEnd; a word each. */
  readonly ends: number;
}

export interface LitmusScenario extends Scenario {
  readonly litmus: LitmusPlace;
}

const WORD = 4;

/** A test's variables one after the other, each under its name, and what they start as. */
function defineVariables(program: LitmusProgram, layout: LitmusLayout): number {
  const memory = initialMemory(program, layout);
  const offsets = [...layout.offsets.values()];
  let first = -1;
  for (const [name, offset] of layout.offsets) {
    const { addr } = scenarioImage.DEFINE(name, u32, wordAt(memory, offset));
    if (first < 0) first = addr;
    assert(addr === first + offset, `litmusScenario: ${name} is not where the layout says`);
    const end = offsets.find((next) => next > offset) ?? layout.bytes;
    // What is zero needs no name of its own; arrays start as zero.
    let zeroes = offset + WORD;
    for (let at = zeroes; at < end; at += WORD) {
      const value = wordAt(memory, at);
      if (value === 0) continue;
      defineZeroes(name, offset, zeroes, at);
      scenarioImage.DEFINE(`${name}+${at - offset}`, u32, value);
      zeroes = at + WORD;
    }
    defineZeroes(name, offset, zeroes, end);
  }
  if (first >= 0) return first;
  assert(program.variables.length === 0, 'litmusScenario: variables without a place');
  return scenarioImage.DEFINE('no variables', array(u32, VARIABLE_ALIGN / WORD)).addr;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

function defineZeroes(name: string, offset: number, from: number, to: number): void {
  if (to > from) scenarioImage.DEFINE(`${name}+${from - offset}`, array(u32, (to - from) / WORD));
}

/** Accesses of a litmus test are marked ones: it asks what the memory does, not whether the program is well written. */
function busAt(variables: number): LitmusBus {
  return {
    load(offset, size): Value {
      const address = variables + offset;
      if (size === 8) return bus.load64Marked(address, AccessKind.ONCE);
      if (size === 4) return bus.load32Marked(address, AccessKind.ONCE);
      return size === 2 ? bus.load16(address) : bus.load8(address);
    },
    store(offset, size, value): void {
      const address = variables + offset;
      if (size === 8) bus.store64Marked(address, BigInt(value), AccessKind.ONCE);
      else if (size === 4) bus.store32Marked(address, Number(value), AccessKind.ONCE);
      else if (size === 2) bus.store16(address, Number(value));
      else bus.store8(address, Number(value));
    },
    rmw: (operation, offset, size, operand, expected): Value =>
      bus.update<Value>(variables + offset, size, (before) =>
        applyRmw(operation, size, before, operand, expected),
      ),
    fence: () => bus.fence(),
  };
}

function threadOf(place: LitmusPlace, thread: number): () => void {
  const { program, layout, variables } = place;
  const words = registerWords(program);
  const start = initialRegisters(program, layout, thread);
  const memory = busAt(variables);
  return () => {
    // wall: typed-array: a CPU's registers, not memory: they get there when the thread has ended
    const registers = new Int32Array(start);
    const end = runThread(program, thread, memory, registers, layout, registers);
    if (end.kind === 'fault') fail(`P${program.threads[thread]!.proc}: ${end.message}`);
    // Nobody else looks at them before the run is over: not operations of the test.
    // wall: typed-array: the same, as bytes
    bus.storeLocalBytes(place.registers + thread * words * WORD, new Uint8Array(registers.buffer));
    const kind =
      end.kind === 'done' ? LitmusEnd.DONE : end.kind === 'idle' ? LitmusEnd.IDLE : LitmusEnd.LIMIT;
    bus.storeLocal32(place.ends + thread * WORD, kind);
  };
}

/**
 * A scenario of a litmus test.
 * @throws SmplabError SMPLAB_BAD_LITMUS for a text that is none
 */
export function litmusScenario(text: string, file: string): LitmusScenario {
  return scenarioOfProgram(parseLitmus(text, file));
}

/** The same of a test that has been read. */
export function scenarioOfProgram(program: LitmusProgram): LitmusScenario {
  const layout = layoutOf(program);
  const threads = program.threads.length;
  const variables = defineVariables(program, layout);
  const registers = scenarioImage.DEFINE(
    'registers',
    array(u32, Math.max(1, threads * registerWords(program))),
  ).addr;
  const ends = scenarioImage.DEFINE('ends', array(u32, threads)).addr;
  const place: LitmusPlace = { program, layout, variables, registers, ends };
  return {
    ...scenario({
      name: program.name,
      races: 'ignore',
      on: program.threads.map((_, thread) => threadOf(place, thread)),
    }),
    litmus: place,
  };
}
