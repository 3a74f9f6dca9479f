/** Where each CPU's lane is, and what is how far down in it. */
import type { PictureModel } from './model.ts';

export const AXIS = 22;
export const MAP = 16;
export const BAND = 11;
export const CALL = 14;
export const MARKS = 20;
const GAP = 6;
/** Deeper calls are not drawn: what matters is near the bottom or in the list. */
const LEVELS_MAX = 14;

export interface Lane {
  readonly cpu: number;
  readonly top: number;
  /** Height of the whole lane. */
  readonly height: number;
  readonly marksTop: number;
  readonly bandsTop: number;
  /** Numbers of the bands that say something of this CPU. */
  readonly bands: readonly number[];
  readonly hasLocks: boolean;
  readonly callsTop: number;
  readonly levels: number;
}

/** Lanes from top to bottom, of the CPUs that do something. */
export function lanesOf(model: PictureModel): Lane[] {
  const lanes: Lane[] = [];
  let top = 0;
  for (const cpu of model.cpus) {
    const levels = Math.min(LEVELS_MAX, model.calls[cpu]?.length ?? 0);
    const hasLocks = model.locks[cpu]!.length > 0;
    const bands = [...model.picture.bands.keys()].filter((band) =>
      model.spans[band]![cpu]!.some(([, , , on]) => on === 1),
    );
    const bandsTop = top + MARKS;
    const callsTop = bandsTop + (bands.length + (hasLocks ? 1 : 0)) * BAND + 2;
    const height = callsTop + levels * CALL + GAP - top;
    lanes.push({ cpu, top, height, marksTop: top, bandsTop, bands, hasLocks, callsTop, levels });
    top += height;
  }
  return lanes;
}

export function laneAt(lanes: readonly Lane[], y: number): Lane | undefined {
  return lanes.find(({ top, height }) => y >= top && y < top + height);
}
