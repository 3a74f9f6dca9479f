/** A finding as the kernel would print it: an oops, a warning, a panic. */
import type { Finding } from './model.ts';
import { type Paint, plain } from './paint.ts';

/** Which of the kernel's two frames a kind of finding comes in. */
function isBoxed(kind: string): boolean {
  return kind === 'warning' || kind === 'bug';
}

/** The report, innermost call first, as `Call Trace:` has it. */
export function findingLines(finding: Finding, paint: Paint = plain): string[] {
  const { kind, title, cpu, stack, detail } = finding;
  const head = isBoxed(kind) ? [paint.faint('------------[ cut here ]------------')] : [];
  const tail = kind === 'panic' ? [] : [paint.faint('---[ end trace ]---')];
  return [
    ...head,
    paint.bad(title),
    `CPU: ${cpu < 0 ? 'none' : cpu}  kind: ${kind}`,
    ...(detail === undefined ? [] : detail.split('\n').map((line) => ` ${line.trimEnd()}`)),
    ...(stack.length === 0 ? [] : ['Call Trace:', ...stack.map((symbol) => ` ${symbol}`)]),
    ...tail,
  ];
}
