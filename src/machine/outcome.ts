/** What came of a run. */
import { machineWord } from '#memory/base-bus';
import { scenarioImage } from '#memory/image';
import { CpuWord, MachineWord, SearchWord, Status } from '#memory/layout';
import { searchRegion } from '#memory/search';
import { searchWord } from '#memory/search-words';
import { symbolAddress } from '#memory/symbols';
import {
  type BlockedActor,
  type RunFinding,
  type RunResult,
  RunStop,
  type WaitingFlow,
} from '#scheduler/executor';
import { type KnownPlaces, OpType } from '#trace/operations';
import type { Machine } from './machine.ts';

const STEP = machineWord(MachineWord.STEP);
const RECORDS = searchWord(SearchWord.RECORDS);
const SWITCHES = searchWord(SearchWord.SWITCHES);
const DIVERGED_AT = searchWord(SearchWord.DIVERGED_AT);
const SHARED_GREW = searchWord(SearchWord.SHARED_GREW);

/** A run's result. What few ask for is looked up when they do: it holds until the next run. */
export class Outcome implements RunResult {
  readonly stop: RunStop;
  readonly log: RunResult['log'];
  readonly steps: number;
  readonly switches: number;
  readonly divergedAt: number;
  readonly sharedGrew: boolean;
  readonly findings: readonly RunFinding[];
  readonly #machine: Machine;

  /** @param words the operation log @param known where its records come from, of a run without its code */
  constructor(
    machine: Machine,
    words: Int32Array,
    stop: RunStop,
    findings: readonly RunFinding[],
    known?: KnownPlaces,
  ) {
    const { i32 } = machine.bus;
    this.#machine = machine;
    this.stop = stop;
    const sharedGrew = i32[SHARED_GREW] !== 0;
    this.log = {
      words,
      records: i32[RECORDS]!,
      isSettled: !sharedGrew,
      fingerprint: undefined,
      hasFacts: undefined,
      known,
    };
    this.steps = i32[STEP]!;
    this.switches = i32[SWITCHES]!;
    this.divergedAt = i32[DIVERGED_AT]!;
    this.sharedGrew = sharedGrew;
    this.findings = findings;
  }

  get waiting(): readonly WaitingFlow[] {
    return this.stop === RunStop.DEADLOCK ? waitingFlows(this.#machine) : [];
  }

  get blocked(): readonly BlockedActor[] {
    return blockedActors(this.#machine);
  }

  /** The scenario's variables, as the run left them: what two runs of one trace have in common. */
  get finalState(): string {
    const { dataStart, dataEnd } = scenarioImage;
    return this.#machine.bus.i32.subarray(dataStart >>> 2, (dataEnd + 3) >>> 2).join();
  }
}

/** Every flow that is not done, in front of what it cannot do. */
function waitingFlows(machine: Machine): WaitingFlow[] {
  const { layout, bus } = machine;
  const region = searchRegion(layout.nrPossible, layout.heapEnd, layout.logCapacity);
  const word = (offset: number, actor: number): number => bus.i32[((layout.search + offset) >>> 2) + actor]!;
  const stacks = machine.stacks();
  const waiting: WaitingFlow[] = [];
  for (let cpu = 0; cpu < layout.nrPossible; cpu++) {
    const registers = bus.registersOf(cpu);
    const status = registers.get(CpuWord.STATUS);
    if (status !== Status.BLOCKED && status !== Status.READY) continue;
    const actor = cpu * 4 + registers.get(CpuWord.FLOW);
    const head = word(region.nextHead, actor);
    const stack = stacks.find((one) => one.cpu === cpu)?.stack ?? [];
    waiting.push({
      actor,
      type: head & 0xff,
      kind: (head >>> 8) & 7,
      address: word(region.nextAddress, actor) >>> 0,
      size: word(region.nextSize, actor),
      site: stack.length === 0 ? 0 : (symbolAddress(stack[0]!) ?? 0),
      stack,
    });
  }
  return waiting;
}

/** Who stands in front of something that cannot be done now: a taken lock, a condition that does not hold. */
function blockedActors({ layout, bus }: Machine): BlockedActor[] {
  const { i32 } = bus;
  const region = searchRegion(layout.nrPossible, layout.heapEnd, layout.logCapacity);
  const heads = (layout.search + region.nextHead) >>> 2;
  const addresses = (layout.search + region.nextAddress) >>> 2;
  const blocked: BlockedActor[] = [];
  for (let cpu = 0; cpu < layout.nrPossible; cpu++) {
    const { base } = bus.registersOf(cpu);
    const status = i32[base + CpuWord.STATUS]!;
    const actor = cpu * 4 + i32[base + CpuWord.FLOW]!;
    const type = i32[heads + actor]! & 0xff;
    const address = i32[addresses + actor]! >>> 0;
    if (status === Status.BLOCKED || status === Status.IDLE) {
      const ranges: number[] = [];
      for (let index = 0; index < i32[base + CpuWord.WATCH_COUNT]!; index++)
        ranges.push(i32[base + CpuWord.WATCH_LIST + index]! * 4, 4);
      blocked.push({ actor, type: OpType.AWAIT, ranges });
    } else if (status === Status.READY && type === OpType.ACQUIRE && i32[address >>> 2] !== 0) {
      blocked.push({ actor, type, ranges: [address, 4] });
    }
  }
  return blocked;
}
