/** `smplab replay`: from a token back to the run it stands for. */
import { SmplabError } from '#base/errors';
import { ScenarioExecutor } from '#machine/scenario-executor';
import type { ExecutorKind } from '#machine/runner';
import { parseFaultPlan } from '#machine/fault-text';
import type { ScenarioSource } from '#machine/scenario';
import { policyNumber } from '#scheduler/policies';
import type { RunFinding, Segment } from './executor.ts';
import { type Explanation, explain } from './explain.ts';
import { identityOf } from './identity.ts';
import { Laboratory } from './laboratory.ts';
import { pinToOneCore } from './pin.ts';
import { replay } from './replay.ts';
import { type ShownRun, showRun } from './shown-run.ts';
import { type TolerantSchedule, decodeLongToken, followTolerant } from './tolerant.ts';
import { type Token, checkTokenFits, decodeToken } from './token.ts';

export interface ReplayReport {
  readonly scenario: string;
  readonly memoryModel: 'sc' | 'tso';
  readonly findings: readonly RunFinding[];
  readonly shown: ShownRun;
  readonly explanation: Explanation | undefined;
  /** Where the run left the token's, or the tolerant one could not follow any more. */
  readonly diverged: string | undefined;
}

const STAY = policyNumber('stay');

/** The token in its parts, before its scenario is known. @throws SmplabError SMPLAB_BAD_TOKEN */
export function readToken(text: string): {
  readonly token: Token;
  readonly names: TolerantSchedule | undefined;
} {
  if (!text.includes('+')) return { token: decodeToken(text), names: undefined };
  const long = decodeLongToken(text);
  return { token: long.token, names: long.schedule };
}

export interface ReplayTokenOptions {
  readonly tolerant?: boolean;
  /** What CPUs run on. Default: fibers. */
  readonly executor?: ExecutorKind | undefined;
}

/**
 * Runs a token's schedule again.
 * @param tolerant follow it by the names of its operations, whatever has changed; else it is refused unless all is as it was
 * @throws SmplabError SMPLAB_BAD_TOKEN
 */
export async function replayToken(
  text: string,
  source: ScenarioSource,
  { tolerant = false, executor: kind }: ReplayTokenOptions = {},
): Promise<ReplayReport> {
  if (kind === 'threads') pinToOneCore();
  const { token, names } = readToken(text);
  const faults = token.faults === undefined ? undefined : parseFaultPlan(token.faults);
  const executor = await ScenarioExecutor.create(source, {
    executor: kind,
    memoryModel: token.memoryModel,
    faults,
    ...((token.stepsMax ?? 0) === 0 ? {} : { stepsMax: token.stepsMax! }),
  });
  try {
    const lab = new Laboratory(executor, executor.loaded.scenario, source);
    if (tolerant) return tolerantReport(lab, token, names);
    checkTokenFits(
      token,
      identityOf(executor, source, token.scenario, {
        memoryModel: token.memoryModel,
        stepsMax: (token.stepsMax ?? 0) === 0 ? undefined : token.stepsMax,
        faults,
      }),
    );
    const { result, divergence } = replay(lab, token, { policy: STAY, names: executor.names });
    return report(lab, token, token.schedule, result.findings, divergence?.message);
  } finally {
    await executor.close();
  }
}

function tolerantReport(lab: Laboratory, token: Token, names: TolerantSchedule | undefined): ReplayReport {
  if (names === undefined) {
    throw new SmplabError(
      'SMPLAB_BAD_TOKEN',
      'replay --tolerant needs the long form of a token (TOKEN+NAMES): smplab explore --json prints it as tokenLong',
    );
  }
  const followed = followTolerant(lab, names, lab.inner.names, STAY);
  const { findings } = followed.result;
  return report(lab, token, followed.prefix, findings, followed.lost?.message);
}

function report(
  lab: Laboratory,
  token: Token,
  schedule: readonly Segment[],
  findings: readonly RunFinding[],
  diverged: string | undefined,
): ReplayReport {
  const [failure] = findings;
  const explanation = failure === undefined ? undefined : explain(lab, schedule, failure, { stay: STAY });
  return {
    scenario: token.scenario,
    memoryModel: token.memoryModel,
    findings,
    shown: showRun(lab, schedule),
    explanation,
    diverged,
  };
}
