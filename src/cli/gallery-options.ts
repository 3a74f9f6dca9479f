/** What `smplab gallery` was asked. */
import type { ExecutorKind } from '#machine/runner';
import type { RunView } from './run-views.ts';

export interface GalleryOptions {
  readonly seed: number;
  readonly seeds: number;
  readonly view?: RunView;
  readonly fixedRuns?: number;
  readonly raceRuns?: number;
  readonly runs: number;
  readonly executor: ExecutorKind;
  readonly jobs: number;
  readonly json?: boolean;
}
