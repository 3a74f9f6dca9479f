/** The commands that search interleavings, and run again what was found. */
import { availableParallelism } from 'node:os';
import { type Command, Option } from 'commander';
import { STRATEGIES } from '#explore/strategies';
import type { ExploreOptions } from './explore.ts';
import type { GalleryOptions } from './gallery-options.ts';
import type { LitmusOptions } from './litmus.ts';
import {
  JOBS_MAX,
  type Logged,
  SECONDS_MAX,
  STEPS_MAX,
  executor,
  fault,
  logLevel,
  number,
  seed,
} from './options.ts';
import { parseShard } from './parse.ts';
import type { ReplayOptions } from './replay.ts';
import { RUN_VIEWS } from './run-views.ts';
import type { SelfcheckOptions } from './selfcheck.ts';

const DEPTH_MAX = 64;
const RECORDED_MAX = 1_000_000;

export function addExplore(
  program: Command,
  action: (scenario: string, options: ExploreOptions & Logged) => Promise<void>,
): void {
  program
    .command('explore <scenario>')
    .description('search the interleavings of a scenario, a .ts or .js file')
    .addOption(
      new Option('--strategy <name>', 'how to search; dpor proves')
        .choices([...STRATEGIES])
        .default('portfolio'),
    )
    .addOption(number('--depth <d>', 'pct: depth of bugs; preemptions, delays: the last bound', 0, DEPTH_MAX))
    .addOption(number('--runs <n>', 'schedules at most', 1, STEPS_MAX))
    .addOption(number('--time <seconds>', 'host seconds at most', 1, SECONDS_MAX))
    .addOption(seed('what chance starts from, 32 bits').default(1))
    .addOption(new Option('--memory-model <model>', 'which stores are seen when').choices(['sc', 'tso']))
    .addOption(number('--max-steps <n>', 'steps of one schedule before it is cut short', 1, STEPS_MAX))
    .addOption(number('--jobs <n>', 'workers, each on a core of its own', 1, JOBS_MAX).default(1))
    .addOption(number('--core <n>', '', 0, JOBS_MAX).hideHelp())
    .addOption(new Option('--branch <file>').hideHelp())
    .addOption(new Option('--shard <i/n>', 'the i-th of n parts, from 1').argParser(parseShard))
    .addOption(fault())
    .addOption(executor())
    .option('--keep-going', 'look for more after the first failure')
    .option('--json', 'one JSON document (smplab.explore/1) on stdout and nothing else')
    .addOption(logLevel())
    .action(action);
}

export function addReplay(
  program: Command,
  action: (token: string, options: ReplayOptions & Logged) => Promise<void>,
): void {
  program
    .command('replay <token>')
    .description('run the schedule a token stands for, and show it')
    .addOption(new Option('--view <view>', 'how to show it').choices([...RUN_VIEWS]).default('diagram'))
    .addOption(executor())
    .option('--out <file>', 'write the view there')
    .option('--scenario <file>', 'the scenario, if it is not where the token says')
    .option('--tolerant', 'follow the names of operations through edited code; needs the long token')
    .option('--json', 'one JSON document (smplab.replay/1) on stdout and nothing else')
    .addOption(logLevel())
    .action(action);
}

export function addLitmus(
  program: Command,
  action: (files: string[], options: LitmusOptions & Logged) => Promise<void>,
): void {
  program
    .command('litmus <files...>')
    .description("herd's x86 litmus tests, exhausted on the simulated machine")
    .addOption(
      new Option('--memory-model <model>', 'which stores are seen when')
        .choices(['sc', 'tso'])
        .default('tso'),
    )
    .addOption(number('--runs <n>', 'schedules at most for each test', 1, STEPS_MAX))
    .addOption(executor())
    .option('--json', 'one JSON document (smplab.litmus/1) on stdout and nothing else')
    .addOption(logLevel())
    .action(action);
}

export function addGallery(
  program: Command,
  action: (action: string, ids: string[], options: GalleryOptions & Logged) => Promise<void>,
): void {
  program
    .command('gallery [action] [ids...]')
    .description('real races: list (the default), show ID, verify [ID...], chance [ID...]')
    .addOption(
      new Option('--view <view>', 'show: the run that fails, found now, instead of the page').choices(
        RUN_VIEWS.filter((view) => view !== 'raw'),
      ),
    )
    .addOption(seed('verify: what chance starts from, 32 bits').default(1))
    .addOption(number('--seeds <n>', 'verify: so many seeds from there on', 1, STEPS_MAX).default(1))
    .addOption(
      number(
        '--fixed-runs <n>',
        'verify: schedules for each fixed kernel that is not exhausted',
        1,
        STEPS_MAX,
      ),
    )
    .addOption(
      number(
        '--race-runs <n>',
        'verify: schedules of each fixed kernel that are looked at for data races',
        1,
        STEPS_MAX,
      ),
    )
    .addOption(
      number('--runs <n>', 'chance: runs on threads that nobody steers', 1, STEPS_MAX).default(1_000),
    )
    .addOption(
      number(
        '--jobs <n>',
        'verify: so many entries at once, each in a process of its own',
        1,
        JOBS_MAX,
      ).default(availableParallelism(), 'one for each core'),
    )
    .addOption(executor())
    .option('--json', 'one JSON document (smplab.gallery/1) on stdout and nothing else')
    .addOption(logLevel())
    .action((name: string | undefined, ids: string[], options: GalleryOptions & Logged) =>
      action(name ?? 'list', ids, options),
    );
}

export function addSelfcheck(
  program: Command,
  action: (scenarios: string[], options: SelfcheckOptions & Logged) => Promise<void>,
): void {
  program
    .command('selfcheck [scenarios...]')
    .description(
      'run a sample of everything, or these scenarios, on both executors, and compare: fibers search what threads are; ' +
        'and record parallel runs, which the memory model has to explain',
    )
    .addOption(
      number('--time <seconds>', 'host seconds; everything once in any case', 0, SECONDS_MAX).default(60),
    )
    .addOption(seed('what chance starts from, 32 bits').default(1))
    .addOption(
      number(
        '--recorded <runs>',
        'parallel runs of each scenario that are recorded and explained; 0: none',
        0,
        RECORDED_MAX,
      ).default(3),
    )
    .option('--json', 'one JSON document (smplab.selfcheck/1) on stdout and nothing else')
    .addOption(logLevel())
    .action(action);
}
