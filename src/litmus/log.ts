/** Verdicts in herd's log form, and as the objects of `smplab litmus --json`. */
import type { LitmusVerdict, MemoryModel, Observation } from './outcome.ts';
import type { LitmusProgram, Quantifier } from './program.ts';

/** What herd calls a test with this quantifier. */
const KIND: Readonly<Record<Quantifier, string>> = {
  exists: 'Allowed',
  '~exists': 'Forbidden',
  forall: 'Required',
};

/**
 * The block herd prints for a test, without its Time line, which would differ from run to run.
 *
 * `Positive` and `Negative` are about the condition with its quantifier: for `~exists` the executions that avoid the
 * proposition are the positive ones. `Observation` is about the bare proposition.
 * @param incomplete why states may be missing; printed as a line of its own, which herd has not
 */
export function litmusLog(program: LitmusProgram, verdict: LitmusVerdict, incomplete?: string): string {
  const { satisfying, violating } = verdict;
  const avoid = program.quantifier === '~exists';
  const hash = program.information.find(([key]) => key === 'Hash')?.[1];
  const lines = [
    `Test ${verdict.name} ${KIND[program.quantifier]}`,
    `States ${verdict.states.length}`,
    ...verdict.states.map(({ text }) => text),
    verdict.validated ? 'Ok' : 'No',
    'Witnesses',
    `Positive: ${avoid ? violating : satisfying} Negative: ${avoid ? satisfying : violating}`,
    `Condition ${verdict.condition}`,
    `Observation ${verdict.name} ${verdict.observation} ${satisfying} ${violating}`,
  ];
  if (incomplete !== undefined) lines.push(`Incomplete ${verdict.name}: ${incomplete}`);
  if (hash !== undefined) lines.push(`Hash=${hash}`);
  return `${lines.join('\n')}\n`;
}

export interface LitmusJson {
  readonly name: string;
  readonly memoryModel: MemoryModel;
  /** As the log prints them, in the same order. */
  readonly states: readonly string[];
  readonly observation: Observation;
  /** Whether every final state under this model is among `states`. */
  readonly complete: boolean;
  readonly executions: number;
  readonly condition: string;
  /** Whether the condition is met, as the log's Ok or No. */
  readonly validated: boolean;
  readonly positive: number;
  readonly negative: number;
}

/** `positive` and `negative` are the two numbers of the Observation line. */
export function litmusJson(verdict: LitmusVerdict, memoryModel: MemoryModel, complete: boolean): LitmusJson {
  return {
    name: verdict.name,
    memoryModel,
    states: verdict.states.map(({ text }) => text),
    observation: verdict.observation,
    complete,
    executions: verdict.executions,
    condition: verdict.condition,
    validated: verdict.validated,
    positive: verdict.satisfying,
    negative: verdict.violating,
  };
}
