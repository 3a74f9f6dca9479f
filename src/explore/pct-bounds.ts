/** What a number of PCT runs says about bugs they have not hit. */
import type { MissBound } from './search.ts';

/** Runs with the same parameters. */
interface Group {
  readonly depth: number;
  /** The k they were given. */
  readonly steps: number;
  runs: number;
}

/**
 * A run of PCT(d) with change points among k steps hits a bug of depth d with a probability of at least 1/(n k^(d-1))
 * if no run is longer than k (Burckhardt et al., ASPLOS 2010, theorem 9). Runs are independent, so the chance that all
 * have missed it is at most the product of what each leaves.
 *
 * Runs with a k smaller than the longest run measured promise nothing and are left out. A bug of depth e is one of any
 * greater depth too (add an ordering that holds anyway), so deeper runs count for it, at the greater depth's odds.
 */
export class PctBounds {
  private readonly depthMax: number;
  private readonly groups: Group[] = [];

  constructor(depthMax: number) {
    this.depthMax = depthMax;
  }

  count(depth: number, steps: number): void {
    const group = this.groups.find((one) => one.depth === depth && one.steps === steps);
    if (group === undefined) this.groups.push({ depth, steps, runs: 1 });
    else group.runs++;
  }

  /**
   * @param actors n, as measured
   * @param longest visible steps of the longest run measured
   */
  missed(actors: number, longest: number): MissBound[] {
    const valid = this.groups.filter((group) => group.steps >= longest);
    return Array.from({ length: this.depthMax }, (_, index) => {
      const depth = index + 1;
      let [runs, log] = [0, 0];
      for (const group of valid.filter((one) => one.depth >= depth)) {
        // Summed as logarithms: the odds are small and the runs many.
        log += group.runs * Math.log1p(-hitOdds(actors, group));
        runs += group.runs;
      }
      return { depth, runs, missedAtMost: Math.exp(log) };
    });
  }
}

function hitOdds(actors: number, { depth, steps }: Group): number {
  return 1 / (Math.max(1, actors) * Math.max(1, steps) ** (depth - 1));
}
