/** C types as init blocks write them, in words; only size and signedness matter here. */
import type { CType, Dialect } from './program.ts';

const FIXED: Readonly<Record<string, CType>> = {
  int8_t: { size: 1, signed: true },
  uint8_t: { size: 1, signed: false },
  int16_t: { size: 2, signed: true },
  uint16_t: { size: 2, signed: false },
  int32_t: { size: 4, signed: true },
  uint32_t: { size: 4, signed: false },
  int64_t: { size: 8, signed: true },
  uint64_t: { size: 8, signed: false },
  atomic_t: { size: 4, signed: true },
  atomic_int: { size: 4, signed: true },
  bool: { size: 1, signed: false },
  _Bool: { size: 1, signed: false },
};

const QUALIFIERS = new Set(['volatile', 'const', 'atomic', '_Atomic', 'ATOMIC']);
const WORDS = new Set(['char', 'short', 'int', 'long', 'signed', 'unsigned']);
const ADDRESS_WORDS = new Set(['intptr_t', 'uintptr_t', 'size_t', 'ptrdiff_t']);

/** Types that nobody wrote are int, as in herd. */
export const INT: CType = { size: 4, signed: true };

/** Whether a word can be part of a type. */
export function isTypeWord(word: string): boolean {
  return word in FIXED || QUALIFIERS.has(word) || WORDS.has(word) || ADDRESS_WORDS.has(word);
}

/** A pointer, and the types as wide as one. */
export function addressType(dialect: Dialect): CType {
  return { size: dialect === 'X86' ? 4 : 8, signed: false };
}

/** The type that these words spell together; undefined if they are none. Pointers are told apart by the caller. */
export function typeOf(words: readonly string[], dialect: Dialect): CType | undefined {
  const rest = words.filter((word) => !QUALIFIERS.has(word));
  if (rest.length === 0) return words.length > 0 ? INT : undefined;
  const [only = ''] = rest;
  if (rest.length === 1 && only in FIXED) return FIXED[only];
  if (rest.length === 1 && ADDRESS_WORDS.has(only)) {
    return { size: addressType(dialect).size, signed: only === 'intptr_t' || only === 'ptrdiff_t' };
  }
  if (!rest.every((word) => WORDS.has(word))) return undefined;
  const signed = !rest.includes('unsigned');
  if (rest.includes('char')) return { size: 1, signed };
  if (rest.includes('short')) return { size: 2, signed };
  const longs = rest.filter((word) => word === 'long').length;
  if (longs > 1 || (longs === 1 && dialect === 'X86_64')) return { size: 8, signed };
  return { size: 4, signed };
}
