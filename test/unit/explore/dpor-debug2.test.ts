import { it } from 'vitest';
import { DporSearch } from '#explore/dpor';
import { fingerprint } from '#explore/happens-before';
import { OP_WORDS, OpFlag, OpType, opActor, opFlags, opType } from '#trace/operations';
import type { RunResult } from '#explore/executor';
import { byDpor, machineOf, type ToyProgram } from './dpor-programs.ts';
const names = Object.fromEntries(Object.entries(OpType).map(([k, v]) => [v, k]));
function text({ log }: RunResult): string {
  const out: string[] = [];
  for (let r = 0; r < log.records; r++) {
    const h = log.words[r * OP_WORDS]!;
    out.push(
      `${opActor(h)}:${names[opType(h)]}${opFlags(h) & OpFlag.VISIBLE ? '' : '~'}${opFlags(h) & OpFlag.CONTINUES ? '+' : ''}${opType(h) === 1 || opType(h) < 9 ? log.words[r * OP_WORDS + 1] : ''}`,
    );
  }
  return out.join(' ');
}
it('debug', () => {
  const program = JSON.parse(process.env['PROGRAM']!) as ToyProgram;
  const machine = machineOf(program, (process.env['MODEL'] ?? 'sc') as 'sc');
  byDpor(machine);
  const waiting: [string, DporSearch][] = [['A', new DporSearch()]];
  let next = 66;
  for (let part = waiting.shift(); part; part = waiting.shift()) {
    const [name, search] = part;
    for (let plan = search.next(), n = 1; plan; plan = search.next(), n++) {
      const result = machine.run(plan);
      const before = search.redundant;
      console.log(
        'plan',
        name,
        plan.prefix.map((s) => `${s.actor}*${s.steps}`).join(' '),
        'par',
        plan.parameters!.join(','),
      );
      search.observe(result);
      console.log(
        `  stop ${result.stop} red ${search.redundant - before} ${fingerprint(result.log)} | ${text(result)} | ${result.finalState}`,
      );
      const task = n % 1 === 0 ? search.split() : undefined;
      if (task) {
        const c = String.fromCharCode(next++);
        console.log('plan split', name, '->', c, JSON.stringify(task));
        waiting.push([c, DporSearch.from(JSON.parse(JSON.stringify(task)))]);
      }
    }
  }
});
