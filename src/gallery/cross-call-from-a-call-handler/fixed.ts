import { DEFINE, atomic_inc, atomic_read, atomic_t, expect, scenario, smp_call_function } from 'smplab';
import broken, { ask } from './scenario.ts';

const answers = DEFINE('answers', atomic_t);

export default scenario({
  ...broken,
  patches: {
    // The handler leaves its answer where the asker finds it when the call is over.
    ask(): void {
      atomic_inc(answers);
    },
  },
  on: [
    function ask_everybody(): void {
      smp_call_function(ask, 0, 0, 1);
      expect(atomic_read(answers) === 2, 'somebody has not answered');
    },
  ],
});
