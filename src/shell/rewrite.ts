/**
 * What a script is turned into before just-bash runs it, so that it does what bash would do with a kernel's files:
 *
 * - `COMMAND > FILE` opens the file first, and does not run the command if that fails; when the command is done the file is
 *   closed, and a write that the kernel refused is the command's failure, in bash's words;
 * - `COMMAND &` starts a job of its own, at the same time, and `$!` is its number;
 * - `eval`, `source` and a script that is called by its path are rewritten in their turn;
 * - a loop gives the host a moment at each round, so that it can be interrupted;
 * - where the script is the outermost one, each statement's output is printed when the statement ends, and not at the end of all.
 */
import type { CommandNode, ScriptNode, StatementNode, WordNode } from 'just-bash';
import { justBash } from './just-bash.ts';

type PipelineNode = StatementNode['pipelines'][number];
type SimpleCommandNode = Extract<CommandNode, { type: 'SimpleCommand' }>;
type GroupNode = Extract<CommandNode, { type: 'Group' }>;
type RedirectionNode = SimpleCommandNode['redirections'][number];
type WordPart = WordNode['parts'][number];

/** Names of the commands that a rewritten script calls (commands/plumbing.ts). */
export const Plumbing = {
  OPEN: '__smplab_open',
  CLOSE: '__smplab_close',
  TICK: '__smplab_tick',
  JOB: '__smplab_job',
  EXIT: '__smplab_exit',
  SAVE: '__smplab_save',
  REWRITE: '__smplab_rewrite',
  STAGE: '__smplab_stage',
  PROGRAM: '__smplab_program',
  TRAP: '__smplab_trap',
  SET_TRAP: '__smplab_set_trap',
  ENTER: '__smplab_enter',
  LEAVE: '__smplab_leave',
  WAIT: '__smplab_wait',
  DEVICE: '__smplab_device',
} as const;

/** Files that stand for the shell's own output: what is written there is printed at once. */
export const CONSOLE_OUT = '/dev/.stdout';
export const CONSOLE_ERR = '/dev/.stderr';

/** Variables that a rewritten script uses. */
const TARGET = '__smplab_target';
const STATUS = '__smplab_status';
export const LAST_JOB = '__smplab_last_job';

/** Statements that run as jobs, by number: their text. */
export interface JobTexts {
  add(text: string): number;
}

export interface RewriteOptions {
  readonly jobs: JobTexts;
  /** Print each statement's output as it comes. */
  readonly live: boolean;
  /** Its end is the shell's: what was trapped runs there. */
  readonly isWhole: boolean;
}

function literal(text: string): WordNode {
  return { type: 'Word', parts: [{ type: 'Literal', value: text }] };
}

function quoted(text: string): WordNode {
  return { type: 'Word', parts: [{ type: 'SingleQuoted', value: text }] };
}

function variable(name: string): WordNode {
  const value: WordPart = { type: 'ParameterExpansion', parameter: name, operation: null };
  return { type: 'Word', parts: [{ type: 'DoubleQuoted', parts: [value] }] };
}

function simple(
  name: string,
  args: readonly WordNode[],
  line: number | undefined,
  redirections: readonly RedirectionNode[] = [],
): SimpleCommandNode {
  return {
    type: 'SimpleCommand',
    assignments: [],
    name: literal(name),
    args: [...args],
    redirections: [...redirections],
    ...(line === undefined ? {} : { line }),
  };
}

function pipeline(command: CommandNode): PipelineNode {
  return { type: 'Pipeline', commands: [command], negated: false };
}

function statement(...commands: readonly CommandNode[]): StatementNode {
  return {
    type: 'Statement',
    pipelines: commands.map(pipeline),
    operators: commands.slice(1).map(() => '&&' as const),
    background: false,
  };
}

function group(body: readonly StatementNode[], redirections: readonly RedirectionNode[] = []): GroupNode {
  return { type: 'Group', body: [...body], redirections: [...redirections] };
}

/** A word's text if nothing in it is expanded. */
function literalText(word: WordNode | null): string | undefined {
  let text = '';
  for (const part of word?.parts ?? []) {
    if (part.type !== 'Literal' && part.type !== 'SingleQuoted' && part.type !== 'Escaped') return undefined;
    text += part.value;
  }
  return word === null ? undefined : text;
}

const OUTPUT = new Set(['>', '>>', '>|', '&>', '&>>']);

