/**
 * One step of xorshift32 (Marsaglia, "Xorshift RNGs", 2003; triple 13, 17, 5): the only chance in the laboratory.
 * The state is an unsigned 32-bit word that is never 0.
 */
export function xorshift32(state: number): number {
  let x = state | 0;
  x ^= x << 13;
  x ^= x >>> 17;
  x ^= x << 5;
  return x >>> 0;
}

/** Spreads a seed of any 32-bit value, 0 included, to a usable xorshift state (the murmur3 finaliser). */
export function seedState(seed: number): number {
  let h = (seed ^ 0x9e3779b9) >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  h = (h ^ (h >>> 16)) >>> 0;
  return h === 0 ? 0x6d2b79f5 : h;
}
