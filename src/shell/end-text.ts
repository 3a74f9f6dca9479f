/** How a machine came to its end, for the person in front of it. */
import type { HungCpu } from '#machine/machine';
import type { End } from './caller.ts';

function stackLines({ cpu, stack }: HungCpu): string[] {
  return [`CPU ${cpu}:`, ...stack.map((symbol) => `  ${symbol}`)];
}

/** What a report says; a panic has said its own on the console. */
export function endLines(end: End): string[] {
  switch (end.kind) {
    case 'panic':
    case 'stopped':
      return ['smplab: the machine has stopped'];
    case 'hung':
      return ['smplab: the machine hangs; what its CPUs are doing:', ...end.cpus.flatMap(stackLines)];
    case 'steps':
      return ['smplab: the step limit was reached before the call came back'];
    case 'machine-check':
      return [`smplab: machine check: the thread of CPU ${end.cpu} died: ${end.reason}`, ...stackLines(end)];
    default: {
      const unknown: never = end;
      return [String(unknown)];
    }
  }
}
