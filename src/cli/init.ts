/** `smplab init`: a scenario to begin with, and its test, in the current folder. */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import type { Context } from './boot.ts';
import { ExitCode, UsageError } from './exit-code.ts';
import { scenarioTemplate } from './init-template.ts';

const NAME = /^[a-z][a-z0-9_-]*$/i;

export function init(what: string, name: string, { output }: Context): ExitCode {
  if (what !== 'scenario') throw new UsageError(`init ${what}: expected init scenario NAME`);
  if (!NAME.test(name)) {
    throw new UsageError(
      `init scenario ${name}: expected a name of letters, digits, - and _ that begins with a letter; it becomes NAME.ts`,
    );
  }
  const files = scenarioTemplate(name);
  const there = files.find(({ file }) => existsSync(file));
  if (there !== undefined) throw new UsageError(`${there.file} is there already: take another name`);
  const written: string[] = [];
  for (const { file, text } of files) {
    try {
      // Nobody's work is written over, though it came a moment ago.
      writeFileSync(file, text, { flag: 'wx' });
      written.push(file);
    } catch (error) {
      for (const one of written) rmSync(one);
      throw new UsageError(
        `${file}: cannot be written (${(error as NodeJS.ErrnoException).code ?? String(error)})`,
      );
    }
  }
  const [scenario, test] = written as [string, string];
  output.line(`wrote ${scenario} and ${test}: smplab explore ${scenario}, npx vitest run ${test}`);
  return ExitCode.GOOD;
}