/** Whether a redirection opens a file to be written; null and the console are everybody's. */
function opensFile(redirection: RedirectionNode): redirection is RedirectionNode & { target: WordNode } {
  const { operator, target } = redirection;
  if (target.type !== 'Word') return false;
  const text = literalText(target);
  if (operator === '>&') return text !== undefined && !/^(?:\d+-?|-)$/.test(text);
  return OUTPUT.has(operator) && text !== '/dev/null' && text !== CONSOLE_OUT && text !== CONSOLE_ERR;
}

/** The statements of a compound command, list by list, to be replaced. */
function bodies(command: CommandNode): { get: StatementNode[]; set: (body: StatementNode[]) => void }[] {
  switch (command.type) {
    case 'If': {
      const lists = command.clauses.flatMap((clause) => [
        { get: clause.condition, set: (body: StatementNode[]) => void (clause.condition = body) },
        { get: clause.body, set: (body: StatementNode[]) => void (clause.body = body) },
      ]);
      if (command.elseBody === null) return lists;
      return [...lists, { get: command.elseBody, set: (body) => void (command.elseBody = body) }];
    }
    case 'While':
    case 'Until':
      return [
        { get: command.condition, set: (body) => void (command.condition = body) },
        { get: command.body, set: (body) => void (command.body = body) },
      ];
    case 'Case':
      return command.items.map((item) => ({ get: item.body, set: (body) => void (item.body = body) }));
    case 'For':
    case 'CStyleFor':
    case 'Subshell':
    case 'Group':
      return [{ get: command.body, set: (body) => void (command.body = body) }];
    case 'FunctionDef':
      return bodies(command.body);
    case 'SimpleCommand':
    case 'ArithmeticCommand':
    case 'ConditionalCommand':
      return [];
    default: {
      const unknown: never = command;
      return unknown;
    }
  }
}

/** Calls `visit` for every script in a command substitution, and for every `$!`, in any word below a node. */
function words(node: unknown, inner: (script: ScriptNode) => void): void {
  if (Array.isArray(node)) {
    for (const one of node) words(one, inner);
    return;
  }
  if (typeof node !== 'object' || node === null) return;
  const typed = node as { type?: string; body?: unknown; parameter?: string };
  if (
    (typed.type === 'CommandSubstitution' || typed.type === 'ProcessSubstitution') &&
    typed.body !== undefined
  ) {
    inner(typed.body as ScriptNode);
    return;
  }
  if (typed.type === 'ParameterExpansion' && typed.parameter === '!') typed.parameter = LAST_JOB;
  for (const value of Object.values(node)) words(value, inner);
}

class Rewriter {
  readonly #jobs: JobTexts;

  constructor(jobs: JobTexts) {
    this.#jobs = jobs;
  }

  script(script: ScriptNode): void {
    script.statements = this.#statements(script.statements);
  }

  #statements(list: readonly StatementNode[]): StatementNode[] {
    return list.map((one) => this.#statement(one));
  }

