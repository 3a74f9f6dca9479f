import { POLICY_WORDS, PolicyWord } from '#base/strategy';
import { seedState, xorshift32 } from '#base/prng';
import { beginChance, draw } from '#scheduler/chance';
import { describe, expect, it } from 'vitest';

describe('draw', () => {
  it.each([1, 2, 3, 7, 1_000, 0x7fff, 0x8000, 0x12345, 0x7fffffff])(
    'is the upper part of a product with %i, however that is reckoned',
    (below) => {
      const words = new Int32Array(POLICY_WORDS);
      words[PolicyWord.SEED] = 0x5eed;
      beginChance(words);
      let state = seedState(0x5eed);
      for (let turn = 0; turn < 2_000; turn++) {
        state = xorshift32(state);
        const bits = BigInt(Math.imul(state, 0x9e3779bb) >>> 0);
        expect(draw(words, below)).toBe(Number((bits * BigInt(below)) >> 32n));
      }
    },
  );
});
