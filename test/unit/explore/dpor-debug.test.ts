import { it } from 'vitest';
import { DporSearch } from '#explore/dpor';
import { enumerateAll } from '#explore/dpor-enumerate';
import { fingerprint } from '#explore/happens-before';
import { OP_WORDS, OpFlag, OpType, opActor, opFlags, opType } from '#trace/operations';
import type { RunResult } from '#explore/executor';
import { machineOf, type ToyProgram } from './dpor-programs.ts';

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
  const model = (process.env['MODEL'] ?? 'sc') as 'sc';
  const machine = machineOf(program, model);
  const search = new DporSearch();
  const mine = new Set<string>();
  for (let n = 0; n < Number(process.env['N'] ?? 60); n++) {
    const plan = search.next();
    if (!plan) break;
    const result = machine.run(plan);
    const before = search.redundant;
    console.log(
      'plan',
      plan.prefix.map((s) => `${s.actor}*${s.steps}`).join(' '),
      'par',
      plan.parameters!.join(','),
    );
    search.observe(result);
    mine.add(`${fingerprint(result.log)}`);
    console.log(
      `  stop ${result.stop} div ${result.divergedAt} grew ${result.sharedGrew} red ${search.redundant - before} cut ${search.cutShort} ${fingerprint(result.log)} | ${text(result)} | ${result.finalState}`,
    );
  }
  if (process.env['FORCE']) {
    const m = machineOf(program, model);
    const seen = new Set<string>();
    enumerateAll(
      m,
      (r) => {
        const f = `${fingerprint(r.log)}`;
        if (seen.has(f)) return;
        seen.add(f);
        if (!mine.has(f)) console.log('force', f, r.stop, text(r), r.finalState);
      },
      () => {
        seen.clear();
        console.log('force restart');
      },
    );
  }
});
