/** Whether a run that nobody scheduled can be explained by a memory model: by some order of its operations. */
import { type Execution, type RecordedRun, executionOf } from './execution.ts';
import { type Contradiction, MemoryOrder } from './memory-order.ts';
import { searchOrder } from './order-search.ts';

export interface ExplainOptions {
  readonly model: 'sc' | 'tso';
  /** Whether every operation on a word of memory is in the record: other words are left out. */
  readonly isOurs: (address: number) => boolean;
  /** Orders that are tried in part before it gives up. */
  readonly statesMax?: number;
}

export type Explained =
  /** In this order each event reads what it did. Under tso a store stands where it reaches memory. */
  | { readonly kind: 'explained'; readonly execution: Execution; readonly order: readonly number[] }
  /** What has to come before what goes round in a circle, or somebody read what nobody wrote. */
  | { readonly kind: 'impossible'; readonly execution: Execution; readonly why: Contradiction }
  /** No order does it: all were tried. The attempt that came farthest stopped in front of these. */
  | { readonly kind: 'exhausted'; readonly execution: Execution; readonly stuck: readonly number[] }
  | { readonly kind: 'inconclusive'; readonly states: number };

const STATES_MAX = 100_000;

export function explainRun(
  run: RecordedRun,
  { model, isOurs, statesMax = STATES_MAX }: ExplainOptions,
): Explained {
  const execution = executionOf(run, isOurs);
  const order = new MemoryOrder(execution, model === 'sc');
  const why = order.conclude();
  if (why !== undefined) return { kind: 'impossible', execution, why };
  const answer = searchOrder(order, model === 'sc', statesMax);
  if (answer.order !== undefined) return { kind: 'explained', execution, order: answer.order };
  if (answer.isCut) return { kind: 'inconclusive', states: answer.states };
  return { kind: 'exhausted', execution, stuck: answer.stuck };
}
