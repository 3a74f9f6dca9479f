/** The log form of herd, the JSON object, and the key by which executions are counted. */
import { describe, expect, it } from 'vitest';
import { bufferActor, mainActor } from '#base/strategy';
import { executionKey } from '#litmus/execution-key';
import { litmusJson, litmusLog } from '#litmus/log';
import { Outcomes } from '#litmus/outcome';
import { parseLitmus } from '#litmus/parse';
import { OP_WORDS, OpFlag, opHead, type OperationLog, OpType } from '#trace/operations';
import { enumerateLitmus } from '../../support/litmus-model.ts';

const SB = `X86 SB
"PodWR Fre PodWR Fre"
Hash=2d53e83cd627ba17ab11c875525e078b
{ x=0; y=0; }
 P0          | P1          ;
 MOV [x],$1  | MOV [y],$1  ;
 MOV EAX,[y] | MOV EAX,[x] ;
`;

function log(question: string, model: 'sc' | 'tso'): string {
  const program = parseLitmus(SB + question, 'SB');
  return litmusLog(program, enumerateLitmus(program, model).verdict);
}

const STATES = '0:EAX=0; 1:EAX=1;\n0:EAX=1; 1:EAX=0;\n0:EAX=1; 1:EAX=1;\n';
const HASH = 'Hash=2d53e83cd627ba17ab11c875525e078b\n';

describe('litmus log', () => {
  it('exists, found', () => {
    expect(log('exists (0:EAX=0 /\\ 1:EAX=0)', 'tso')).toBe(
      `Test SB Allowed\nStates 4\n0:EAX=0; 1:EAX=0;\n${STATES}Ok\nWitnesses\nPositive: 1 Negative: 3\n` +
        `Condition exists (0:EAX=0 /\\ 1:EAX=0)\nObservation SB Sometimes 1 3\n${HASH}`,
    );
  });

  it('exists, not found', () => {
    expect(log('exists (0:EAX=0 /\\ 1:EAX=0)', 'sc')).toBe(
      `Test SB Allowed\nStates 3\n${STATES}No\nWitnesses\nPositive: 0 Negative: 3\n` +
        `Condition exists (0:EAX=0 /\\ 1:EAX=0)\nObservation SB Never 0 3\n${HASH}`,
    );
  });

  it('~exists counts the executions that avoid it as positive', () => {
    expect(log('~exists (0:EAX=0 /\\ 1:EAX=0)', 'sc')).toBe(
      `Test SB Forbidden\nStates 3\n${STATES}Ok\nWitnesses\nPositive: 3 Negative: 0\n` +
        `Condition ~exists (0:EAX=0 /\\ 1:EAX=0)\nObservation SB Never 0 3\n${HASH}`,
    );
  });

  it('forall, with locations in brackets and after registers', () => {
    expect(log('locations [x; 1:EAX;]\nforall (0:EAX=1 \\/ 1:EAX=1)', 'sc')).toContain(
      'Test SB Required\nStates 3\n0:EAX=0; 1:EAX=1; [x]=1;\n',
    );
    expect(log('forall (0:EAX=1 \\/ 1:EAX=1)', 'sc')).toContain('Ok\nWitnesses\nPositive: 3 Negative: 0\n');
    expect(log('forall (0:EAX=1 \\/ 1:EAX=1)', 'sc')).toContain('Observation SB Always 3 0\n');
  });

  it('filter leaves out executions before anything is counted', () => {
    expect(log('filter (0:EAX=1)\nexists (1:EAX=0)', 'tso')).toContain(
      'States 2\n0:EAX=1; 1:EAX=0;\n0:EAX=1; 1:EAX=1;\nOk\nWitnesses\nPositive: 1 Negative: 1\n',
    );
  });

  it('states are in the order of their numbers, not of their digits', () => {
    const text = 'X86 n\n{ x=0; }\nP0 | P1 | P2;\nMOV [x],$10 | MOV [x],$9 | MOV [x],$-1;\nexists (x=9)';
    const program = parseLitmus(text, 'n');
    expect(enumerateLitmus(program, 'sc').verdict.states.map((state) => state.text)).toEqual([
      '[x]=-1;',
      '[x]=9;',
      '[x]=10;',
    ]);
  });

  it('what may be missing is said', () => {
    const program = parseLitmus(`${SB}exists (0:EAX=0)`, 'SB');
    const verdict = enumerateLitmus(program, 'sc').verdict;
    expect(litmusLog(program, verdict, 'P0 goes round its loops')).toContain(
      '\nIncomplete SB: P0 goes round its loops\nHash',
    );
  });

  it('the JSON object has the states as the log prints them', () => {
    const program = parseLitmus(`${SB}exists (0:EAX=0 /\\ 1:EAX=0)`, 'SB');
    const object = litmusJson(enumerateLitmus(program, 'sc').verdict, 'sc', true);
    expect(JSON.parse(JSON.stringify(object))).toEqual({
      name: 'SB',
      memoryModel: 'sc',
      states: ['0:EAX=0; 1:EAX=1;', '0:EAX=1; 1:EAX=0;', '0:EAX=1; 1:EAX=1;'],
      observation: 'Never',
      complete: true,
      executions: 3,
      condition: 'exists (0:EAX=0 /\\ 1:EAX=0)',
      validated: false,
      positive: 0,
      negative: 3,
    });
  });

  it('without keys every run counts, with keys every execution once', () => {
    const outcomes = new Outcomes(parseLitmus(`${SB}exists (0:EAX=0 /\\ 1:EAX=0)`, 'SB'));
    outcomes.add([0n, 0n]);
    outcomes.add([0n, 0n]);
    outcomes.add([0n, 1n], 'a');
    outcomes.add([0n, 1n], 'a');
    outcomes.add([0n, 1n], 'b');
    expect([outcomes.verdict().satisfying, outcomes.verdict().violating]).toEqual([2, 2]);
  });
});

