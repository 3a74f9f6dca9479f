/** Which commands and options there are. */
import { availableParallelism } from 'node:os';
import { Argument, Command, CommanderError, Option } from 'commander';
import { STRATEGIES } from '#explore/strategies';
import { EXECUTORS } from '#machine/runner';
import { strategyNames } from '#machine/choices';
import { type Context, boot } from './boot.ts';
import { type BootOptions, TRACE_FORMATS } from './boot-options.ts';
import { ExitCode } from './exit-code.ts';
import { LOG_LEVELS, type LogLevel, type Output, makeLogger } from './output.ts';
import { type ExploreOptions, explore } from './explore.ts';
import { gallery } from './gallery.ts';
import type { GalleryOptions } from './gallery-options.ts';
import { init } from './init.ts';
import { collect, cpuCount, parseQuirk, parseShard, powerOfTwo, wholeNumber } from './parse.ts';
import { type LitmusOptions, litmus } from './litmus.ts';
import { type ReplayOptions, replay } from './replay.ts';
import { type SelfcheckOptions, selfcheck } from './selfcheck.ts';
import { RUN_VIEWS } from './run-views.ts';
import { type StressCommandOptions, stress } from './stress.ts';
import { CONVERSIONS, type TraceOptions, traceConvert } from './trace.ts';
import { type ShellOptions, shell } from './shell.ts';
import { type TourOptions, tour } from './tour.ts';
import { FAULT_HELP, parseFault } from '#machine/fault-text';
import { COUNTED, WORKLOADS } from '#stress/workloads';

const U32_MAX = 0xffffffff;
const STEPS_MAX = 0x7fffffff;
const DEPTH_MAX = 64;
const JOBS_MAX = 256;
const SECONDS_MAX = 1_000_000;
const STRESS_CPUS_MAX = 64;
const STRESS_EVENTS_MAX = 0x10000;
const RECORDED_MAX = 1_000_000;
/** Bytes of one CPU's ring at this limit: 32 MiB. */
const TRACE_EVENTS_MAX = 0x100000;

export interface CommandLine {
  readonly program: Command;
  /** Filled when the command has run: an ExitCode, or the status of a script. */
  readonly result: { code: number };
}

/** @param output the command's result; @param aside everything else */
export function commandLine(
  version: string,
  output: Output,
  aside: Output,
  signal: AbortSignal,
): CommandLine {
  const result: { code: number } = { code: ExitCode.GOOD };
  const context = (options: { readonly logLevel: LogLevel }): Context => ({
    output,
    aside,
    logger: makeLogger(options.logLevel),
    signal,
  });
  const program = new Command('smplab')
    .description('A laboratory for SMP kernel concurrency: every CPU is a thread.')
    .version(version)
    .exitOverride()
    .configureOutput({ writeOut: (text) => output.raw(text), writeErr: () => {} })
    .enablePositionalOptions()
    .addHelpText(
      'after',
      '\nWithout a command: the tour. Exit codes: 0 good, 1 the simulated machine failed, 2 unusable\ncommand line, 3 the host failed, 4 a limit was hit, 130 interrupted.',
    );

  addBoot(program, async (options) => {
    result.code = await boot(options, context(options));
  });
  addShell(program, async (file, args, options) => {
    result.code = await shell(file, args, options, context(options));
  });
  addTour(program, async (options) => {
    result.code = await tour(options, context(options));
  });
  addExplore(program, async (scenario, options) => {
    result.code = await explore(scenario, options, context(options));
  });
  addReplay(program, async (token, options) => {
    result.code = await replay(token, options, context(options));
  });
  addLitmus(program, async (files, options) => {
    result.code = await litmus(files, options, context(options));
  });
  addGallery(program, async (action, ids, options) => {
    result.code = await gallery(action, ids, options, context(options));
  });
  addSelfcheck(program, async (scenarios, options) => {
    result.code = await selfcheck(scenarios, options, context(options));
  });
  addTrace(program, (file, options) => {
    result.code = traceConvert(file, options, context(options));
  });
  addStress(program, async (options) => {
    result.code = await stress(options, context(options));
  });
  addInit(program, (what, name, options) => {
    result.code = init(what, name, context(options));
  });
  refuseUnknown(program);
  return { program, result };
}

/** With a default command, commander would take a misspelt command for an argument of that. */
function refuseUnknown(program: Command): void {
  const names = program.commands.map((command) => command.name());
  const words = process.argv.slice(2);
  const asked = words[0] === 'help' ? words[1] : words[0];
  if (asked === undefined || asked.startsWith('-') || names.includes(asked)) return;
  throw new CommanderError(
    2,
    'commander.unknownCommand',
    `unknown command ${asked}: there are ${names.join(', ')}`,
  );
}

