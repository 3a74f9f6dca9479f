/** What a run by code teaches: trees of what its flows did, from the log and from what each CPU did there between. */
import { cpuOf } from '#base/strategy';
import type { FiberBus } from '#memory/fiber-bus';
import { SearchWord } from '#memory/layout';
import { searchWord } from '#memory/search-words';
import { TRAIL_WORDS, type Trail } from '#memory/trail';
import { OP_WORDS, opActor } from '#trace/operations';
import { CpuLesson } from './cpu-lesson.ts';
import type { FlowTree } from './flow-tree.ts';

const RECORDS = searchWord(SearchWord.RECORDS);

export class FlowLessons {
  readonly #log: Int32Array;
  readonly #start: number;
  readonly #lessons: readonly CpuLesson[];

  constructor(tree: FlowTree, bus: FiberBus) {
    this.#log = bus.i32;
    this.#start = bus.core.log.start;
    this.#lessons = Array.from({ length: bus.layout.nrPossible }, (_, cpu) => new CpuLesson(tree, bus, cpu));
  }

  /**
   * Takes in what a run's flows did.
   * @param trails by CPU
   * @returns whether all of it could be told
   * @throws NoFunctionError
   */
  learn(trails: readonly Trail[]): boolean {
    let isWhole = true;
    for (const [cpu, trail] of trails.entries()) if (!this.#learnOf(cpu, trail)) isWhole = false;
    return isWhole;
  }

  /** What one CPU did, as far as it can be told. Answers whether that is all. */
  #learnOf(cpu: number, { events, bytes, lostAt }: Trail): boolean {
    const log = this.#log;
    const lesson = this.#lessons[cpu]!;
    const records = Math.min(log[RECORDS]!, lostAt);
    let event = 0;
    const takeEvents = (record: number): void => {
      // An event comes before the record with its number.
      for (; event < events.length && events[event]! <= record; event += TRAIL_WORDS)
        lesson.event(events[event + 1]!, events[event + 2]!, events[event + 3]!);
    };
    lesson.begin(bytes);
    for (let record = 0; record < records && !lesson.isLost; record++) {
      const at = this.#start + record * OP_WORDS;
      if (cpuOf(opActor(log[at]!)) !== cpu) continue;
      takeEvents(record);
      lesson.record(at);
    }
    takeEvents(records);
    return !lesson.isLost && !this.#goesOn(cpu, records);
  }

  /** Whether a CPU has records from there on: one that is off has none. */
  #goesOn(cpu: number, from: number): boolean {
    const log = this.#log;
    for (let record = from; record < log[RECORDS]!; record++)
      if (cpuOf(opActor(log[this.#start + record * OP_WORDS]!)) === cpu) return true;
    return false;
  }
}
