/** How the tour looks: its frame, its headings, the answers to the seed text's questions, and the excerpts of the trace. */
import type { MachineConfig } from '#machine/config';
import type { SvmCpuData } from '#machine/kvm-state';
import { type StageReport, type WalkReport, callName, outcomeText } from '#machine/walk-report';
import { CONTEXT_LEGEND, type CallTreeOptions, callTree } from '#report/call-tree';
import type { TraceModel } from '#report/model';
import type { Paint } from '#report/paint';
import { stateLegend, stateMatrix, stateSentence } from '#report/state-table';

export const TOUR_CPUS = 4;
/** The CPU that goes and comes back. */
export const TOUR_LAST = TOUR_CPUS - 1;
const WIDTH = 100;

/** What a chapter is made from. */
export interface TourPage {
  /** The trace of one stage. */
  readonly model: TraceModel;
  readonly paint: Paint;
  readonly width: number;
  /** CPU 0's, for the answer that names its values. */
  readonly svmData: SvmCpuData | undefined;
}

export function foreword(machine: MachineConfig, paint: Paint): string[] {
  const order =
    machine.mode === 'deterministic'
      ? `One runs at a time, in the order seed ${machine.seed ?? 0} gives: the same on every run.`
      : 'They run at once, so the order of what follows differs from run to run.';
  return [
    paint.strong(
      `smplab tour: KVM of November 2007 (kvm-54) on a simulated machine of ${TOUR_CPUS} AMD CPUs`,
    ),
    `Every CPU is a thread. ${order}`,
    'Each line is one event of the trace, in machine order; each CPU has a column, calls are indented.',
    paint.faint(CONTEXT_LEGEND),
    paint.faint('?? answers a question that the text "A small look inside" (kvm wiki, 2007) leaves open'),
  ];
}

export function heading(number: number, text: string, paint: Paint): string[] {
  const rule = `== ${number}. ${text} `;
  return ['', paint.strong(rule.padEnd(WIDTH, '='))];
}

/** A question the seed text leaves open, and its answer, in one line. */
export function answer(text: string, paint: Paint): string {
  return `${paint.good('??')} ${text}`;
}

/** A part of the trace, without a head line. */
export function excerpt(page: TourPage, options: CallTreeOptions): string[] {
  return callTree(page.model, { paint: page.paint, width: page.width, bare: true, ...options });
}

/** What failed, if anything did: a tour that goes wrong says so where it happens. */
export function failures(stage: StageReport, paint: Paint): string[] {
  return stage.calls
    .filter(({ outcome }) => outcome.kind !== 'returned' || outcome.value !== 0)
    .map((call) => paint.bad(`${callName(call)} on CPU ${call.cpu}: ${outcomeText(call.outcome)}`));
}

/** What one CPU holds after a stage, as one line. */
export function holds(stage: StageReport, cpu: number, paint: Paint): string {
  const state = stage.state[cpu];
  return state === undefined ? '' : `${stateSentence(state, paint)}.`;
}

const TITLES: Readonly<Record<StageReport['stage'], string>> = {
  boot: 'after boot',
  load: 'kvm-amd loaded',
  offline: 'CPU 3 offline',
  online: 'CPU 3 back',
  unload: 'unloaded',
};

export function summaryChapter(report: WalkReport, paint: Paint): string[] {
  const stages = report.stages
    .filter(({ stage }) => stage !== 'boot')
    .map(({ stage, state }) => ({ title: TITLES[stage], cpus: state }));
  const problems = report.problems.map((problem) => paint.bad(`FAILED ${problem}`));
  const left =
    report.leaks.length === 0 ? 'nothing: no page, object, cache, notifier or device' : 'see above';
  return [
    ...heading(10, 'What each CPU held', paint),
    ...stateMatrix(stages, paint),
    ...stateLegend(true).map((line) => paint.faint(line)),
    ...problems,
    ...(report.stopped === undefined
      ? [`Left behind: ${left}.`]
      : [paint.bad(`The tour ended early: ${report.stopped}.`)]),
  ];
}

export function afterword(_report: WalkReport, paint: Paint): string[] {
  return [
    ...heading(12, 'Try next', paint),
    '  smplab gallery list                            real races, each with its fix',
    '  smplab explore vcpu-before-cpu-online          find one of them, with a picture and a token',
    '  smplab boot --vendor intel --trace tree --trace-below vmx_init   what the seed text leaves empty',
    '  smplab boot --fault misc_register=EBUSY        kvm_init fails late; see what its unwinding forgets',
    '  smplab boot --quirk svmdis@2                   a BIOS that disabled SVM on one CPU only: an oops',
    '  smplab boot --mode deterministic --seed 42     the same interleaving, every time',
    '  smplab boot --cpus 16 --trace perfetto --trace-out boot.json   then open it in ui.perfetto.dev',
    '  smplab boot --json                             every call, register and log line, for programs',
  ];
}
