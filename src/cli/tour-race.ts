/** The tour's last chapter: a race of kvm-54 is looked for in the gallery, found, and shown as the order that makes it. */
import { runCampaign } from '#explore/campaign';
import { compileScenario } from '#explore/compile';
import { galleryScenario } from '#explore/gallery';
import type { ShownRun } from '#explore/shown-run';
import { type CallTreeOptions, callColumns } from '#report/call-tree';
import type { Paint } from '#report/paint';
import { EventType } from '#trace/events';
import { heading } from './tour-page.ts';

const ENTRY = 'broadcast-before-notifier-registered';
/** It takes one or two. All of them missing says that the race is gone. */
const SCHEDULES_MAX = 20_000;
/** Enough to leave no preemption in it. */
const SHRINK_RUNS = 60;

/** The CPU that comes online, and what the chain is called with then. */
const COMES = 2;
const CPU_ONLINE = 2;
const KINDS: ReadonlySet<EventType> = new Set([EventType.FUNCTION_ENTRY, EventType.HOTPLUG]);
const SHOWN: ReadonlySet<string> = new Set([
  'kvm_init',
  'hardware_enable',
  'register_cpu_notifier',
  'raw_notifier_chain_register',
  'cpu_up',
  'notifier_call_chain',
]);
const VIEW: CallTreeOptions = {
  show: SHOWN,
  kinds: KINDS,
  // Of the chain's calls the one that is too early for KVM; of the hotplug milestones those of the CPU that comes.
  keep: ({ event, symbol }) =>
    event.type === EventType.HOTPLUG
      ? event.b === COMES
      : symbol !== 'notifier_call_chain' || event.c === CPU_ONLINE,
};

function picture({ events, symbols, cpus }: ShownRun, paint: Paint): string[] {
  return callColumns({ events, symbols, cpus, lost: 0, log: [], findings: [] }, { ...VIEW, paint });
}

/** @param number of the chapter */
export async function raceChapter(number: number, paint: Paint, signal: AbortSignal): Promise<string[]> {
  const title = heading(number, 'A race: kvm-amd loads while a CPU comes online', paint);
  const { failures, runs } = await runCampaign(await compileScenario(galleryScenario(ENTRY)!), {
    name: ENTRY,
    strategy: 'portfolio',
    runs: SCHEDULES_MAX,
    seed: 1,
    shrinkRuns: SHRINK_RUNS,
    signal,
  });
  const [failure] = failures;
  if (failure?.shown === undefined) return [...title, paint.bad(`Not found in ${runs} schedules.`)];
  return [
    ...title,
    'kvm_init enables every CPU that is online, then registers its notifier, and no lock spans the two.',
    `CPU 2 is off at first, CPU 1 brings it up. Searched schedule by schedule, schedule ${failure.foundAtRun} does it:`,
    ...picture(failure.shown, paint),
    paint.bad(`FOUND  ${failure.title}`),
    'The broadcast was too early for it, its CPU_ONLINE too early for KVM. Closed in 2.6.33. Again:',
    `  smplab replay ${failure.token}`,
  ];
}
