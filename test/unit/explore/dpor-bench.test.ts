import { it } from 'vitest';
import { DporSearch } from '#explore/dpor';
import { ModelMachine, type FlowBody } from '../../support/model-machine.ts';
const X = 0x100,
  LOCK = 0x200;
const flow: FlowBody = function* (m) {
  for (let r = 0; r < 2; r++) {
    yield m.acquire(LOCK);
    const s = yield m.load(X);
    yield m.store(X, s + 1);
    yield m.release(LOCK);
  }
};
it('bench', () => {
  for (let round = 0; round < 5; round++) {
    const machine = new ModelMachine({ flows: [flow, flow, flow, flow], observeLoads: false });
    const search = new DporSearch();
    let run = 0n,
      think = 0n;
    for (;;) {
      const a = process.hrtime.bigint();
      const plan = search.next();
      const b = process.hrtime.bigint();
      think += b - a;
      if (!plan) break;
      const result = machine.run(plan);
      const c = process.hrtime.bigint();
      run += c - b;
      search.observe(result);
      think += process.hrtime.bigint() - c;
    }
    console.log(
      search.executions,
      'think us/run',
      Number(think) / search.executions / 1000,
      'run us/run',
      Number(run) / search.executions / 1000,
    );
  }
}, 60000);
