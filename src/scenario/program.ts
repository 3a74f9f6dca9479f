/**
 * A scenario's file, loaded: on the host, which checks, and on every CPU thread, which runs. All do the same in the same
 * order, so that addresses of variables and functions agree.
 */
import { runInThisContext } from 'node:vm';
import { arrays } from '#base/callbacks';
import { SmplabError } from '#base/errors';
import { both, hold, notCallable, resumable, turn } from '#base/resumable';
import { clearScenarioImage } from '#memory/image';
import {
  forgetSymbols,
  kernel_function,
  patch,
  symbolAddress,
  symbolCount,
  unpatchAll,
} from '#memory/symbols';
import * as api from './api.ts';
import type { CheckAnswer, Scenario } from './definition.ts';

/** A scenario as it travels: one CommonJS script, everything in it but `smplab`. */
export interface ScenarioSource {
  /** For messages and stacks. */
  readonly file: string;
  readonly code: string;
  /** The same with functions that can be suspended, for CPUs that share a thread. */
  readonly resumable?: string;
  /** Its functions may keep something in the heap from one run to the next. */
  readonly keepsState?: boolean;
  /** Makes the scenario that `code` makes, without reading code: for CPUs that share this thread. */
  readonly make?: () => Scenario;
}

export interface LoadedScenario {
  readonly scenario: Scenario;
  /** By CPU, address of its flow; 0 = none. */
  readonly flows: readonly number[];
  /** In the order of scenario.interrupts. */
  readonly handlers: readonly number[];
  /** Address of the set-up, 0 = none. */
  readonly setup: number;
  /** Takes it out of this thread again. */
  unload(): void;
}

type Wrapper = (
  exports: object,
  require: (name: string) => unknown,
  module: { exports: object },
  process: object,
) => void;

/** Stands for the host's process, which a scenario could end, and ask for what is different in every run. */
const noProcess: object = new Proxy(
  {},
  {
    get(_target, name): never {
      throw new SmplabError(
        'SMPLAB_BAD_SCENARIO',
        `process.${String(name)} is the host's: a scenario has no process`,
      );
    },
  },
);

/**
 * What a scenario imports, as plain properties: a bundle makes a getter of each export, and a scenario asks at every use.
 * Of a prototype V8 takes properties for constants, however many there are.
 */
let door: object | undefined;

function evaluate(source: ScenarioSource): unknown {
  const wrapped = `(function (exports, require, module, process) {${source.resumable ?? source.code}\n})`;
  const require = (name: string): unknown => {
    if (name === 'smplab') return (door ??= Object.create(Object.freeze({ ...api })) as object);
    if (name === 'smplab/resumable') return { resumable, hold, both, turn, notCallable, arrays };
    throw new SmplabError(
      'SMPLAB_BAD_SCENARIO',
      `${source.file} imports ${name}: a scenario may import smplab only`,
    );
  };
  const module = { exports: {} };
  const run = runInThisContext(wrapped, { filename: source.file }) as Wrapper;
  try {
    run(module.exports, require, module, noProcess);
  } catch (error) {
    if (error instanceof SmplabError) throw error;
    throw new SmplabError(
      'SMPLAB_BAD_SCENARIO',
      `${source.file} throws while it is loaded: ${String(error)}`,
    );
  }
  return module.exports;
}

function scenarioOf(source: ScenarioSource, exported: unknown): Scenario {
  const found = (exported as { default?: unknown }).default;
  const isScenario = typeof found === 'object' && found !== null && 'flows' in found;
  if (!isScenario)
    throw new SmplabError('SMPLAB_BAD_SCENARIO', `${source.file} has no default export made by scenario()`);
  return found as Scenario;
}

/** A name no other symbol has. */
function freeName(wanted: string): string {
  if (symbolAddress(wanted) === undefined) return wanted;
  for (let number = 2; ; number++) {
    if (symbolAddress(`${wanted}_${number}`) === undefined) return `${wanted}_${number}`;
  }
}

function declare(wanted: string, body: () => void): number {
  return kernel_function(freeName(wanted), body).addr;
}

function patchAll(source: ScenarioSource, scenario: Scenario): void {
  for (const [name, replacement] of Object.entries(scenario.patches ?? {})) {
    if (symbolAddress(name) === undefined)
      throw new SmplabError(
        'SMPLAB_BAD_SCENARIO',
        `${source.file} patches ${name}: no kernel function is called so`,
      );
    patch(name, replacement);
  }
}

/**
 * Loads a scenario into this thread.
 * @throws SmplabError SMPLAB_BAD_SCENARIO if it is none; whatever the file itself throws
 */
export function loadScenario(source: ScenarioSource): LoadedScenario {
  const before = symbolCount();
  const unload = (): void => {
    unpatchAll();
    forgetSymbols(before);
    clearScenarioImage();
  };
  try {
    const scenario = source.make?.() ?? scenarioOf(source, evaluate(source));
    const declared = new Map<() => void, number>();
    const flows = scenario.flows.map((flow, cpu) => {
      if (flow === undefined) return 0;
      const name = flow.name === '' || /^\d+$/.test(flow.name) ? `cpu${cpu}` : flow.name;
      const address = declared.get(flow) ?? declare(name, flow);
      declared.set(flow, address);
      return address;
    });
    const handlers = (scenario.interrupts ?? []).map((interrupt) =>
      declare('device_interrupt', () => {
        interrupt.handler();
      }),
    );
    const { setup } = scenario;
    const setupAddress = setup === undefined ? 0 : declare('scenario_setup', () => scenario.setup!());
    patchAll(source, scenario);
    return { scenario, flows, handlers, setup: setupAddress, unload };
  } catch (error) {
    unload();
    throw error;
  }
}

/**
 * Makes a check and says what its answer means: undefined if all is well, else what is wrong. A check that throws, or
 * answers something else, has not found that all is well.
 */
export function complaintOf(check: () => CheckAnswer, name: string, otherwise: string): string | undefined {
  let answer: unknown;
  try {
    answer = check();
  } catch (error) {
    return `${name} threw ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`;
  }
  if (answer === undefined || answer === true) return undefined;
  if (answer === false) return otherwise;
  return typeof answer === 'string'
    ? answer
    : `${name} answers true, nothing, false or a text, and this was ${typeof answer} ${JSON.stringify(answer)}`;
}
