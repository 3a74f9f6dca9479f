/** Which commands there are. */
import { Command, CommanderError } from 'commander';
import { type Context, boot } from './boot.ts';
import { ExitCode } from './exit-code.ts';
import { explore } from './explore.ts';
import { gallery } from './gallery.ts';
import { init } from './init.ts';
import { litmus } from './litmus.ts';
import { addBoot, addInit, addShell, addStress, addTour, addTrace } from './machine-commands.ts';
import type { Logged } from './options.ts';
import { type Output, makeLogger } from './output.ts';
import { replay } from './replay.ts';
import { addExplore, addGallery, addLitmus, addReplay, addSelfcheck } from './search-commands.ts';
import { selfcheck } from './selfcheck.ts';
import { shell } from './shell.ts';
import { stress } from './stress.ts';
import { tour } from './tour.ts';
import { traceConvert } from './trace.ts';

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
  const context = (options: Logged): Context => ({
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
