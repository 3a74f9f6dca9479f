/** Actors, and how one of them is named. */

/**
 * One flow of control that can be put in front of another. Each CPU has up to four:
 * its main flow, its interrupt flow (which suspends the main flow while it runs), under tso its store buffer, and an interrupt
 * that comes while a handler has interrupts on.
 */
export type Actor = number;

/** Actors are numbered `cpu * ACTORS_PER_CPU + Flow`. */
export const ACTORS_PER_CPU = 4;
export const Flow = { MAIN: 0, INTERRUPT: 1, BUFFER: 2, NESTED: 3 } as const;
export type Flow = (typeof Flow)[keyof typeof Flow];

export function mainActor(cpu: number): Actor {
  return cpu * ACTORS_PER_CPU + Flow.MAIN;
}

export function interruptActor(cpu: number): Actor {
  return cpu * ACTORS_PER_CPU + Flow.INTERRUPT;
}

export function bufferActor(cpu: number): Actor {
  return cpu * ACTORS_PER_CPU + Flow.BUFFER;
}

export function cpuOf(actor: Actor): number {
  return actor >>> 2;
}

export function flowOf(actor: Actor): Flow {
  return (actor & 3) as Flow;
}

/** What a strategy may know when it chooses: the words of the machine, and what every enabled actor would do. */
export interface Choice {
  /** Enabled actors, ascending; `count` of them, never 0. */
  readonly enabled: Int32Array;
  count: number;
  /** Who made the last step; may not be enabled any more. -1 before the first. */
  current: Actor;
  /** Steps made so far in this run. */
  step: number;
  /**
   * What each actor would do next, by actor: OpType | AccessKind << 8, address, bytes. An actor that has not started
   * would START; one whose next step is a choice point for nobody has `nextVisible` 0.
   */
  readonly nextHead: Int32Array;
  readonly nextAddress: Uint32Array;
  readonly nextSize: Int32Array;
  readonly nextVisible: Uint8Array;
}

/**
 * An in-run policy: runs on whoever holds the baton, so its only memory is its words, which are part of the machine's
 * memory. Must not allocate. The same words and the same choices give the same answers.
 */
export interface Policy {
  readonly name: string;
  /** Called once at the start of a run, before the first choice. `words[0]` is the run's seed (never 0). */
  begin?(words: Int32Array): void;
  /** True: asked also where only one actor is enabled, because the answer may be NOBODY. */
  readonly always?: boolean;
  /** True: of a search that is complete only if nothing that decides goes unseen. */
  readonly isExhaustive?: boolean;
  /** Chooses one of `choice.enabled`. Asked only where there is something to choose: count > 1 (see `always`). */
  choose(words: Int32Array, choice: Choice): Actor;
  /**
   * Called after each visible step, if the policy wants to know (POS redraws, sleep sets wake). Same representation as
   * the `next` arrays.
   */
  executed?(
    words: Int32Array,
    choice: Choice,
    actor: Actor,
    head: number,
    address: number,
    size: number,
  ): void;
}

/** Words a policy has for itself. [0] the seed; [1..16) parameters the campaign sets; the rest is its own. */
export const POLICY_WORDS = 1024;
export const PolicyWord = { SEED: 0, PARAMETERS: 1, OWN: 16 } as const;

/** What a policy answers when every enabled actor would only repeat what another run covers: the run ends there. */
export const NOBODY: Actor = -2;
