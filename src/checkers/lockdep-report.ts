/** What lockdep prints. The shape is the kernel's, the words are ours. */
import { type Finding, type Place, RULER, contextText, hex, stackLines } from './finding.ts';
import type { Dependency, LockGraph, UsageSeen } from './lock-graph.ts';

/** A lock and where somebody took it or let it go. */
export interface LockPlace {
  readonly lock: number;
  readonly className: string;
  readonly place: Place;
}

function finding(kind: string, title: string, place: Place | undefined, lines: readonly string[]): Finding {
  const detail = [RULER, title, '', ...lines, RULER].join('\n');
  if (place === undefined) return { kind, title, detail };
  return { kind, title, cpu: place.cpu, stack: place.stack, detail };
}

/** One link of a chain, as lockdep lists them: the lock, and how it came to be taken. */
function linkLines(graph: LockGraph, number: number, link: Dependency): string[] {
  return [
    `-> #${number} (${graph.names[link.to]!}), taken on cpu ${link.cpu} under (${graph.names[link.from]!}):`,
    ...stackLines(link.takenStack).map((line) => `  ${line}`),
    `   ${graph.names[link.from]!} was taken at:`,
    ...stackLines(link.heldStack).map((line) => `  ${line}`),
  ];
}

const COLUMN = 28;

/** A row of the two-CPU diagram. */
function row(left: string, right: string): string {
  return `  ${left.padEnd(COLUMN)}${right}`.trimEnd();
}

/** Two CPUs that meet in a cycle: one comes the new way, the other the way that was known. */
function circularDiagram(first: string, taken: readonly string[]): string[] {
  const [wanted, ...rest] = taken;
  return [
    ' Possible unsafe locking scenario:',
    '',
    row('     CPU0', '     CPU1'),
    row('     ----', '     ----'),
    row(`lock(${first});`, ''),
    row('', `lock(${wanted!});`),
    ...rest.map((name) => row('', `lock(${name});`)),
    row('', `lock(${first});`),
    row(`lock(${wanted!});`, ''),
    '',
    ' *** DEADLOCK ***',
  ];
}

/** @param cycle the dependency that closed it first, then those that lead back to its beginning */
export function circularFinding(graph: LockGraph, cycle: readonly Dependency[]): Finding {
  const names = cycle.map((link) => graph.names[link.from]!);
  const newest = cycle[0]!;
  const title = `WARNING: possible circular locking dependency detected: ${rotated(names).join(' -> ')}`;
  const back = cycle.slice(1);
  const lines = [
    `cpu ${newest.cpu} takes (${names[1]!}) while it holds (${names[0]!}),`,
    `but (${names[1]!}) is known to come before (${names[0]!}).`,
    '',
    'The chain of dependencies, the newest last:',
    '',
    ...back.flatMap((link, index) => linkLines(graph, cycle.length - 1 - index, link)),
    ...linkLines(graph, 0, newest),
    '',
    ...circularDiagram(names[0]!, names.slice(1)),
  ];
  return {
    ...finding('lock-order', title, undefined, lines),
    cpu: newest.cpu,
    stack: newest.takenStack,
  };
}

/** A cycle told from its alphabetically first class, back to it: one title wherever it was closed. */
function rotated(names: readonly string[]): string[] {
  let first = 0;
  for (let at = 1; at < names.length; at++) if (names[at]! < names[first]!) first = at;
  const turned = [...names.slice(first), ...names.slice(0, first)];
  return [...turned, turned[0]!];
}

export function inconsistentFinding(graph: LockGraph, inIrq: UsageSeen, irqsOn: UsageSeen): Finding {
  const name = graph.names[inIrq.lockClass]!;
  const lines = [
    'inconsistent {HARDIRQ-ON-W} -> {IN-HARDIRQ-W} usage.',
    `(${name}) is taken in an interrupt on cpu ${inIrq.cpu}:`,
    ...stackLines(inIrq.stack),
    `and elsewhere with interrupts on, on cpu ${irqsOn.cpu}:`,
    ...stackLines(irqsOn.stack),
    '',
    ' Possible unsafe locking scenario:',
    '',
    '       CPU0',
    '       ----',
    `  lock(${name});`,
    '  <Interrupt>',
    `    lock(${name});`,
    '',
    ' *** DEADLOCK ***',
  ];
  const title = `WARNING: inconsistent lock state: ${name}`;
  return { ...finding('lock-irq', title, undefined, lines), cpu: irqsOn.cpu, stack: irqsOn.stack };
}

