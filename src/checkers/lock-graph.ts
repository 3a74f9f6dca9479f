/**
 * What lockdep knows of a whole campaign: classes of locks, which was taken while which was held, and in what interrupt
 * state each was taken. A deadlock that no run has hit shows here as a cycle, or as a lock an interrupt may need while
 * somebody who can be interrupted holds it.
 *
 * @linux kernel/locking/lockdep.c, as of v6.1: classes, dependency chains, usage bits
 * Leaves out: softirqs, nesting subclasses (let `classOf` give such locks names of their own), recursive readers: a
 * reader of an rw_semaphore counts as a writer, because a writer that queues between two readers blocks the second.
 */

/** Something a run showed. A problem exists within one run if that run showed all it rests on. */
export interface Evidence {
  /** Number of the last run that showed it. */
  lastRun: number;
}

/** `to` was taken, or waited for, while `from` was held. */
export interface Dependency extends Evidence {
  readonly from: number;
  readonly to: number;
  /** First seen: CPU and stacks (at least the innermost function) of taking both. */
  readonly cpu: number;
  readonly heldStack: readonly string[];
  readonly takenStack: readonly string[];
}

/** How a class was taken at least once. */
export const Usage = { IN_HARDIRQ: 0, IRQS_ON: 1 } as const;
export type Usage = (typeof Usage)[keyof typeof Usage];

export interface UsageSeen extends Evidence {
  readonly lockClass: number;
  readonly usage: Usage;
  readonly cpu: number;
  readonly stack: readonly string[];
}

/** Lock classes a campaign may have: dependencies are keyed by two of them in one number. */
const CLASSES_MAX = 1 << 16;

export class LockGraph {
  readonly names: string[] = [];
  readonly #classOfName = new Map<string, number>();
  readonly #dependencies = new Map<number, Dependency>();
  /** By class: what was taken while it was held, in the order it was found out. */
  readonly #successors: number[][] = [];
  /** By class: its usages. */
  readonly #usages: (UsageSeen | undefined)[][] = [];

  classNamed(name: string): number {
    const known = this.#classOfName.get(name);
    if (known !== undefined) return known;
    const made = this.names.length;
    if (made === CLASSES_MAX) return made - 1;
    this.names.push(name);
    this.#classOfName.set(name, made);
    this.#successors.push([]);
    this.#usages.push([undefined, undefined]);
    return made;
  }

  dependency(from: number, to: number): Dependency | undefined {
    return this.#dependencies.get(from * CLASSES_MAX + to);
  }

  addDependency(dependency: Dependency): void {
    const { from, to } = dependency;
    this.#dependencies.set(from * CLASSES_MAX + to, dependency);
    this.#successors[from]!.push(to);
  }

  usage(lockClass: number, usage: Usage): UsageSeen | undefined {
    return this.#usages[lockClass]![usage];
  }

  addUsage(seen: UsageSeen): void {
    this.#usages[seen.lockClass]![seen.usage] = seen;
  }

  /**
   * The shortest chain of dependencies from a class to one that `wanted` accepts; undefined if there is none. A chain of
   * length 0 is not asked for here: look at the class itself first.
   */
  shortestPath(start: number, wanted: (lockClass: number) => boolean): Dependency[] | undefined {
    const cameBy = new Map<number, Dependency>();
    const queue = [start];
    for (let at = 0; at < queue.length; at++) {
      const from = queue[at]!;
      for (const to of this.#successors[from]!) {
        if (cameBy.has(to)) continue;
        cameBy.set(to, this.dependency(from, to)!);
        if (wanted(to)) return chainTo(cameBy, start, to);
        queue.push(to);
      }
    }
    return undefined;
  }

  /** As shortestPath, against the arrows: from a class that `wanted` accepts to `end`. */
  shortestPathTo(end: number, wanted: (lockClass: number) => boolean): Dependency[] | undefined {
    let best: Dependency[] | undefined;
    for (let start = 0; start < this.names.length; start++) {
      if (!wanted(start)) continue;
      const path = this.shortestPath(start, (to) => to === end);
      if (path !== undefined && (best === undefined || path.length < best.length)) best = path;
    }
    return best;
  }
}

function chainTo(cameBy: ReadonlyMap<number, Dependency>, start: number, end: number): Dependency[] {
  const chain: Dependency[] = [];
  let at = end;
  do {
    const step = cameBy.get(at)!;
    chain.unshift(step);
    at = step.from;
  } while (at !== start);
  return chain;
}