function logLevel(): Option {
  return new Option('--log-level <level>', 'what the simulator says about itself, on stderr')
    .choices([...LOG_LEVELS])
    .default('warn');
}

function executor(): Option {
  return new Option(
    '--executor <kind>',
    'CPUs share one thread, or each has its own: same answers, other speed',
  )
    .choices([...EXECUTORS])
    .default('fibers');
}

/** Options that say which machine. */
function machineOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--cpus <n>', 'CPUs online after boot, 1 to 256').argParser(cpuCount('--cpus')).default(4),
    )
    .addOption(new Option('--vendor <vendor>', 'whose CPUs').choices(['amd', 'intel']).default('amd'))
    .addOption(new Option('--possible <n>', 'CPUs there can ever be').argParser(cpuCount('--possible')))
    .addOption(new Option('--present <n>', 'CPUs that are plugged in').argParser(cpuCount('--present')))
    .addOption(new Option('--arch <arch>', 'which x86 kernel').choices(['x86_64', 'i386']).default('x86_64'))
    .option('--slub', 'the SLUB allocator instead of SLAB')
    .addOption(
      new Option('--mode <mode>', 'CPUs run at once, or one at a time in an order made from the seed')
        .choices(['parallel', 'deterministic'])
        .default('parallel'),
    )
    .addOption(
      new Option('--executor <kind>', 'deterministic: CPUs are threads, or share one').choices([
        ...EXECUTORS,
      ]),
    )
    .addOption(
      new Option('--seed <s>', 'deterministic: 32-bit number').argParser(wholeNumber('--seed', 0, U32_MAX)),
    )
    .addOption(new Option('--strategy <name>', 'deterministic: who goes next').choices([...strategyNames]))
    .addOption(
      new Option('--max-steps <n>', 'deterministic: steps before it is a livelock').argParser(
        wholeNumber('--max-steps', 1, STEPS_MAX),
      ),
    )
    .addOption(new Option('--fault <spec>', FAULT_HELP).argParser(collect(parseFault)))
    .addOption(
      new Option('--quirk <name[@cpu]>', 'a processor or BIOS with a peculiarity').argParser(
        collect(parseQuirk),
      ),
    );
}

function addBoot(
  program: Command,
  action: (options: BootOptions & { logLevel: LogLevel }) => Promise<void>,
): void {
  machineOptions(program.command('boot'))
    .description('boot, load kvm, take the last CPU offline and online, unload, power off')
    .addOption(new Option('--trace <format>', 'print the trace').choices([...TRACE_FORMATS]))
    .option('--trace-out <file>', 'write the trace there instead')
    .option('--trace-below <symbol>', 'only what happens while this kernel function runs')
    .addOption(
      new Option('--trace-events <n>', 'events kept for each CPU').argParser(
        wholeNumber('--trace-events', 1, TRACE_EVENTS_MAX),
      ),
    )
    .option('--json', 'one JSON document (smplab.boot/1) on stdout and nothing else')
    .addOption(logLevel())
    .action(action);
}

function addShell(
  program: Command,
  action: (
    file: string | undefined,
    args: readonly string[],
    options: ShellOptions & { logLevel: LogLevel },
  ) => Promise<void>,
): void {
  machineOptions(program.command('shell [file] [arguments...]'))
    .description('a bash on a machine that has booted: a script, -c TEXT, standard input, or you')
    .passThroughOptions()
    .option('-c <text>', 'run this text instead of a file')
    .option('--stdin', 'the script reads standard input, also from a pipe')
    .addOption(
      new Option('--share <folder>', 'scripts see the files in it, under their own names').argParser(
        collect((folder) => folder),
      ),
    )
    .addOption(logLevel())
    .addHelpText(
      'after',
      "\nThe exit status is the script's. Where that is 0 and the simulated kernel has oopsed, warned or hung, it is 1.",
    )
    .action(action);
}

