/**
 * How often chance finds a failure: a scenario run again and again in parallel mode, on real threads that nobody steers. The number
 * that shows why there is a search.
 */
import { SmplabError } from '#base/errors';
import { type ParallelRun, ParallelScenario } from '#machine/parallel-scenario';
import type { ScenarioSource } from '#machine/scenario';

export interface ChanceOptions {
  readonly runs: number;
  readonly signal?: AbortSignal | undefined;
}

/** What unsteered runs came to. */
export interface Chance {
  readonly runs: number;
  /** Runs that did not end well. */
  readonly failed: number;
  /** Of those, by what was seen first: its kind, or how the run ended. */
  readonly kinds: Readonly<Record<string, number>>;
  readonly cpus: number;
  readonly seconds: number;
}

/** Why a run did not end well, or undefined: a kernel that only warned has, and one that restarted the machine. */
function complaintAbout({ end, findings }: ParallelRun): string | undefined {
  return findings.find(({ kind }) => kind !== 'warning')?.kind ?? (end === 'time' ? end : undefined);
}

export async function chanceOf(source: ScenarioSource, { runs, signal }: ChanceOptions): Promise<Chance> {
  const began = performance.now();
  const kinds: Record<string, number> = {};
  let [done, failed, cpus] = [0, 0, 0];
  let machine: ParallelScenario | undefined;
  try {
    while (done < runs) {
      if (signal?.aborted === true) break;
      machine ??= await ParallelScenario.create(source);
      ({ cpus } = machine.loaded.scenario);
      const run = await machine.run().catch((error: unknown) => error);
      if (isLost(run)) {
        // Threads that did not obey were ended with their machine: the next run has another.
        await machine.close();
        machine = undefined;
        continue;
      }
      if (run instanceof Error) throw run;
      done++;
      const kind = complaintAbout(run as ParallelRun);
      if (kind === undefined) continue;
      failed++;
      kinds[kind] = (kinds[kind] ?? 0) + 1;
    }
  } finally {
    await machine?.close();
  }
  return { runs: done, failed, kinds, cpus, seconds: (performance.now() - began) / 1000 };
}

function isLost(run: unknown): boolean {
  return run instanceof SmplabError && run.code === 'SMPLAB_MACHINE_OFF';
}