const BASE = 0x2000;

/** A log of [type, actor, offset from BASE, flags], four bytes each. */
function logOf(...steps: [number, number, number, number?][]): OperationLog {
  const words = new Int32Array(steps.length * OP_WORDS);
  steps.forEach(([type, actor, offset, flags = 0], at) => {
    words.set([opHead(type, 0, flags, actor), BASE + offset, 4], at * OP_WORDS);
  });
  return { words, records: steps.length };
}

describe('execution key', () => {
  const key = (...steps: [number, number, number, number?][]): string =>
    executionKey(logOf(...steps), BASE, 8);
  const [P0, P1, B0] = [mainActor(0), mainActor(1), bufferActor(0)];

  it('steps that do not meet may change places', () => {
    expect(key([OpType.STORE, P0, 0], [OpType.LOAD, P1, 4])).toBe(
      key([OpType.LOAD, P1, 4], [OpType.STORE, P0, 0]),
    );
  });

  it('which store a load reads makes another execution', () => {
    expect(key([OpType.STORE, P0, 0], [OpType.LOAD, P1, 0])).not.toBe(
      key([OpType.LOAD, P1, 0], [OpType.STORE, P0, 0]),
    );
  });

  it('the order of two stores to one place makes another execution', () => {
    expect(key([OpType.STORE, P0, 0], [OpType.STORE, P1, 0])).not.toBe(
      key([OpType.STORE, P1, 0], [OpType.STORE, P0, 0]),
    );
  });

  it('when a buffer is emptied makes none, if nobody looks meanwhile', () => {
    const forwarded = key(
      [OpType.BUFFER, P0, 0],
      [OpType.LOAD, P0, 0, OpFlag.FORWARDED],
      [OpType.FLUSH, B0, 0],
    );
    expect(forwarded).toBe(key([OpType.BUFFER, P0, 0], [OpType.FLUSH, B0, 0], [OpType.LOAD, P0, 0]));
    expect(forwarded).toBe(key([OpType.STORE, P0, 0], [OpType.LOAD, P0, 0]));
  });

  it('memory that is not observed, and operations that faulted, do not count', () => {
    const plain = key([OpType.STORE, P0, 0]);
    expect(key([OpType.LOAD, P1, 64], [OpType.STORE, P0, 0], [OpType.STORE, P1, -8])).toBe(plain);
    expect(key([OpType.STORE, P0, 0], [OpType.LOAD, P1, 0, OpFlag.FAULTED])).toBe(plain);
    expect(key([OpType.EVENT + 1, P1, 0], [OpType.STORE, P0, 0])).toBe(plain);
  });
});
