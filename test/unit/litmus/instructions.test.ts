/** What single instructions do, each as a test of one thread whose every end is known. */
import { describe, expect, it } from 'vitest';
import { parseLitmus } from '#litmus/parse';
import { enumerateLitmus } from '../../support/litmus-model.ts';

/** The one final state of a test with one thread. */
function end(text: string): string {
  const { verdict, complete } = enumerateLitmus(parseLitmus(text, 'one'), 'tso');
  expect(complete).toBe(true);
  expect(verdict.states).toHaveLength(1);
  return verdict.states[0]!.text;
}

function att(initial: string, lines: string[], locations: string): string {
  return end(
    `X86_64 one\n{ ${initial} }\nP0;\n${lines.map((line) => `${line} ;`).join('\n')}\nlocations [${locations}]\nforall (true)`,
  );
}

function intel(initial: string, lines: string[], locations: string): string {
  return end(
    `X86 one\n{ ${initial} }\nP0;\n${lines.map((line) => `${line} ;`).join('\n')}\nlocations [${locations}]\nforall (true)`,
  );
}

// prettier-ignore
const CASES: [string, string, string[], string, string][] = [
  ['movl clears the upper half of its register', 'int64_t 0:rax=-1;', ['movl $1,%eax'], '0:rax int64_t;', '0:rax=1;'],
  ['movw and movb leave the rest of theirs', 'int64_t 0:rax=-1;', ['movw $0,%ax', 'movb $1,%ah'], '0:rax int64_t;', '0:rax=-65280;'],
  ['the four names of one register', '0:rbx=0x11223344;', [], '0:ebx; 0:bx; 0:bl; 0:bh;', '0:ebx=287454020; 0:bx=13124; 0:bl=68; 0:bh=51;'],
  ['movabs and 64-bit memory are exact', 'uint64_t x;', ['movabsq $0x7fffffffffffffff,%rax', 'movq %rax,(x)', 'incq (x)'], 'x;', '[x]=9223372036854775808;'],
  ['accesses of a byte change a byte', 'x=-1;', ['movb $0,(x)', 'movzbl (x),%eax', 'movsbl (x),%ebx', 'movswl (x),%ecx'], '0:eax; 0:ebx; 0:ecx; x;', '0:eax=0; 0:ebx=0; 0:ecx=-256; [x]=-256;'],
  ['movslq extends the sign', 'x=-2;', ['movslq (x),%rax'], '0:rax int64_t;', '0:rax=-2;'],
  ['a variable may be used through its address', '0:rax=x; int t[3]={7,8,9}; 0:rsi=t;', ['movl $3,(%rax)', 'movl 4(%rsi),%ebx', 'movq $2,%rdi', 'movl (%rsi,%rdi,4),%ecx', 'leaq t+4(,%rdi,2),%rdx'], 'x; 0:ebx; 0:ecx; 0:rdx;', '0:ebx=8; 0:ecx=9; 0:rdx=t+8; [x]=3;'],
  ['a negative index counts back', 'int t[3]={7,8,9}; 0:rsi=t[2];', ['movq $-1,%rdi', 'movl (%rsi,%rdi,4),%eax'], '0:eax;', '0:eax=8;'],
  ['an address can be stored and followed', 'int *p; x=5;', ['movq $x,(p)', 'movq (p),%rax', 'movl (%rax),%ebx'], 'p; 0:ebx;', '0:ebx=5; [p]=x;'],
  ['xchg swaps', 'x=1; 0:eax=2;', ['xchgl %eax,(x)'], '0:eax; x;', '0:eax=1; [x]=2;'],
  ['xadd answers the old value', 'x=1; 0:eax=2;', ['lock xaddl %eax,(x)'], '0:eax; x;', '0:eax=1; [x]=3;'],
  ['xadd of a register with itself doubles it', '0:eax=4;', ['xaddl %eax,%eax'], '0:eax;', '0:eax=8;'],
  ['cmpxchg that succeeds', 'x=1; 0:eax=1; 0:ebx=9;', ['lock cmpxchgl %ebx,(x)', 'sete %cl'], '0:eax; 0:cl; x;', '0:eax=1; 0:cl=1; [x]=9;'],
  ['cmpxchg that fails takes the value', 'x=3; 0:eax=1; 0:ebx=9;', ['lock; cmpxchgl %ebx,(x)', 'sete %cl'], '0:eax; 0:cl; x;', '0:eax=3; 0:cl=0; [x]=3;'],
  ['cmpxchg in the order of older herds', 'x=1; 0:eax=1; 0:ebx=9;', ['lock cmpxchgl (x),%ebx'], 'x;', '[x]=9;'],
  ['64-bit cmpxchg compares all of it', 'int64_t x=0x100000001; 0:rax=1; 0:rbx=9;', ['lock cmpxchgq %rbx,(x)'], 'x; 0:rax int64_t;', '0:rax=4294967297; [x]=4294967297;'],
  ['locked arithmetic', 'x=12;', ['lock addl $1,(x)', 'lock subl $3,(x)', 'lock andl $6,(x)', 'lock orl $8,(x)', 'lock xorl $1,(x)', 'lock incl (x)', 'lock decl (x)', 'lock notl (x)', 'lock negl (x)'], 'x;', '[x]=12;'],
  ['carry goes through adc and sbb, locked or not', 'x=0; y=5; 0:eax=-1;', ['addl $1,%eax', 'lock adcl $0,(x)', 'addl $-1,(y)', 'sbbl $0,(y)'], 'x; y;', '[x]=1; [y]=3;'],
  ['bit instructions', 'x=5;', ['lock btrl $0,(x)', 'setc %al', 'lock btsl $33,(x)', 'setc %bl', 'lock btcl $2,(x)', 'btl $1,(x)', 'setc %cl'], '0:al; 0:bl; 0:cl; x;', '0:al=1; 0:bl=0; 0:cl=1; [x]=2;'],
  ['a bit number in a register reaches beyond its word', 'int t[2]={0,0}; 0:eax=33; 0:rsi=t;', ['btsl %eax,(%rsi)'], 't;', 't[0]=0; t[1]=2;'],
  ['shifts count by %cl', '0:ecx=3; 0:eax=-16; 0:ebx=1;', ['sarl %cl,%eax', 'shll %cl,%ebx', 'shrl %ebx'], '0:eax; 0:ebx;', '0:eax=-2; 0:ebx=4;'],
  ['a dependency that is always zero', 'x=3; y=4;', ['movl (x),%eax', 'xorl %eax,%eax', 'addl $1,%eax'], '0:eax;', '0:eax=1;'],
  ['cmov moves if', '0:eax=1; 0:ebx=2; 0:ecx=3;', ['cmpl $1,%eax', 'cmovel %ebx,%eax', 'cmovnel %ebx,%ecx'], '0:eax; 0:ecx;', '0:eax=2; 0:ecx=3;'],
  ['jumps skip, and a loop on registers counts', '0:ecx=5;', ['L0: addl $2,%eax', 'decl %ecx', 'jne L0', 'jmp END', 'movl $99,%eax', 'END:'], '0:eax;', '0:eax=10;'],
  ['ret ends the thread', '', ['movl $1,(x)', 'ret', 'movl $2,(x)'], 'x;', '[x]=1;'],
  ['symbolic registers are registers', '0:%a=x; x=4;', ['movl (%a),%b', 'movl %b,%eax'], '0:eax;', '0:eax=4;'],
  ['without a suffix the type of the variable says the size', 'int64_t x=-1; int8_t y=-1;', ['mov $1,(x)', 'mov $2,(y)'], 'x; y;', '[x]=1; [y]=2;'],
];

