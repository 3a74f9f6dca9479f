/** What a run was doing when it met its step limit: for each flow, the cycle of operations that its last steps repeat. */
import { type Actor, Flow, cpuOf, flowOf } from '#base/strategy';
import {
  OP_WORDS,
  OpFlag,
  OpType,
  OpWord,
  type OperationLog,
  opActor,
  opFlags,
  opType,
} from '#trace/operations';
import { type Finding, RULER, type Surroundings, contextText, stackLines } from './finding.ts';

/** Steps of a flow that are looked at: a cycle longer than a third of them is not seen. */
const STEPS_LOOKED_AT = 3072;
/** Turns a cycle must have made to be called one. */
const TURNS_MIN = 3;

/** One operation of a cycle. */
export interface CycleStep {
  readonly type: OpType;
  readonly address: number;
  readonly variable: string;
  readonly site: number;
  readonly symbol: string;
}

export interface FlowCycle {
  readonly actor: Actor;
  /** In the order of the run. */
  readonly steps: readonly CycleStep[];
  /** Turns seen, counting back from the end of the log. */
  readonly turns: number;
}

export interface LivelockReport {
  readonly title: string;
  readonly cycles: readonly FlowCycle[];
}

/** Records of a flow's last steps, the latest first. */
function lastSteps(log: OperationLog, actor: Actor): number[] {
  const records: number[] = [];
  for (let record = log.records - 1; record >= 0 && records.length < STEPS_LOOKED_AT; record--) {
    const head = log.words[record * OP_WORDS]!;
    const isStep = opType(head) < OpType.EVENT && (opFlags(head) & OpFlag.CONTINUES) === 0;
    if (isStep && opActor(head) === actor) records.push(record);
  }
  return records;
}

function isSameStep({ words }: OperationLog, a: number, b: number): boolean {
  const left = a * OP_WORDS;
  const right = b * OP_WORDS;
  return (
    opType(words[left]!) === opType(words[right]!) &&
    words[left + OpWord.ADDRESS] === words[right + OpWord.ADDRESS] &&
    words[left + OpWord.SITE] === words[right + OpWord.SITE]
  );
}

/**
 * The shortest period of the beginning of `records`, which has to hold for TURNS_MIN turns; 0 if there is none. Linear:
 * `match[p]` is how far the sequence agrees with itself moved by p (Z function, Gusfield 1997).
 */
function shortestPeriod(log: OperationLog, records: readonly number[]): { period: number; turns: number } {
  const match = new Int32Array(records.length);
  let left = 0;
  let right = 0;
  for (let shift = 1; shift < records.length; shift++) {
    let length = shift < right ? Math.min(right - shift, match[shift - left]!) : 0;
    while (shift + length < records.length && isSameStep(log, records[length]!, records[shift + length]!)) {
      length++;
    }
    match[shift] = length;
    if (shift + length > right) {
      left = shift;
      right = shift + length;
    }
    // The first shift that agrees long enough is the shortest period.
    if (length + shift >= TURNS_MIN * shift) {
      return { period: shift, turns: Math.floor(length / shift) + 1 };
    }
  }
  return { period: 0, turns: 0 };
}

/** Where a cycle begins is nobody's choice: at its smallest function and address, so that it reads the same every time. */
function turned(steps: readonly CycleStep[]): CycleStep[] {
  const key = (step: CycleStep): string => `${step.symbol} ${step.variable} ${step.type}`;
  let first = 0;
  for (let at = 1; at < steps.length; at++) if (key(steps[at]!) < key(steps[first]!)) first = at;
  return [...steps.slice(first), ...steps.slice(0, first)];
}

export function describeLivelock(log: OperationLog, around: Surroundings): LivelockReport {
  const cycles: FlowCycle[] = [];
  for (const actor of actorsOf(log)) {
    if (flowOf(actor) === Flow.BUFFER) continue;
    const records = lastSteps(log, actor);
    const { period, turns } = shortestPeriod(log, records);
    if (period === 0) continue;
    const steps = records
      .slice(0, period)
      .toReversed()
      .map((record) => cycleStep(log, record, around));
    cycles.push({ actor, steps: turned(steps), turns });
  }
  const symbols = [...new Set(cycles.flatMap((cycle) => cycle.steps.map((step) => step.symbol)))].toSorted();
  const where = symbols.length === 0 ? 'no flow repeats itself' : symbols.join(', ');
  return { title: `BUG: livelock, the step limit was reached in ${where}`, cycles };
}

function actorsOf(log: OperationLog): Actor[] {
  const seen = new Set<Actor>();
  for (let record = 0; record < log.records; record++) seen.add(opActor(log.words[record * OP_WORDS]!));
  return [...seen].toSorted((a, b) => a - b);
}

function cycleStep(log: OperationLog, record: number, { names }: Surroundings): CycleStep {
  const at = record * OP_WORDS;
  const address = log.words[at + OpWord.ADDRESS]! >>> 0;
  const site = log.words[at + OpWord.SITE]! >>> 0;
  return {
    type: opType(log.words[at]!) as OpType,
    address,
    variable: address === 0 ? '' : names.variable(address),
    site,
    symbol: names.symbol(site),
  };
}

const STEP_WORDS: Readonly<Record<number, string>> = {
  [OpType.LOAD]: 'reads',
  [OpType.STORE]: 'writes',
  [OpType.RMW]: 'reads and writes',
  [OpType.FENCE]: 'full barrier',
  [OpType.ACQUIRE]: 'takes lock',
  [OpType.AWAIT]: 'waited for',
  [OpType.BUFFER]: 'writes (buffered)',
  [OpType.IPI]: 'raises an interrupt',
  [OpType.IRQ_ENTRY]: 'takes an interrupt',
  [OpType.IRQ_EXIT]: 'returns from the interrupt',
  [OpType.IRQ_DROP]: 'drops its interrupts',
  [OpType.IRQ_FLAG]: 'changes the interrupt flag',
  [OpType.TIMEOUT]: 'gives up waiting',
  [OpType.OFFER]: 'asks for another CPU',
  [OpType.TAKE]: 'looks for a task that wants a CPU',
};

export function livelockLines({ title, cycles }: LivelockReport): string[] {
  const lines = [RULER, title];
  for (const { actor, steps, turns } of cycles) {
    lines.push('', `${contextText(actor)} repeats, ${turns} turns and more:`);
    lines.push(
      ...stackLines(
        steps.map(({ symbol, type, variable }) =>
          `${symbol}: ${STEP_WORDS[type] ?? `step ${type}`} ${variable}`.trimEnd(),
        ),
      ),
    );
  }
  lines.push(RULER);
  return lines;
}

/** For a run that ended at its step limit. */
export function livelockFinding(log: OperationLog, around: Surroundings): Finding {
  const report = describeLivelock(log, around);
  const finding = { kind: 'livelock', title: report.title, detail: livelockLines(report).join('\n') };
  const first = report.cycles[0];
  if (first === undefined) return finding;
  return { ...finding, cpu: cpuOf(first.actor), stack: [...new Set(first.steps.map((step) => step.symbol))] };
}
