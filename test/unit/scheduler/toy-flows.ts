/** Flows that are lists of operations, played under a policy: what a policy is told, and nothing more. */
import { type Actor, type Choice, POLICY_WORDS, PolicyWord, type Policy } from '#base/strategy';
import { OpType } from '#trace/operations';

export interface ToyOp {
  readonly type: number;
  readonly address: number;
  /** Default true. */
  readonly visible?: boolean;
  /** Whether the operation may go now, given what was played. Default: always. */
  readonly when?: (played: readonly Actor[]) => boolean;
}

export function store(address: number): ToyOp {
  return { type: OpType.STORE, address };
}

/** By actor. */
export type Flows = Readonly<Record<number, readonly ToyOp[]>>;

export interface Played {
  /** The actor of each step. */
  readonly order: readonly Actor[];
  readonly words: Int32Array;
}

const SIZE = 1024;

/** @param parameters go to PolicyWord.PARAMETERS and on, as an executor writes them */
export function play(policy: Policy, flows: Flows, seed: number, parameters: readonly number[] = []): Played {
  const words = new Int32Array(POLICY_WORDS).fill(-1);
  words[PolicyWord.SEED] = seed;
  words.set(parameters, PolicyWord.PARAMETERS);
  policy.begin?.(words);
  const choice = {
    enabled: new Int32Array(SIZE),
    count: 0,
    current: -1,
    step: 0,
    nextHead: new Int32Array(SIZE),
    nextAddress: new Uint32Array(SIZE),
    nextSize: new Int32Array(SIZE),
    nextVisible: new Uint8Array(SIZE),
  } satisfies Choice;
  const actors = Object.keys(flows).map(Number);
  const position = new Map(actors.map((actor) => [actor, 0]));
  const order: Actor[] = [];
  const nextOf = (actor: Actor): ToyOp | undefined => flows[actor]![position.get(actor)!];
  for (;;) {
    choice.count = 0;
    for (const actor of actors) {
      const op = nextOf(actor);
      choice.nextHead[actor] = op?.type ?? 0;
      choice.nextAddress[actor] = op?.address ?? 0;
      choice.nextSize[actor] = op === undefined ? 0 : 4;
      choice.nextVisible[actor] = Number(op?.visible ?? op !== undefined);
      if (op !== undefined && (op.when?.(order) ?? true)) choice.enabled[choice.count++] = actor;
    }
    if (choice.count === 0) return { order, words };
    const actor = choice.count === 1 ? choice.enabled[0]! : policy.choose(words, choice);
    const op = nextOf(actor)!;
    position.set(actor, position.get(actor)! + 1);
    order.push(actor);
    choice.current = actor;
    choice.step++;
    // The actor's next operation is known only after this one.
    const after = nextOf(actor);
    choice.nextHead[actor] = after?.type ?? 0;
    choice.nextAddress[actor] = after?.address ?? 0;
    if (op.visible ?? true) policy.executed?.(words, choice, actor, op.type, op.address, 4);
  }
}

/** How often each order comes, among `runs` seeds from 1: by the order's actors, joined. */
export function orders(
  policy: Policy,
  flows: Flows,
  runs: number,
  parameters: readonly number[] = [],
  of: (played: Played) => string = ({ order }) => order.join(' '),
): Map<string, number> {
  const counts = new Map<string, number>();
  for (let seed = 1; seed <= runs; seed++) {
    const key = of(play(policy, flows, seed, parameters));
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return new Map([...counts].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** Parameters of URW from how many operations each flow has, or those on one word. */
export function countsOf(flows: Flows, address?: number): number[] {
  const counts = Array.from<number>({ length: 256 }).fill(0);
  for (const [actor, ops] of Object.entries(flows))
    counts[Number(actor)] = ops.filter((op) => address === undefined || op.address === address).length;
  return counts;
}
