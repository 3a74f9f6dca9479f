/** The commands that run a machine, and those that make a file. */
import { Argument, type Command, Option } from 'commander';
import { COUNTED, WORKLOADS } from '#stress/workloads';
import { type BootOptions, TRACE_FORMATS } from './boot-options.ts';
import {
  type Logged,
  STEPS_MAX,
  SECONDS_MAX,
  fault,
  logLevel,
  machineOptions,
  number,
  seed,
} from './options.ts';
import { collect, powerOfTwo } from './parse.ts';
import type { ShellOptions } from './shell.ts';
import type { StressCommandOptions } from './stress.ts';
import type { TourOptions } from './tour.ts';
import { CONVERSIONS, type TraceOptions } from './trace.ts';

const STRESS_CPUS_MAX = 64;
const STRESS_EVENTS_MAX = 0x10000;
/** Bytes of one CPU's ring at this limit: 32 MiB. */
const TRACE_EVENTS_MAX = 0x100000;

export function addBoot(program: Command, action: (options: BootOptions & Logged) => Promise<void>): void {
  machineOptions(program.command('boot'))
    .description('boot, load kvm, take the last CPU offline and online, unload, power off')
    .addOption(new Option('--trace <format>', 'print the trace').choices([...TRACE_FORMATS]))
    .option('--trace-out <file>', 'write the trace there instead')
    .option('--trace-below <symbol>', 'only what happens while this kernel function runs')
    .addOption(number('--trace-events <n>', 'events kept for each CPU', 1, TRACE_EVENTS_MAX))
    .option('--json', 'one JSON document (smplab.boot/1) on stdout and nothing else')
    .addOption(logLevel())
    .action(action);
}

export function addShell(
  program: Command,
  action: (
    file: string | undefined,
    args: readonly string[],
    options: ShellOptions & Logged,
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

export function addTour(program: Command, action: (options: TourOptions & Logged) => Promise<void>): void {
  program
    .command('tour', { isDefault: true })
    .description('watch a 4-CPU machine boot, load kvm-amd, lose and regain a CPU, and unload')
    .addOption(seed('one CPU at a time, in the order this 32-bit number gives'))
    .addOption(logLevel())
    .action(action);
}

export function addStress(
  program: Command,
  action: (options: StressCommandOptions & Logged) => Promise<void>,
): void {
  program
    .command('stress')
    .description(
      'torment a machine of real threads: hotplug, cross calls, loading, VMs; every event is accounted for',
    )
    .addOption(number('--cpus <n>', 'CPUs, 2 to 64', 2, STRESS_CPUS_MAX).default(8))
    .addOption(new Option('--vendor <vendor>', 'whose CPUs').choices(['amd', 'intel']).default('amd'))
    .addOption(
      new Option('--workload <name>', 'what it does to the machine').choices([...WORKLOADS]).default('mixed'),
    )
    .addOption(number('--ops <n>', 'operations after which it ends', 1, STEPS_MAX))
    .addOption(
      new Option('--of <sort>', 'which operations --ops counts').choices([...COUNTED]).default('all'),
    )
    .addOption(
      number(
        '--time <seconds>',
        'host seconds after which it ends; default 10 without --ops',
        1,
        SECONDS_MAX,
      ),
    )
    .addOption(seed('what chance starts from, 32 bits; drawn if it is not given'))
    .addOption(number('--callers <n>', 'tasks that do it at once', 1, STRESS_CPUS_MAX))
    .addOption(fault())
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

export function addTrace(
  program: Command,
  action: (file: string, options: TraceOptions & Logged) => void,
): void {
  program
    .command('trace')
    .addArgument(new Argument('<action>', 'what to do').choices(['convert']))
    .argument('<file>', 'a trace file: boot --trace raw and replay --view raw write them')
    .description('convert FILE: a trace file (smp-trace/1) in another form')
    .addOption(new Option('--to <form>', 'which').choices([...CONVERSIONS]).makeOptionMandatory())
    .option('--out <file>', 'write it there')
    .addOption(logLevel())
    .action((_action: string, file: string, options: TraceOptions & Logged) => {
      action(file, options);
    });
}

export function addInit(
  program: Command,
  action: (what: string, name: string, options: Logged) => void,
): void {
  program
    .command('init <what> <name>')
    .description('init scenario NAME: a scenario to begin with, and its vitest test, in this folder')
    .addOption(logLevel())
    .action(action);
}
