/**
 * Chance for policies: one generator in the policy's own words, so that a run is a function of its seed.
 *
 * The generator is xorshift32 (base/prng). Its bits are linear in the seed, so an answer is taken from the high half
 * of its state times an odd constant (Marsaglia's xorshift*), not from the low bits of the state itself.
 */
import { seedState, xorshift32 } from '#base/prng';
import { POLICY_WORDS, PolicyWord } from '#base/strategy';

/** The last word, out of the way of parameters that are longer than the words reserved for them. */
const CHANCE = POLICY_WORDS - 1;

/** To be called first in `begin`: neighbouring seeds give unrelated runs. */
export function beginChance(words: Int32Array): void {
  words[CHANCE] = seedState(words[PolicyWord.SEED]!);
}

/** 32 bits, as a signed number. */
function next(words: Int32Array): number {
  const state = xorshift32(words[CHANCE]!);
  words[CHANCE] = state;
  return Math.imul(state, 0x9e3779bb);
}

/** Uniform in [0, below); `below` from 1 to 2^31. The bias is below `below / 2^32`. */
export function draw(words: Int32Array, below: number): number {
  const drawn = next(words);
  // The upper half of the product. Small numbers need no fractions for it: this is asked at every choice.
  if (below < 0x8000)
    return (Math.imul(drawn >>> 16, below) + (Math.imul(drawn & 0xffff, below) >>> 16)) >>> 16;
  return Math.floor(((drawn >>> 0) / 0x1_0000_0000) * below);
}

/** A priority: uniform in [2^10, 2^30), so that small numbers stay free for priorities below all of these. */
export function drawPriority(words: Int32Array): number {
  return 0x400 + draw(words, 0x4000_0000 - 0x400);
}
