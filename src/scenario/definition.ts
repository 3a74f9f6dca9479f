/** What a scenario is: a small program for several CPUs, and what must hold of every run of it. */
import { SmplabError } from '#base/errors';
import { NR_CPUS } from '#base/limits';
import type { QuirkName } from '#memory/firmware';

/** What a check answers: true or nothing if all is well, else what is wrong (false: without saying what). */
export type CheckAnswer = boolean | string | void;

/** A device that interrupts a CPU once, at any moment of the run. */
export interface DeviceInterrupt {
  readonly cpu: number;
  /** Runs in interrupt context: interrupts off, must not sleep. */
  readonly handler: () => void;
}

export interface ScenarioDefinition {
  /** One line for reports. Default: the file's name. */
  readonly name?: string;
  /** CPUs of the machine, at most 16. Default: as many as the scenario uses, at least 2. */
  readonly cpus?: number;
  readonly vendor?: 'amd' | 'intel';
  /** CPUs that are not as the others: CPU -> a quirk of `smplab boot --quirk`. */
  readonly quirks?: Readonly<Record<number, QuirkName>>;
  /** Version of the simulated kernel. There is one so far. */
  readonly kernel?: 'kvm-54';
  /** CPUs brought up at boot; the rest is possible and present, but off. Default: all. */
  readonly online?: number;
  /** Modules loaded before the runs, in order: 'kvm', 'kvm-amd', 'kvm-intel'. */
  readonly modules?: readonly string[];
  /** Runs once on CPU 0, before the state that every run starts from is kept. */
  readonly setup?: () => void;
  /** What CPU n runs: the n-th function, or the function under the key n. */
  readonly on?: readonly (() => void)[] | Readonly<Record<number, () => void>>;
  /** What every CPU runs. */
  readonly each?: () => void;
  /** At most four for each CPU. */
  readonly interrupts?: readonly DeviceInterrupt[];
  /** Livepatches: kernel function -> what it is replaced with. */
  // oxlint-disable-next-line typescript/no-explicit-any -- a function of any signature
  readonly patches?: Readonly<Record<string, (...args: any[]) => any>>;
  /** Must hold when every flow has ended. Plain reads of shared variables; may throw. */
  readonly check?: () => CheckAnswer;
  /** Must hold between any two steps. */
  readonly always?: () => CheckAnswer;
  /** What data races are: failures, reported beside the answer, or not looked for. Default 'fail'. */
  readonly races?: 'fail' | 'report' | 'ignore';
  /** 'fail': what is allocated in a run and not freed by its end is a failure. Default: leaks are not looked for. */
  readonly leaks?: 'fail';
  /** Which stores other CPUs see when. Default 'sc'; the command line may say otherwise. */
  readonly memoryModel?: 'sc' | 'tso';
  /** Steps before a run counts as a livelock. Default 20,000. */
  readonly stepsMax?: number;
}

const CPUS_MAX = 16;

/** A scenario that has been looked at. */
export interface Scenario extends ScenarioDefinition {
  readonly cpus: number;
  /** By CPU: what it runs, if it runs anything. */
  readonly flows: readonly ((() => void) | undefined)[];
}

function bad(message: string): never {
  throw new SmplabError('SMPLAB_BAD_SCENARIO', message);
}

/** Functions that JavaScript goes on with later, when the scheduler has long been told that they ended. */
const LATER: ReadonlySet<string> = new Set(['AsyncFunction', 'GeneratorFunction', 'AsyncGeneratorFunction']);

function checkFunction(what: string, given: unknown): void {
  if (typeof given !== 'function') bad(`${what} is no function`);
  if (LATER.has(Object.prototype.toString.call(given).slice('[object '.length, -1)))
    bad(`${what} is async or a generator: write a plain function, whose operations are its steps`);
}

function oneOf(name: string, value: string, known: readonly string[]): void {
  if (!known.includes(value)) bad(`${name} is ${value}: expected ${known.join(' or ')}`);
}

function flowsOf(definition: ScenarioDefinition): ((() => void) | undefined)[] {
  const { on, each } = definition;
  const flows: ((() => void) | undefined)[] = [];
  if (on !== undefined) {
    for (const [key, flow] of Object.entries(on) as [string, unknown][]) {
      const cpu = Number(key);
      if (!Number.isInteger(cpu) || cpu < 0 || cpu >= CPUS_MAX)
        bad(`on.${key}: expected a CPU from 0 to ${CPUS_MAX - 1}`);
      checkFunction(`on.${key}`, flow);
      flows[cpu] = flow as () => void;
    }
  }
  if (each !== undefined) {
    checkFunction('each', each);
    for (let cpu = 0; cpu < (definition.cpus ?? 2); cpu++) flows[cpu] ??= each;
  }
  return Array.from({ length: flows.length }, (_, cpu) => flows[cpu]);
}

function checkInterrupts(interrupts: readonly DeviceInterrupt[], cpus: number): void {
  const lines = Array.from({ length: cpus }, () => 0);
  for (const [index, { cpu, handler }] of interrupts.entries()) {
    if (!Number.isInteger(cpu) || cpu < 0 || cpu >= cpus)
      bad(`interrupts[${index}].cpu is ${cpu}: expected 0 to ${cpus - 1}`);
    checkFunction(`interrupts[${index}].handler`, handler);
    lines[cpu]! += 1;
    if (lines[cpu]! > 4) bad(`interrupts: CPU ${cpu} has more than four`);
  }
}

/**
 * Declares a scenario; the default export of its file.
 *
 *     export default scenario({ on: [increment, increment], check: () => counter.value === 2 });
 *
 * @throws SmplabError SMPLAB_BAD_SCENARIO, one line that says what is wrong with it
 */
export function scenario(definition: ScenarioDefinition): Scenario {
  if (typeof definition !== 'object' || definition === null) bad('a scenario is an object');
  const flows = flowsOf(definition);
  const interrupts = definition.interrupts ?? [];
  const used = Math.max(flows.length, ...interrupts.map(({ cpu }) => cpu + 1), 1);
  const cpus = definition.cpus ?? Math.max(2, used);
  if (!Number.isInteger(cpus) || cpus < used || cpus > Math.min(CPUS_MAX, NR_CPUS))
    bad(`cpus is ${cpus}: expected ${used} to ${CPUS_MAX}`);
  checkInterrupts(interrupts, cpus);
  if (flows.every((flow) => flow === undefined)) bad('no CPU runs anything: give `on` or `each`');
  for (const name of ['setup', 'check', 'always'] as const) {
    if (definition[name] !== undefined) checkFunction(name, definition[name]);
  }
  const { kernel = 'kvm-54', vendor = 'amd', races = 'fail', memoryModel = 'sc' } = definition;
  oneOf('kernel', kernel, ['kvm-54']);
  oneOf('vendor', vendor, ['amd', 'intel']);
  oneOf('races', races, ['fail', 'report', 'ignore']);
  oneOf('memoryModel', memoryModel, ['sc', 'tso']);
  const online = definition.online ?? cpus;
  if (!Number.isInteger(online) || online < 1 || online > cpus)
    bad(`online is ${online}: expected 1 to ${cpus}`);
  for (let cpu = online; cpu < flows.length; cpu++) {
    if (flows[cpu] !== undefined) bad(`CPU ${cpu} runs something and is not online at the start`);
  }
  return { ...definition, cpus, flows };
}
