/**
 * Everything that is linked into the simulated kernel, in link order. Importing this file decides every address: a
 * thread that imports something else first has another image, and its CPU refuses to start.
 */
import '#smp/cpu';
import './page_alloc.ts';
import './torture/scftorture.ts';
import './torture/lkdtm.ts';
