/**
 * A part of a campaign, on a thread of its own (explore-jobs.ts): whole machines run on it, their CPUs fibers. What travels
 * back is the part's document, or whose fault it is that there is none.
 */
// First: it decides every address.
import '#machine/link-order';
import { SmplabError } from '#base/errors';
import { type CampaignOptions, runCampaign } from '#explore/campaign';
import { expectedOf } from '#explore/gallery';
import type { ScenarioSource } from '#machine/scenario';
import { type ExploreDocument, exploreDocument } from './explore-document.ts';

/** What travels to it: what is a function is made there again. */
export type JobOptions = Omit<CampaignOptions, 'signal' | 'onProgress' | 'until'>;

export interface JobTask {
  readonly source: ScenarioSource;
  readonly options: JobOptions;
  /** Not 0: come back with what there is. */
  readonly stop: Int32Array;
}

export type JobAnswer =
  | { readonly document: ExploreDocument }
  /** An error as it travels: of its own class only here. */
  | { readonly code: SmplabError['code']; readonly message: string };

/** Named, not default: the pool calls it by its name. */
export async function explorePart({ source, options, stop }: JobTask): Promise<JobAnswer> {
  const ending = new AbortController();
  const look = (): void => {
    // wall: shared-memory: a word of the host's own, job-pool.ts
    if (Atomics.load(stop, 0) !== 0) ending.abort();
  };
  try {
    const report = await runCampaign(source, {
      ...options,
      until: expectedOf(options.name),
      signal: ending.signal,
      onProgress: look,
    });
    return { document: exploreDocument(report, options) };
  } catch (error) {
    if (error instanceof SmplabError) return { code: error.code, message: error.message };
    throw error;
  }
}
