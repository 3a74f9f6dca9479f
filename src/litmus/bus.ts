import type { RmwOperation } from './alu.ts';
import type { OperandSize, Value } from './program.ts';

/**
 * Memory as a thread sees it. `address` is an offset in bytes into the test's variables, inside them and aligned to
 * `size`. Values are unsigned: numbers up to four bytes, bigints of eight.
 */
export interface LitmusBus {
  load(address: number, size: OperandSize): Value;
  store(address: number, size: OperandSize, value: Value): void;
  /** Atomic and fully ordered, as a locked instruction: drains the store buffer. Answers the value before. */
  rmw(operation: RmwOperation, address: number, size: OperandSize, operand: Value, expected: Value): Value;
  /** mfence. sfence and lfence order nothing that x86-TSO has not ordered already: they do not get here. */
  fence(): void;
}
