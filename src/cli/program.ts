/** Which commands and options there are. */
import { Command, CommanderError, Option } from 'commander';
import { strategyNames } from '#machine/choices';
import { type Context, boot } from './boot.ts';
import { type BootOptions, TRACE_FORMATS } from './boot-options.ts';
import { ExitCode } from './exit-code.ts';
import { LOG_LEVELS, type LogLevel, type Output, makeLogger } from './output.ts';
import { collect, cpuCount, parseFault, parseQuirk, wholeNumber } from './parse.ts';
import { type TourOptions, tour } from './tour.ts';

const U32_MAX = 0xffffffff;
const STEPS_MAX = 0x7fffffff;
/** Bytes of one CPU's ring at this limit: 32 MiB. */
const TRACE_EVENTS_MAX = 0x100000;

export interface CommandLine {
  readonly program: Command;
  /** Filled when the command has run. */
  readonly result: { code: ExitCode };
}

/** @param output the command's result; @param aside everything else */
export function commandLine(
  version: string,
  output: Output,
  aside: Output,
  signal: AbortSignal,
): CommandLine {
  const result: { code: ExitCode } = { code: ExitCode.GOOD };
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
  addTour(program, async (options) => {
    result.code = await tour(options, context(options));
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

function addBoot(
  program: Command,
  action: (options: BootOptions & { logLevel: LogLevel }) => Promise<void>,
): void {
  program
    .command('boot')
    .description('boot, load kvm, take the last CPU offline and online, unload, power off')
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
      new Option('--seed <s>', 'deterministic: 32-bit number').argParser(wholeNumber('--seed', 0, U32_MAX)),
    )
    .addOption(new Option('--strategy <name>', 'deterministic: who goes next').choices([...strategyNames]))
    .addOption(
      new Option('--max-steps <n>', 'deterministic: steps before it is a livelock').argParser(
        wholeNumber('--max-steps', 1, STEPS_MAX),
      ),
    )
    .addOption(
      new Option(
        '--fault <spec>',
        'nth=N: the N-th allocation since power-on fails; SITE[=ERRNO]: that call fails',
      ).argParser(collect(parseFault)),
    )
    .addOption(
      new Option('--quirk <name[@cpu]>', 'a processor or BIOS with a peculiarity').argParser(
        collect(parseQuirk),
      ),
    )
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
