/**
 * The tour: a machine of four AMD CPUs boots, loads kvm-amd, loses a CPU and gets it back, and unloads; with what its
 * trace shows, step by step as the seed text walks it.
 */
import { type WalkView, walk, walkSymbols } from '#machine/walk';
import type { StageReport } from '#machine/walk-report';
import type { MachineConfig } from '#machine/config';
import { svmCpuData } from '#machine/kvm-state';
import type { TraceModel } from '#report/model';
import { type Context, verdictOf } from './boot.ts';
import { ExitCode } from './exit-code.ts';
import { Progress } from './output.ts';
import { bootChapter, loadChapters, offlineChapter, onlineChapter, unloadChapter } from './tour-chapters.ts';
import { raceChapter } from './tour-race.ts';
import { TOUR_CPUS, type TourPage, afterword, foreword, summaryChapter } from './tour-page.ts';

export interface TourOptions {
  readonly seed?: number;
}

function machineOf({ seed }: TourOptions): MachineConfig {
  return {
    cpus: TOUR_CPUS,
    vendor: 'amd',
    trace: 5, // functions and hardware
    ...(seed === undefined ? {} : { mode: 'deterministic', seed }),
  };
}

function pageOf(view: WalkView, context: Context): TourPage {
  const events = view.events();
  const first = events[0]?.sequence ?? 0;
  const { machine } = view;
  const model: TraceModel = {
    events,
    earlier: machine.trace().events.filter(({ sequence }) => sequence < first),
    symbols: walkSymbols,
    cpus: TOUR_CPUS,
    lost: 0,
    log: view.log().map(({ seq, cpu, level, text }) => ({ record: seq, cpu, level, text })),
    findings: machine.findings().records,
  };
  const { paint, width } = context.output;
  return { model, paint, width: Math.min(width, 100), svmData: svmCpuData(machine, 0) };
}

function chapters(stage: StageReport, page: TourPage): string[] {
  switch (stage.stage) {
    case 'boot':
      return bootChapter(page);
    case 'load':
      return loadChapters(page, stage);
    case 'offline':
      return offlineChapter(page, stage);
    case 'online':
      return onlineChapter(page, stage);
    case 'unload':
      return unloadChapter(page, stage);
    default: {
      const unknown: never = stage.stage;
      return [unknown];
    }
  }
}

export async function tour(options: TourOptions, context: Context): Promise<ExitCode> {
  const { output, signal } = context;
  const machine = machineOf(options);
  output.lines(foreword(machine, output.paint));
  const progress = new Progress(6);
  const report = await walk({
    machine,
    signal,
    onStart: (stage) => {
      progress.step(stage);
    },
    onStage: (stage, view) => {
      progress.clear();
      output.lines(chapters(stage, pageOf(view, context)));
    },
  }).finally(() => {
    progress.clear();
  });
  output.lines(summaryChapter(report, output.paint));
  if (!signal.aborted && report.stopped === undefined) {
    progress.step('race');
    const race = await raceChapter(11, output.paint, signal);
    progress.clear();
    output.lines(race);
  }
  output.lines(afterword(report, output.paint));
  return signal.aborted ? ExitCode.INTERRUPTED : verdictOf(report, false);
}
