/** Options that several commands have, and what numbers they take. */
import { type Command, Option } from 'commander';
import { strategyNames } from '#machine/choices';
import { FAULT_HELP, parseFault } from '#machine/fault-text';
import { EXECUTORS } from '#machine/runner';
import { LOG_LEVELS, type LogLevel } from './output.ts';
import { collect, cpuCount, parseQuirk, wholeNumber } from './parse.ts';

export const U32_MAX = 0xffffffff;
export const STEPS_MAX = 0x7fffffff;
export const SECONDS_MAX = 1_000_000;
export const JOBS_MAX = 256;

/** What every command has. */
export interface Logged {
  readonly logLevel: LogLevel;
}

/** An option that takes a whole number. @param flags as commander has them: `--runs <n>` */
export function number(flags: string, description: string, least: number, most: number): Option {
  return new Option(flags, description).argParser(
    wholeNumber(flags.slice(0, flags.indexOf(' ')), least, most),
  );
}

export function seed(description: string): Option {
  return number('--seed <s>', description, 0, U32_MAX);
}

export function fault(): Option {
  return new Option('--fault <spec>', FAULT_HELP).argParser(collect(parseFault));
}

export function logLevel(): Option {
  return new Option('--log-level <level>', 'what the simulator says about itself, on stderr')
    .choices([...LOG_LEVELS])
    .default('warn');
}

export function executor(): Option {
  return new Option(
    '--executor <kind>',
    'CPUs share one thread, or each has its own: same answers, other speed',
  )
    .choices([...EXECUTORS])
    .default('fibers');
}

/** Options that say which machine. */
export function machineOptions(command: Command): Command {
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
    .addOption(seed('deterministic: 32-bit number'))
    .addOption(new Option('--strategy <name>', 'deterministic: who goes next').choices([...strategyNames]))
    .addOption(number('--max-steps <n>', 'deterministic: steps before it is a livelock', 1, STEPS_MAX))
    .addOption(fault())
    .addOption(
      new Option('--quirk <name[@cpu]>', 'a processor or BIOS with a peculiarity').argParser(
        collect(parseQuirk),
      ),
    );
}