// prettier-ignore
const INTEL: [string, string, string[], string, string][] = [
  ['the destination comes first', 'x=1;', ['MOV EAX,[x]', 'MOV [y],EAX', 'ADD [y],$2', 'CMP EAX,$1', 'JE L', 'MOV [x],$9', 'L:'], 'x; y;', '[x]=1; [y]=3;'],
  ['numbers may stand without $, memory may have a width', '', ['MOV [x],7', 'MOV BYTE PTR [x+1],1', 'mov eax, dword ptr [x]'], '0:EAX;', '0:EAX=263;'],
  ['locked instructions', 'x=1; 0:EBX=5; 0:EAX=1;', ['LOCK; INC [x]', 'LOCK XADD [x],EBX', 'XCHG [y],EBX', 'LOCK DEC [x]'], '0:EBX; x; y;', '0:EBX=0; [x]=6; [y]=2;'],
  ['base, index and scale', 'int t[4]={1,2,3,4}; 0:ESI=t; 0:EDI=1;', ['MOV EAX,[ESI+EDI*8+4]', 'MOV EBX,[t+4]', 'LEA ECX,[ESI+EDI]'], '0:EAX; 0:EBX; 0:ECX;', '0:EAX=4; 0:EBX=2; 0:ECX=t+1;'],
  ['a register holds the address of a variable', '0:EBX=x;', ['MOV [EBX],$1', 'MOV EAX,[EBX]', 'MOV [p],$x'], '0:EAX; 0:EBX; p; x;', '0:EAX=1; 0:EBX=x; [p]=x; [x]=1;'],
  ['setnb and cmovc, which herd has', '0:EAX=1;', ['CMP EAX,$2', 'SETNB CL', 'CMOVC EAX,EBX'], '0:EAX; 0:CL;', '0:EAX=0; 0:CL=0;'],
];

describe('litmus instructions, X86_64', () => {
  it.each(CASES)('%s', (_, initial, lines, locations, expected) => {
    expect(att(initial, lines, locations)).toBe(expected);
  });
});

describe('litmus instructions, X86', () => {
  it.each(INTEL)('%s', (_, initial, lines, locations, expected) => {
    expect(intel(initial, lines, locations)).toBe(expected);
  });
});

describe('litmus instructions that touch no variable', () => {
  it.each([
    [
      'a null pointer',
      ['movl (%rax),%ebx'],
      "P0, line 4: 'movl (%rax),%ebx' touches address 0x0, where no variable is",
    ],
    ['beyond the variables', ['movl x+16,%ebx'], 'touches address'],
    ['an access that is not aligned', ['movl x+1,%ebx'], 'touches 4 bytes that are not aligned'],
  ])('%s is a fault that names the instruction', (_, lines, message) => {
    expect(() => att('x=0;', lines, 'x;')).toThrow(message);
  });
});