function addExplore(
  program: Command,
  action: (scenario: string, options: ExploreOptions & { logLevel: LogLevel }) => Promise<void>,
): void {
  program
    .command('explore <scenario>')
    .description('search the interleavings of a scenario, a .ts or .js file')
    .addOption(
      new Option('--strategy <name>', 'how to search; dpor proves')
        .choices([...STRATEGIES])
        .default('portfolio'),
    )
    .addOption(
      new Option('--depth <d>', 'pct: depth of bugs; preemptions, delays: the last bound').argParser(
        wholeNumber('--depth', 0, DEPTH_MAX),
      ),
    )
    .addOption(new Option('--runs <n>', 'schedules at most').argParser(wholeNumber('--runs', 1, STEPS_MAX)))
    .addOption(
      new Option('--time <seconds>', 'host seconds at most').argParser(wholeNumber('--time', 1, SECONDS_MAX)),
    )
    .addOption(
      new Option('--seed <s>', 'what chance starts from, 32 bits')
        .argParser(wholeNumber('--seed', 0, U32_MAX))
        .default(1),
    )
    .addOption(new Option('--memory-model <model>', 'which stores are seen when').choices(['sc', 'tso']))
    .addOption(
      new Option('--max-steps <n>', 'steps of one schedule before it is cut short').argParser(
        wholeNumber('--max-steps', 1, STEPS_MAX),
      ),
    )
    .addOption(
      new Option('--jobs <n>', 'processes, each on a core of its own')
        .argParser(wholeNumber('--jobs', 1, JOBS_MAX))
        .default(1),
    )
    .addOption(new Option('--core <n>').argParser(wholeNumber('--core', 0, JOBS_MAX)).hideHelp())
    .addOption(new Option('--branch <file>').hideHelp())
    .addOption(new Option('--shard <i/n>', 'the i-th of n parts, from 1').argParser(parseShard))
    .addOption(new Option('--fault <spec>', FAULT_HELP).argParser(collect(parseFault)))
    .addOption(executor())
    .option('--keep-going', 'look for more after the first failure')
    .option('--json', 'one JSON document (smplab.explore/1) on stdout and nothing else')
    .addOption(logLevel())
    .action(action);
}

