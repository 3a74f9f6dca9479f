/** Several threads: what is atomic, what is ordered, what a loop may do, and how executions are counted. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseLitmus } from '#litmus/parse';
import { enumerateLitmus } from '../../support/litmus-model.ts';

function run(text: string, model: 'sc' | 'tso' = 'tso'): ReturnType<typeof enumerateLitmus> {
  return enumerateLitmus(parseLitmus(text, 'test'), model);
}

function states(text: string, model: 'sc' | 'tso' = 'tso'): string[] {
  return run(text, model).verdict.states.map((state) => state.text);
}

function shape(name: string): string {
  return readFileSync(path.resolve(import.meta.dirname, `../../litmus/shapes/${name}.litmus`), 'utf8');
}

describe('litmus models', () => {
  it('locked increments are never lost, plain ones may be', () => {
    const table = (instruction: string): string =>
      `X86_64 inc\n{}\nP0 | P1;\n${instruction} | ${instruction};\nexists ([x]=1)`;
    expect(states(table('lock incl (x)'))).toEqual(['[x]=2;']);
    expect(states(table('incl (x)'), 'sc')).toEqual(['[x]=1;', '[x]=2;']);
  });

  it('xchg with memory is locked without saying so; uxch is not', () => {
    const table = (name: string): string =>
      `X86_64 x\n{ 0:eax=1; 1:eax=2; }\nP0 | P1;\n${name}l %eax,(x) | ${name}l %eax,(x);\nexists (0:eax=0 /\\ 1:eax=0)`;
    expect(run(table('xchg')).verdict.observation).toBe('Never');
    expect(run(table('uxch'), 'sc').verdict.observation).toBe('Sometimes');
  });

  it.each(['sfence', 'lfence'])('%s does not keep a store before a load', (fence) => {
    const text = `X86_64 SB\n{}\nP0 | P1;\nmovl $1,(x) | movl $1,(y);\n${fence} | ${fence};\nmovl (y),%eax | movl (x),%eax;\nexists (0:eax=0 /\\ 1:eax=0)`;
    expect(run(text).verdict.observation).toBe('Sometimes');
  });

  it('a load that sees half of a buffered store waits for it: it never mixes old and new', () => {
    const text = 'X86_64 half\n{ x=-1; }\nP0;\nmovb $0,(x);\nmovl (x),%eax;\nforall (0:eax=-256)';
    expect(run(text).verdict.validated).toBe(true);
  });

  it('a narrow load is forwarded from a wider store', () => {
    const text =
      'X86_64 narrow\n{}\nP0 | P1;\nmovl $0x201,(x) | movl $1,(y);\nmovzbl x+1(%rip),%eax | mfence;\nmovl (y),%ebx | movl (x),%eax;\nexists (0:eax=2 /\\ 0:ebx=0 /\\ 1:eax=0)';
    expect(run(text).verdict.observation).toBe('Sometimes');
    expect(run(text, 'sc').verdict.observation).toBe('Never');
  });

  it('a spin loop ends in the states of the endless one, and the set is complete', () => {
    const text =
      'X86 spin\n{}\nP0 | P1;\nMOV [x],$1 | LC00:;\nMOV [y],$1 | MOV EAX,[y];\n | CMP EAX,$0;\n | JE LC00;\n | MOV EBX,[x];\nforall (1:EBX=1)';
    const { verdict, complete } = run(text);
    expect([complete, verdict.validated, verdict.executions]).toEqual([true, true, 1 + 1]);
  });

  it('a lock by xchg keeps two threads apart', () => {
    const thread = [
      'L: movl $1,%eax',
      'xchgl %eax,(lock)',
      'cmpl $0,%eax',
      'jne L',
      'movl (x),%ebx',
      'addl $1,%ebx',
      'movl %ebx,(x)',
      'movl $0,(lock)',
    ];
    const text = `X86_64 locked\n{}\nP0 | P1;\n${thread.map((cell) => `${cell} | ${cell};`).join('\n')}\nforall ([x]=2)`;
    for (const model of ['sc', 'tso'] as const) {
      const { verdict, complete } = run(text, model);
      expect([verdict.validated, complete]).toEqual([true, true]);
    }
  });

  it('a loop that changes something for ever is cut, and the result says that it is not complete', () => {
    const { complete, verdict } = run('X86_64 forever\n{}\nP0;\nL: lock incl (x);\njmp L;\nexists ([x]=1)');
    expect([complete, verdict.states.length]).toEqual([false, 0]);
  });

  // Numbers that herd7 prints for these shapes: with sc.cat "0 3", with x86tso.cat "1 3" for SB, and so on.
  it.each([
    ['SB', 'sc', 0, 3],
    ['SB', 'tso', 1, 3],
    ['SB+mfences', 'tso', 0, 3],
    ['MP', 'tso', 0, 3],
    ['LB', 'tso', 0, 3],
    ['S', 'tso', 0, 3],
    ['2+2W', 'tso', 0, 3],
    ['R', 'sc', 0, 3],
    ['R', 'tso', 1, 3],
    ['IRIW', 'tso', 0, 15],
    ['CoRR', 'tso', 0, 3],
  ] as const)(
    '%s under %s: executions are counted as herd counts them',
    (name, model, positive, negative) => {
      const { verdict } = run(shape(name), model);
      expect([verdict.satisfying, verdict.violating]).toEqual([positive, negative]);
    },
  );
});
