import type { RawQuestion } from './conditions.ts';
import type { RawInitialState } from './initial-state.ts';
import type { Dialect } from './program.ts';
import type { RegisterFile } from './registers.ts';
import type { RawThread } from './table.ts';

/** The parts of a file as they were read, before sizes, types and indices are settled. */
export interface RawProgram {
  readonly file: string;
  readonly dialect: Dialect;
  readonly name: string;
  readonly comment: string | undefined;
  readonly information: readonly (readonly [string, string])[];
  readonly registers: RegisterFile;
  readonly state: RawInitialState;
  readonly threads: readonly RawThread[];
  readonly question: RawQuestion;
}