function addReplay(
  program: Command,
  action: (token: string, options: ReplayOptions & { logLevel: LogLevel }) => Promise<void>,
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

function addLitmus(
  program: Command,
  action: (files: string[], options: LitmusOptions & { logLevel: LogLevel }) => Promise<void>,
): void {
  program
    .command('litmus <files...>')
    .description("herd's x86 litmus tests, exhausted on the simulated machine")
    .addOption(
      new Option('--memory-model <model>', 'which stores are seen when')
        .choices(['sc', 'tso'])
        .default('tso'),
    )
    .addOption(
      new Option('--runs <n>', 'schedules at most for each test').argParser(
        wholeNumber('--runs', 1, STEPS_MAX),
      ),
    )
    .addOption(executor())
    .option('--json', 'one JSON document (smplab.litmus/1) on stdout and nothing else')
    .addOption(logLevel())
    .action(action);
}

function addGallery(
  program: Command,
  action: (action: string, ids: string[], options: GalleryOptions & { logLevel: LogLevel }) => Promise<void>,
): void {
  program
    .command('gallery [action] [ids...]')
    .description('real races: list (the default), show ID, verify [ID...], chance [ID...]')
    .addOption(
      new Option('--view <view>', 'show: the run that fails, found now, instead of the page').choices(
        RUN_VIEWS.filter((view) => view !== 'raw'),
      ),
    )
    .addOption(
      new Option('--seed <s>', 'verify: what chance starts from, 32 bits')
        .argParser(wholeNumber('--seed', 0, U32_MAX))
        .default(1),
    )
    .addOption(
      new Option('--seeds <n>', 'verify: so many seeds from there on')
        .argParser(wholeNumber('--seeds', 1, STEPS_MAX))
        .default(1),
    )
    .addOption(
      new Option(
        '--fixed-runs <n>',
        'verify: schedules for each fixed kernel that is not exhausted',
      ).argParser(wholeNumber('--fixed-runs', 1, STEPS_MAX)),
    )
    .addOption(
      new Option(
        '--race-runs <n>',
        'verify: schedules of each fixed kernel that are looked at for data races',
      ).argParser(wholeNumber('--race-runs', 1, STEPS_MAX)),
    )
    .addOption(
      new Option('--runs <n>', 'chance: runs on threads that nobody steers')
        .argParser(wholeNumber('--runs', 1, STEPS_MAX))
        .default(1_000),
    )
    .addOption(
      new Option('--jobs <n>', 'verify: so many entries at once, each in a process of its own')
        .argParser(wholeNumber('--jobs', 1, JOBS_MAX))
        .default(availableParallelism(), 'one for each core'),
    )
    .addOption(executor())
    .option('--json', 'one JSON document (smplab.gallery/1) on stdout and nothing else')
    .addOption(logLevel())
    .action((name: string | undefined, ids: string[], options: GalleryOptions & { logLevel: LogLevel }) =>
      action(name ?? 'list', ids, options),
    );
}

function addSelfcheck(
  program: Command,
  action: (scenarios: string[], options: SelfcheckOptions & { logLevel: LogLevel }) => Promise<void>,
): void {
  program
    .command('selfcheck [scenarios...]')
    .description(
      'run a sample of everything, or these scenarios, on both executors, and compare: fibers search what threads are; ' +
        'and record parallel runs, which the memory model has to explain',
    )
    .addOption(
      new Option('--time <seconds>', 'host seconds; everything once in any case')
        .argParser(wholeNumber('--time', 0, SECONDS_MAX))
        .default(60),
    )
    .addOption(
      new Option('--seed <s>', 'what chance starts from, 32 bits')
        .argParser(wholeNumber('--seed', 0, U32_MAX))
        .default(1),
    )
    .addOption(
      new Option(
        '--recorded <runs>',
        'parallel runs of each scenario that are recorded and explained; 0: none',
      )
        .argParser(wholeNumber('--recorded', 0, RECORDED_MAX))
        .default(3),
    )
    .option('--json', 'one JSON document (smplab.selfcheck/1) on stdout and nothing else')
    .addOption(logLevel())
    .action(action);
}

function addTrace(
  program: Command,
  action: (file: string, options: TraceOptions & { readonly logLevel: LogLevel }) => void,
): void {
  program
    .command('trace')
    .addArgument(new Argument('<action>', 'what to do').choices(['convert']))
    .argument('<file>', 'a trace file: boot --trace raw and replay --view raw write them')
    .description('convert FILE: a trace file (smp-trace/1) in another form')
    .addOption(new Option('--to <form>', 'which').choices([...CONVERSIONS]).makeOptionMandatory())
    .option('--out <file>', 'write it there')
    .addOption(logLevel())
    .action((_action: string, file: string, options: TraceOptions & { readonly logLevel: LogLevel }) => {
      action(file, options);
    });
}

function addStress(
  program: Command,
  action: (options: StressCommandOptions & { logLevel: LogLevel }) => Promise<void>,
): void {
  program
    .command('stress')
    .description(
      'torment a machine of real threads: hotplug, cross calls, loading, VMs; every event is accounted for',
    )
    .addOption(
      new Option('--cpus <n>', 'CPUs, 2 to 64')
        .argParser(wholeNumber('--cpus', 2, STRESS_CPUS_MAX))
        .default(8),
    )
    .addOption(new Option('--vendor <vendor>', 'whose CPUs').choices(['amd', 'intel']).default('amd'))
    .addOption(
      new Option('--workload <name>', 'what it does to the machine').choices([...WORKLOADS]).default('mixed'),
    )
    .addOption(
      new Option('--ops <n>', 'operations after which it ends').argParser(wholeNumber('--ops', 1, STEPS_MAX)),
    )
    .addOption(
      new Option('--of <sort>', 'which operations --ops counts').choices([...COUNTED]).default('all'),
    )
    .addOption(
      new Option('--time <seconds>', 'host seconds after which it ends; default 10 without --ops').argParser(
        wholeNumber('--time', 1, SECONDS_MAX),
      ),
    )
    .addOption(
      new Option('--seed <s>', 'what chance starts from, 32 bits; drawn if it is not given').argParser(
        wholeNumber('--seed', 0, U32_MAX),
      ),
    )
    .addOption(
      new Option('--callers <n>', 'tasks that do it at once').argParser(
        wholeNumber('--callers', 1, STRESS_CPUS_MAX),
      ),
    )
    .addOption(new Option('--fault <spec>', FAULT_HELP).argParser(collect(parseFault)))
    .addOption(
      new Option('--trace-events <n>', 'latest events kept for each CPU, a power of two; 0: no trace')
        .argParser(powerOfTwo('--trace-events', STRESS_EVENTS_MAX))
        .default(256),
    )
    .option('--fixed', 'with livepatches that mend what hotplug breaks in kvm-54')
    .option('--patches <scenario>', 'with the livepatches of a scenario: a file, or a gallery id')
    .option('--trace-folder <folder>', 'where the traces of findings go; default: here')
    .option('--report <form>', 'html[=FILE]: rate and latency over time, findings and books as a page')
    .option('--json', 'one JSON document (smplab.stress/1) on stdout and nothing else')
    .addOption(logLevel())
    .action(action);
}

function addInit(
  program: Command,
  action: (what: string, name: string, options: { readonly logLevel: LogLevel }) => void,
): void {
  program
    .command('init <what> <name>')
    .description('init scenario NAME: a scenario to begin with, and its vitest test, in this folder')
    .addOption(logLevel())
    .action(action);
}

function addTour(
  program: Command,
  action: (options: TourOptions & { logLevel: LogLevel }) => Promise<void>,
): void {
  program
    .command('tour', { isDefault: true })
    .description('watch a 4-CPU machine boot, load kvm-amd, lose and regain a CPU, and unload')
    .addOption(
      new Option('--seed <s>', 'one CPU at a time, in the order this 32-bit number gives').argParser(
        wholeNumber('--seed', 0, U32_MAX),
      ),
    )
    .addOption(logLevel())
    .action(action);
}