/** @param chain from the class interrupts take to the one whose holders can be interrupted */
export function unsafeOrderFinding(
  graph: LockGraph,
  chain: readonly Dependency[],
  safe: UsageSeen,
  unsafe: UsageSeen,
): Finding {
  const first = graph.names[safe.lockClass]!;
  const last = graph.names[unsafe.lockClass]!;
  const lines = [
    `(${first}) is taken in interrupts, on cpu ${safe.cpu}:`,
    ...stackLines(safe.stack),
    `(${last}) is held with interrupts on, on cpu ${unsafe.cpu}:`,
    ...stackLines(unsafe.stack),
    'and the second is waited for under the first:',
    '',
    ...chain.flatMap((link, index) => linkLines(graph, chain.length - 1 - index, link)),
    '',
    ' Possible interrupt unsafe locking scenario:',
    '',
    row('     CPU0', '     CPU1'),
    row('     ----', '     ----'),
    row(`lock(${last});`, ''),
    row('', 'local_irq_disable();'),
    row('', `lock(${first});`),
    row('', `lock(${chain[0]!.to === unsafe.lockClass ? last : graph.names[chain[0]!.to]!});`),
    row('<Interrupt>', ''),
    row(`  lock(${first});`, ''),
    '',
    ' *** DEADLOCK ***',
  ];
  const title = `WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected: ${first} -> ${last}`;
  const newest = chain.at(-1)!;
  return { ...finding('lock-irq', title, undefined, lines), cpu: newest.cpu, stack: newest.takenStack };
}

function lockLine({ className, lock, place }: LockPlace): string {
  return ` (${className}) at ${hex(lock, 8)}, by ${contextText(place.actor)} at step ${place.step}:`;
}

/** The same class twice in one flow: the same lock hangs at once, two of a class when somebody takes them the other way. */
export function recursionFinding(taken: LockPlace, held: LockPlace): Finding {
  const title = `WARNING: possible recursive locking detected: ${taken.className}`;
  const lines = [
    'trying to take:',
    lockLine(taken),
    ...stackLines(taken.place.stack),
    'while already holding:',
    lockLine(held),
    ...stackLines(held.place.stack),
    '',
    taken.lock === held.lock
      ? 'It is the same lock: its holder waits for itself.'
      : 'Two locks of one class: nothing says in which order they are taken.',
  ];
  return finding('lock-recursion', title, taken.place, lines);
}

/** @param held where somebody else took the lock, if anybody holds it */
export function balanceFinding(released: LockPlace, held: LockPlace | undefined): Finding {
  const title = `WARNING: bad unlock balance detected: ${released.className}`;
  const lines = [
    'trying to release a lock that is not held here:',
    lockLine(released),
    ...stackLines(released.place.stack),
    ...(held === undefined
      ? ['Nobody holds it.']
      : ['It is held:', lockLine(held), ...stackLines(held.place.stack)]),
  ];
  return finding('lock-balance', title, released.place, lines);
}

const ENDS = {
  task: 'task ended with a lock still held',
  interrupt: 'interrupt returned with a lock still held',
  flow: 'flow ended with a lock still held',
} as const;

export function heldFinding(whose: 'task' | 'interrupt' | 'flow', held: LockPlace, end: Place): Finding {
  const title = `BUG: ${ENDS[whose]}: ${held.className}`;
  const lines = [
    'still held:',
    lockLine(held),
    ...stackLines(held.place.stack),
    `${contextText(end.actor)} ended at step ${end.step}:`,
    ...stackLines(end.stack),
  ];
  return finding('lock-held', title, held.place, lines);
}
