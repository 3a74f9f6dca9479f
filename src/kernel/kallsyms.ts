/**
 * Names of kernel functions and addresses. @linux kernel/kallsyms.c, as of 2.6.24
 * Leaves out: data symbols in /proc/kallsyms (memory/image has their names), types other than T.
 */
import { TEXT_BASE, TEXT_STRIDE } from '#memory/layout';
import { symbolizeData } from '#memory/image';
import { NULL, type Ptr } from '#memory/struct';
import { symbolAddress, symbolName, symbolTable } from '#memory/symbols';

/** Address of a kernel function, NULL if there is none of that name. */
export function kallsyms_lookup_name(name: string): Ptr {
  return symbolAddress(name) ?? NULL;
}

/** `name+0x0/0x10` for text, `name` for static data, the bare number for the rest. */
export function sprint_symbol(address: Ptr): string {
  const offset = (address - TEXT_BASE) % TEXT_STRIDE;
  const text = address >= TEXT_BASE ? symbolName(address - offset) : undefined;
  if (text !== undefined) return `${text}+0x${offset.toString(16)}/0x${TEXT_STRIDE.toString(16)}`;
  return symbolizeData(address) ?? `0x${address.toString(16)}`;
}

export interface Kallsym {
  readonly address: Ptr;
  readonly name: string;
}

/** Every kernel function, by address. */
export function kallsyms(): Kallsym[] {
  const symbols: Kallsym[] = [];
  const names = symbolTable();
  for (let index = 0; index < names.length; index++) {
    symbols.push({ address: TEXT_BASE + index * TEXT_STRIDE, name: names[index]! });
  }
  return symbols;
}
