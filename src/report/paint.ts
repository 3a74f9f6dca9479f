/** Colour, for who asks for it. The plain painter changes nothing, so every view reads the same without colour. */

export interface Paint {
  /** What a CPU does, in that CPU's colour. */
  cpu(cpu: number, text: string): string;
  strong(text: string): string;
  faint(text: string): string;
  good(text: string): string;
  bad(text: string): string;
}

const same = (text: string): string => text;

export const plain: Paint = { cpu: (_cpu, text) => text, strong: same, faint: same, good: same, bad: same };

/** Foregrounds that read on dark and on light grounds: cyan, yellow, magenta, green, blue, and their bright forms. */
const CPU_COLOURS: readonly number[] = [36, 33, 35, 32, 34, 96, 93, 95, 92, 94];

const sgr = (code: number, text: string): string => (text === '' ? '' : `\u001B[${code}m${text}\u001B[0m`);

export const ansi: Paint = {
  cpu: (cpu, text) => sgr(CPU_COLOURS[cpu % CPU_COLOURS.length]!, text),
  strong: (text) => sgr(1, text),
  faint: (text) => sgr(2, text),
  good: (text) => sgr(32, text),
  bad: (text) => sgr(31, text),
};
