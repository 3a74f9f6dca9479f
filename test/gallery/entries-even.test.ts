/** One half of the gallery's entries: see entries.ts. */
import { describeEntries } from './entries.ts';

describeEntries(0);
