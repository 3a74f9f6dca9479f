/** Which scenario, which version, which configuration: what a token belongs to. */
import { readFileSync } from 'node:fs';
import type { ScenarioExecutor } from '#machine/scenario-executor';
import { type FaultPlan, faultPlanText } from '#machine/fault-text';
import type { ScenarioSource } from '#machine/scenario';
import { crc32 } from './token-bytes.ts';
import type { TokenIdentity } from './token.ts';

let version: string | undefined;

/** smplab's own version. */
export function smplabVersion(): string {
  if (version === undefined) {
    const here = import.meta.url;
    const root = here.slice(0, Math.max(here.lastIndexOf('/dist/'), here.lastIndexOf('/src/')) + 1);
    const text = readFileSync(new URL('package.json', root), 'utf8');
    ({ version } = JSON.parse(text) as { readonly version: string });
  }
  return version;
}

export interface RunSettings {
  readonly memoryModel: 'sc' | 'tso';
  readonly stepsMax: number | undefined;
  readonly faults?: FaultPlan | undefined;
}

/** @param name how a replay finds the scenario: its path, or its id in the gallery */
export function identityOf(
  executor: ScenarioExecutor,
  source: ScenarioSource,
  name: string,
  { memoryModel, stepsMax, faults }: RunSettings,
): TokenIdentity {
  const { scenario } = executor.loaded;
  // The comment at the end is the source map: the same program elsewhere on the disk has another.
  const code = source.code.replace(/\n\/\/# sourceMappingURL=.*\s*$/, '');
  return {
    version: smplabVersion(),
    imageHash: executor.imageHash >>> 0,
    scenario: name,
    scenarioHash: crc32(new TextEncoder().encode(code)) >>> 0,
    cpus: scenario.cpus,
    vendor: scenario.vendor ?? 'amd',
    memoryModel,
    ...(stepsMax === undefined ? {} : { stepsMax }),
    ...(faults === undefined ? {} : { faults: faultPlanText(faults) }),
  };
}
