/** How files look, what is understood of them, and what is said about those that are wrong. */
import { describe, expect, it } from 'vitest';
import { parseLitmus } from '#litmus/parse';
import { conditionText } from '#litmus/print';
import { enumerateLitmus } from '../../support/litmus-model.ts';

describe('litmus files', () => {
  it('the header: name, comment, information, comments of two kinds, Windows line ends', () => {
    const text =
      '(* a (* nested *) comment *)\nX86 SB+it.1-2\n"Fre PodWR"\nCom=Fr Fr\nPrefetch=0:x=F,1:y=T\nHash=0123\n\n{x=0; y=0} // init\n P0 ;\n MOV [x],$1 ; (* store *)\nexists (x=1)\n';
    for (const each of [text, text.replaceAll('\n', '\r\n'), `\uFEFF${text}`]) {
      const program = parseLitmus(each, 'file');
      expect([program.dialect, program.name, program.comment]).toEqual(['X86', 'SB+it.1-2', 'Fre PodWR']);
      expect(program.information).toEqual([
        ['Com', 'Fr Fr'],
        ['Prefetch', '0:x=F,1:y=T'],
        ['Hash', '0123'],
      ]);
      expect(program.threads[0]!.instructions[0]!.line).toBe(10);
    }
  });

  it('a file on one line', () => {
    const program = parseLitmus('X86_64 one { x=1; } P0 ; movl (x),%eax ; forall (0:rax=1)', 'one');
    expect(enumerateLitmus(program, 'sc').verdict.validated).toBe(true);
  });

  it('rows may be short, empty, run together, and threads numbered as they like', () => {
    const text =
      'X86 rows\n{}\nP0|P2|P5;\nMOV [x],$1; | MOV [y],$1 ;\n||MOV EAX,[x];;\n || L0: ; exists (5:EAX=1)';
    const program = parseLitmus(text, 'rows');
    expect(program.threads.map(({ proc, instructions }) => [proc, instructions.length])).toEqual([
      [0, 1],
      [2, 1],
      [5, 1],
    ]);
    expect(program.threads[2]!.labels).toEqual([['L0', 1]]);
    expect(enumerateLitmus(program, 'sc').verdict.states.map(({ text: state }) => state)).toEqual([
      '5:EAX=0;',
      '5:EAX=1;',
    ]);
  });

  it('a label named lock is not the prefix', () => {
    const program = parseLitmus(
      'X86_64 l\n{}\nP0;\nlock: incl (x) ;\ncmpl $0,(x) ;\nje lock ;\nlock ; incl (x) ;\nforall ([x]=2)',
      'l',
    );
    expect(program.threads[0]!.instructions.map(({ operation, locked }) => [operation, locked])).toEqual([
      ['inc', false],
      ['cmp', false],
      ['j', false],
      ['inc', true],
    ]);
    expect(enumerateLitmus(program, 'tso').verdict.validated).toBe(true);
  });

  it('types, arrays, pointers, hexadecimal and negative numbers in the init block', () => {
    const text = `X86_64 init
{ int x = 0x10; uint8_t b=-1; volatile unsigned long long u = 0xffffffffffffffff; [y]=-3;
  int64_t t[3]={1,&x,t[2]}; int *p = x; 0:rax=-1; uint64_t 1:%rbx=0x8000000000000000; P1:rcx=p; int e[2]; atomic_t a=ATOMIC_INIT(5); }
P0 | P1 ;
locations [x;b;u;y;t;p;e;a;0:rax;1:rbx;1:rcx]
forall (true)`;
    const [state] = enumerateLitmus(parseLitmus(text, 'init'), 'sc').verdict.states;
    expect(state!.text).toBe(
      '0:rax=-1; 1:rbx=9223372036854775808; 1:rcx=p; [a]=5; [b]=255; e[0]=0; e[1]=0; [p]=x; t[0]=1; t[1]=x; t[2]=t+16; [u]=18446744073709551615; [x]=16; [y]=-3;',
    );
  });

  it.each([
    ['x=1', true],
    ['[x]=1 /\\ y=2', true],
    ['x=0x1 /\\ y==2 \\/ false', true],
    ['x!=1', false],
    ['~(x=1)', false],
    ['not x=2', true],
    ['x=2 => y=7', true],
    ['x=1 => y=7', false],
    // => binds more tightly than /\, and /\ than \/.
    ['true \\/ true /\\ false', true],
    ['false /\\ true => true', false],
    ['0:EAX=x', true],
    ['0:EAX=y', false],
    ['0:EBX=[x]', true],
    ['0:EBX=*y', false],
    ['0:EBX=1:ECX', true],
    ['x=[y]', false],
    ['m=-1 /\\ m=4294967295 /\\ m=0xffffffff', true],
    ['m=18446744073709551615', false],
    ['t={5,-6}', true],
    ['t={5,6}', false],
    ['t[1]=-6', true],
    ['0:ESI=t[1]', true],
    ['0:ESI=t+4', true],
  ])('the condition %s is %s', (condition, expected) => {
    const text = `X86 c\n{ x=1; y=2; m=-1; int t[2]={5,-6}; 0:EAX=x; 0:EBX=1; 1:ECX=1; 0:ESI=t[1]; }\nP0 | P1;\nNOP | NOP;\nexists (${condition})`;
    const program = parseLitmus(text, 'c');
    expect(enumerateLitmus(program, 'sc').verdict.validated).toBe(expected);
    // The printed form means the same.
    const printed = text.replace(/exists.*$/s, conditionText(program));
    expect(enumerateLitmus(parseLitmus(printed, 'c'), 'sc').verdict.validated).toBe(expected);
  });

  it('quantifiers in all their spellings', () => {
    const quantifier = (text: string): string => parseLitmus(`X86 q\n{}\nP0;\nNOP;\n${text}`, 'q').quantifier;
    expect(
      ['exists x=1', '~exists (x=1)', '~ exists x=1', 'not exists x=1', 'forall x=1;', 'final x=1', ''].map(
        quantifier,
      ),
    ).toEqual(['exists', '~exists', '~exists', '~exists', 'forall', 'exists', 'forall']);
    expect(quantifier('exists x=1\nwith tso: ~exists; sc: forall')).toBe('exists');
  });

  it.each([
    ['', 1, 'init block'],
    ['ARM a\n{}\nP0;\nexists x=1', 1, "architecture 'ARM' is not X86 or X86_64"],
    ['X86 a\nwhat is this\n{}\nP0;', 2, "found 'what is this'"],
    ['X86 a\n{ x=1;\nP0;', 2, 'no closing }'],
    ['X86 a\n{ x=1;\n x=2; }\nP0;\n', 3, 'x is initialised twice'],
    ['X86 a\n{\n\nfloat x=1; }\nP0;\n', 4, "unknown type 'float'"],
    ['X86 a\n{ int t[2]={1}; }\nP0;\n', 2, 'an array of 2 has 1 initial values'],
    ['X86 a\n{ 7:EAX=1; }\nP0;\n', 2, 'there is no thread P7'],
    ['X86 a\n{ 0:EMX=1; }\nP0;\n', 2, "'EMX' is not a register"],
    ['X86 a\n{ x=99999999999999999999; }\nP0;\n', 2, 'does not fit in 64 bits'],
    ['X86 a\n{}\n', 2, 'there is no program'],
    ['X86 a\n{}\nP0 | Q1;\n', 3, "found 'Q1'"],
    ['X86 a\n{}\nP0 | P0;\n', 3, 'P0 stands there twice'],
    ['X86 a\n{}\nP0;\nMOV [x],$1 | MOV [y],$1;\n', 4, '2 cells for 1 threads'],
    ['X86 a\n{}\nP0;\n\n\nFROB EAX;\n', 6, "unknown instruction 'FROB'"],
    ['X86_64 a\n{}\nP0;\nmovnti %eax,(x);\n', 4, "'movnti' is a non-temporal store"],
    ['X86_64 a\n{}\nP0;\nclflush (x);\n', 4, "'clflush' is about caches"],
    ['X86_64 a\n{}\nP0;\nmovq %xmm0,(x);\n', 4, "'%xmm0' is not a register"],
    ['X86 a\n{}\nP0;\nMOV EAX;\n', 4, 'MOV takes two operands, not 1'],
    ['X86 a\n{}\nP0;\nMOV $1,EAX;\n', 4, 'a number cannot be the destination'],
    ['X86 a\n{}\nP0;\nMOV [x],[y];\n', 4, 'only one operand can be in memory'],
    ['X86 a\n{}\nP0;\nMOV EAX,x;\n', 4, 'write [x] for the memory'],
    ['X86 a\n{}\nP0;\nLOCK MOV [x],$1;\n', 4, 'the lock prefix needs a read-modify-write of memory'],
    ['X86 a\n{}\nP0;\nLOCK INC EAX;\n', 4, 'the lock prefix needs a read-modify-write of memory'],
    ['X86_64 a\n{}\nP0;\nmovl (%rax,%rbx,3),%eax;\n', 4, "scale '3'"],
    ['X86_64 a\n{}\nP0;\nmovl (),%eax;\n', 4, '() is not an address'],
    ['X86_64 a\n{}\nP0;\nmovzx (x),%al;\n', 4, 'extends nothing'],
    ['X86 a\n{}\nP0;\nJNE L0;\n', 4, 'P0 has no label L0'],
    ['X86 a\n{}\nP0;\nL0:;\nL0:;\n', 5, 'label L0 stands twice'],
    ['X86 a\n{}\nP0;\nNOP;\nexists (x=1', 5, "expected ')' to close ("],
    ['X86 a\n{}\nP0;\nNOP;\nexists (x)', 5, "expected '='"],
    ['X86 a\n{}\nP0;\nNOP;\nexists x=1 y=2', 5, "unexpected 'y'"],
    ['X86 a\n{}\nP0;\nNOP;\nexists 3:EAX=1', 5, 'there is no thread P3'],
    ['X86 a\n{ int t[2]; }\nP0;\nNOP;\nexists t=1', 5, 'an array is compared with a list'],
    ['X86 a\n{ int t[2]; }\nP0;\nNOP;\nexists t[2]=1', 5, 't[2] is beyond the end of t'],
    ['X86 a\n{}\nP0;\nNOP;\nexists (x=1 # 2)', 5, "unexpected character '#'"],
    ['X86 a\n{}\nP0;\nNOP;\nlocations [x y;]\nexists x=1', 5, "expected ';' between locations"],
    ['X86 a\n{}\nP0;\nNOP;\n(* exists', 5, 'comment (* has no end'],
  ])('%j is refused at line %i: %s', (text, line, message) => {
    expect(() => parseLitmus(text, 'dir/bad.litmus')).toThrow(
      expect.objectContaining({
        code: 'SMPLAB_BAD_LITMUS',
        message: expect.stringMatching(
          new RegExp(`^dir/bad\\.litmus:${line}: .*${message.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}`),
        ),
      }),
    );
  });
});
