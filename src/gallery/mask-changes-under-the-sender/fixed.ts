import { scenario } from 'smplab';
import { type call_function_data, csd_unlock } from '../internal/call-function-many.ts';
import broken from './scenario.ts';

export default scenario({
  ...broken,
  patches: {
    ...broken.patches,
    // The copy is what counts: nobody in it, nobody to call, and nobody who would unlock.
    cfd_without_target(data: call_function_data): boolean {
      csd_unlock(data);
      return true;
    },
  },
});