  #statement(one: StatementNode): StatementNode {
    if (one.background) {
      // As it was written: a job's text is rewritten when it runs.
      const text = justBash().serialize({ type: 'Script', statements: [{ ...one, background: false }] });
      return statement(simple(Plumbing.JOB, [quoted(String(this.#jobs.add(text)))], undefined));
    }
    for (const part of one.pipelines) part.commands = part.commands.map((command) => this.#command(command));
    return one;
  }

  #command(command: CommandNode): CommandNode {
    for (const { get, set } of bodies(command)) set(this.#statements(get));
    if (
      command.type === 'While' ||
      command.type === 'Until' ||
      command.type === 'CStyleFor' ||
      command.type === 'For'
    )
      command.body = [statement(simple(Plumbing.TICK, [], undefined)), ...command.body];
    const expanded = (script: ScriptNode): void => {
      this.script(script);
    };
    if (command.type === 'SimpleCommand') {
      words([command.assignments, command.name, command.args, command.redirections], expanded);
      return this.#redirected(this.#called(command));
    }
    if (command.type === 'FunctionDef') return command;
    if (command.type === 'For') words(command.words, expanded);
    if (command.type === 'Case') words([command.word, command.items.map((item) => item.patterns)], expanded);
    if (command.type === 'ConditionalCommand' || command.type === 'ArithmeticCommand')
      words(command.expression, expanded);
    if (command.type === 'ConditionalCommand') deviceConditions(command.expression);
    words(command.redirections, expanded);
    return this.#redirected(command);
  }

  /** Commands whose own scripts have to be rewritten too. */
  #called(command: SimpleCommandNode): SimpleCommandNode | GroupNode {
    const name = literalText(command.name);
    const { line } = command;
    if (name === 'eval')
      return { ...command, args: [substituted(simple(Plumbing.REWRITE, command.args, line))] };
    if ((name === 'source' || name === '.') && command.args.length > 0) {
      const [file, ...args] = command.args;
      return { ...command, args: [substituted(simple(Plumbing.STAGE, [file!], line)), ...args] };
    }
    if (name === 'exit') return leaving(command);
    if ((name === 'bash' || name === 'sh') && command.args.length > 0) return calling(command);
    // just-bash has a wait of its own, which knows nothing of our jobs.
    if (name === 'wait') return simple(Plumbing.WAIT, command.args, line, command.redirections);
    // Only the shell knows whether it is a subshell, whose traps are its own.
    if (name === 'trap')
      return simple(
        Plumbing.SET_TRAP,
        [variable('BASHPID'), variable('$'), ...command.args],
        line,
        command.redirections,
      );
    if (name === 'test' || isBracket(command.name)) return { ...command, args: deviceTests(command.args) };
    if (command.name !== null && isPath(command.name))
      return { ...command, name: literal(Plumbing.PROGRAM), args: [command.name, ...command.args] };
    return command;
  }

  #redirected(command: CommandNode): CommandNode {
    if (command.type === 'FunctionDef') return command;
    const opened = command.redirections.filter(opensFile);
    if (opened.length === 0) return command;
    const before: StatementNode[] = [];
    const targets = opened.map((redirection, index) => {
      if (literalText(redirection.target) !== undefined) return redirection.target;
      const name = `${TARGET}${index}`;
      before.push(assigned(name, redirection.target));
      redirection.target = variable(name);
      return redirection.target;
    });
    const line = 'line' in command ? command.line : undefined;
    const name = command.type === 'SimpleCommand' ? (literalText(command.name) ?? '') : '';
    const where = [quoted(String(line ?? 0))];
    const modes = opened.flatMap(({ operator }, index) => [quoted(operator), targets[index]!]);
    return group([
      ...before,
      statement(simple(Plumbing.OPEN, [...where, ...modes], line), command),
      statement(simple(Plumbing.CLOSE, [variable('?'), ...where, quoted(name), ...targets], line)),
    ]);
  }
}

/**
 * `exit`: what was trapped runs first, in the shell itself and not in a subshell. It sees the status, whatever errexit says of it.
 */
function leaving(command: SimpleCommandNode): GroupNode {
  const told = statement(simple(Plumbing.EXIT, [], command.line));
  return group([
    assigned(STATUS, command.args[0] ?? variable('?')),
    told,
    ...trapped(`[ "$BASHPID" = "$$" ]`),
    statement({ ...command, args: [variable(STATUS)] }),
  ]);
}

/** `bash FILE`: what the file has trapped runs at its end, and sees its status. */
function calling(command: SimpleCommandNode): GroupNode {
  const { redirections } = command;
  const ends = justBash().parse(
    `if __smplab_called; then ${STATUS}=0; else ${STATUS}=$?; fi; ` +
      `( eval "$(${Plumbing.TRAP} EXIT "$${STATUS}")" ) || true; ${Plumbing.LEAVE}; (exit "$${STATUS}")`,
  );
  const [first] = ends.statements;
  const condition = first?.pipelines[0]?.commands[0];
  if (condition?.type === 'If')
    condition.clauses[0]!.condition = [statement({ ...command, redirections: [] })];
  const whole = group([statement(simple(Plumbing.ENTER, [], command.line)), ...ends.statements]);
  return { ...whole, redirections };
}

/** What runs when the shell ends, if anything was trapped. @param when a condition */
function trapped(when: string): StatementNode[] {
  return justBash().parse(`if ${when}; then eval "$(${Plumbing.TRAP} EXIT "$${STATUS}")"; fi`).statements;
}

function assigned(name: string, value: WordNode): StatementNode {
  return statement({
    ...simple('', [], undefined),
    name: null,
    assignments: [{ type: 'Assignment', name, value, append: false, array: null }],
  });
}

/** The command `[`, which the parser takes for the start of a pattern. */
function isBracket(name: WordNode | null): boolean {
  const [part] = name?.parts ?? [];
  return name?.parts.length === 1 && part?.type === 'Glob' && part.pattern === '[';
}

/** `-c FILE`: just-bash knows no device nodes but its own. */
function deviceTests(args: readonly WordNode[]): WordNode[] {
  const tested: WordNode[] = [];
  for (let at = 0; at < args.length; at++) {
    const operand = args[at + 1];
    if (literalText(args[at]!) !== '-c' || operand === undefined) {
      tested.push(args[at]!);
      continue;
    }
    tested.push(literal('-n'), substituted(simple(Plumbing.DEVICE, [operand], undefined)));
    at += 1;
  }
  return tested;
}

/** The same in `[[ ]]`. */
function deviceConditions(node: unknown): void {
  if (Array.isArray(node)) {
    for (const one of node) deviceConditions(one);
    return;
  }
  if (typeof node !== 'object' || node === null) return;
  const condition = node as { type?: string; operator?: string; operand?: unknown };
  if (condition.type === 'CondUnary' && condition.operator === '-c') {
    condition.operator = '-n';
    condition.operand = substituted(simple(Plumbing.DEVICE, [condition.operand as WordNode], undefined));
    return;
  }
  for (const value of Object.values(node)) deviceConditions(value);
}

/** `"$(command)"` */
function substituted(command: CommandNode): WordNode {
  const body: ScriptNode = { type: 'Script', statements: [statement(command)] };
  const part: WordPart = { type: 'CommandSubstitution', body, legacy: false };
  return { type: 'Word', parts: [{ type: 'DoubleQuoted', parts: [part] }] };
}

/** Whether a command's name is a path: it has a slash that is written there. */
function isPath(name: WordNode): boolean {
  return name.parts.some((part) => {
    if (part.type === 'DoubleQuoted') return part.parts.some(hasSlash);
    return hasSlash(part);
  });
}

function hasSlash(part: WordPart): boolean {
  return (part.type === 'Literal' || part.type === 'SingleQuoted') && part.value.includes('/');
}

/** Whether a script moves its own output for good: then its statements may not be given another one. */
function movesOutput(node: unknown): boolean {
  if (Array.isArray(node)) return node.some(movesOutput);
  if (typeof node !== 'object' || node === null) return false;
  const command = node as Partial<SimpleCommandNode>;
  if (command.type === 'SimpleCommand' && (command.redirections?.length ?? 0) > 0) {
    if (literalText(command.name ?? null) === 'exec') return true;
  }
  return Object.values(node).some(movesOutput);
}

function consoleRedirections(): RedirectionNode[] {
  const to = (fd: number, path: string): RedirectionNode => ({
    type: 'Redirection',
    fd,
    operator: '>',
    target: literal(path),
  });
  return [to(1, CONSOLE_OUT), to(2, CONSOLE_ERR)];
}

/** Each statement's output goes to the console when the statement ends; inside of compound commands too. */
function live(list: readonly StatementNode[]): StatementNode[] {
  return list.map((one) => {
    const [only] = one.pipelines;
    const [command] = only?.commands ?? [];
    if (command === undefined || one.deferredError !== undefined) return one;
    const isAlone = one.pipelines.length === 1 && only!.commands.length === 1 && only!.timed !== true;
    if (isAlone && command.type === 'FunctionDef') return one;
    const lists = bodies(command);
    const isCompound = lists.length > 0 && command.type !== 'Subshell';
    if (isAlone && isCompound && command.redirections.length === 0) {
      for (const { get, set } of lists) set(live(get));
      return one;
    }
    return statement(group([one], consoleRedirections()));
  });
}

/** Rewrites a script in place. */
export function rewrite(script: ScriptNode, { jobs, live: isLive, isWhole }: RewriteOptions): ScriptNode {
  const wantsLive = isLive && !movesOutput(script);
  new Rewriter(jobs).script(script);
  if (wantsLive) script.statements = live(script.statements);
  // The end of a script is an exit too.
  if (isWhole)
    script.statements.push(
      assigned(STATUS, variable('?')),
      ...trapped('true'),
      ...justBash().parse(`exit "$${STATUS}"`).statements,
    );
  return script;
}

/** A rewritten text; as it is where it is not a script. */
export function rewriteText(text: string, jobs: JobTexts): string {
  try {
    return justBash().serialize(rewrite(justBash().parse(text), { jobs, live: false, isWhole: false }));
  } catch {
    return text;
  }
}

/** Texts of the functions that a script defines, by name; of two with one name the last. */
export function functionsOf(script: ScriptNode): Map<string, string> {
  const found = new Map<string, string>();
  const walk = (node: unknown): void => {
    if (Array.isArray(node)) {
      for (const one of node) walk(one);
      return;
    }
    if (typeof node !== 'object' || node === null) return;
    const typed = node as CommandNode;
    if (typed.type === 'FunctionDef')
      found.set(typed.name, justBash().serialize({ type: 'Script', statements: [statement(typed)] }));
    for (const value of Object.values(node)) walk(value);
  };
  walk(script);
  return found;
}
