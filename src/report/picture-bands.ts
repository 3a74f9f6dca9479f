/** What each CPU is and holds while the run goes by, as far as the trace tells: masks, registers, flags, locks. */
import { ContextFlag, EventType, Instruction, Milestone, Outcome } from '#trace/events';
import type { BandSpan, PictureBand, PictureLock, PictureRegister } from '#page/data';
import { value64 } from './event-text.ts';
import { hex, msrName } from './names.ts';

const EFER = 0xc0000080;
const EFER_SVME = 1n << 12n;
const CR4_VMXE = 1n << 13n;

/** Registers that say whether a CPU virtualises. */
const TOLD_MSRS: ReadonlySet<number> = new Set([EFER, 0x3a, 0xc0010114, 0xc0010117]);

const HINTS: Readonly<Record<string, string>> = {
  online: 'in cpu_online_map',
  enabled: 'its bit in cpus_hardware_enabled',
  SVME: 'EFER.SVME: SVM is on',
  VMXE: 'CR4.VMXE',
  'VMX root': 'in VMX operation, between VMXON and VMXOFF',
  'irqs off': 'interrupts are off',
  'no preempt': 'preemption is off',
};
const ORDER = Object.keys(HINTS);

/** Masks that become a band, by the name of their first word. */
const MASKS: ReadonlyMap<string, string> = new Map([
  ['cpu_online_map', 'online'],
  ['cpus_hardware_enabled', 'enabled'],
]);
/** `cpu_online_map.bits[1]`, or by its place: `cpu_online_map`, `cpu_online_map+4`. */
const MASK_WORD = /^(\w+)(?:\.bits\[(\d+)\]|\+(\d+))?$/;

/** One fact about one CPU: since when it is so. */
interface Standing {
  readonly from: number;
  /** Undefined: not known. */
  readonly on: boolean | undefined;
}

export class Bands {
  readonly #cpus: number;
  readonly #now = new Map<string, Standing>();
  readonly #spans = new Map<string, BandSpan[]>();
  readonly #registers: PictureRegister[] = [];
  readonly #held = new Map<string, { readonly cpu: number; readonly from: number; readonly name: number }>();
  readonly #locks: PictureLock[] = [];
  readonly #intern: (text: string) => number;

  constructor(cpus: number, intern: (text: string) => number) {
    this.#cpus = cpus;
    this.#intern = intern;
  }

  /** From `at` on it is so. @param before what it must have been until then */
  #set(band: string, cpu: number, at: number, on: boolean, before?: boolean): void {
    const key = `${band} ${cpu}`;
    const now = this.#now.get(key) ?? { from: 0, on: undefined };
    if (now.on === on) return;
    this.#close(band, cpu, now.on ?? before, now.from, at);
    this.#now.set(key, { from: now.on === undefined && before === on ? now.from : at, on });
  }

  #close(band: string, cpu: number, on: boolean | undefined, from: number, to: number): void {
    if (on === undefined || to <= from) return;
    const spans = this.#spans.get(band) ?? [];
    this.#spans.set(band, spans);
    const last = spans.findLast(([of]) => of === cpu);
    if (last?.[2] === from && last[3] === Number(on)) {
      spans[spans.indexOf(last)] = [cpu, last[1], to, Number(on)];
    } else spans.push([cpu, from, to, Number(on)]);
  }

  context(cpu: number, at: number, context: number): void {
    this.#set('irqs off', cpu, at, (context & ContextFlag.IRQS_OFF) !== 0, false);
    this.#set('no preempt', cpu, at, (context & ContextFlag.PREEMPT_OFF) !== 0, false);
  }

  /** A word of a mask was read, or written. */
  memory(variable: string, at: number, before: number | undefined, after: number | undefined): void {
    const [, name = '', word = 0, offset = 0] = MASK_WORD.exec(variable) ?? [];
    const band = MASKS.get(name);
    const now = after ?? before;
    if (band === undefined || now === undefined) return;
    for (
      let bit = 0, cpu = Number(word) * 32 + Number(offset) * 8;
      bit < 32 && cpu < this.#cpus;
      bit++, cpu++
    ) {
      const was = before === undefined ? undefined : ((before >>> bit) & 1) === 1;
      this.#set(band, cpu, at, ((now >>> bit) & 1) === 1, was);
    }
  }

  /** Of an event that tells what a register holds, or that a CPU came or went. */
  event(type: EventType, cpu: number, at: number, a: number, b: number, c: number, d: number): void {
    const value = value64(b, c);
    if (type === EventType.HOTPLUG) this.#milestone(a, b, at);
    else if ((type === EventType.MSR_READ || type === EventType.MSR_WRITE) && d === 0) {
      if (a === EFER) {
        const on = (value & EFER_SVME) !== 0n;
        this.#set('SVME', cpu, at, on, type === EventType.MSR_READ ? on : undefined);
      }
      if (TOLD_MSRS.has(a)) this.#register(at, cpu, msrName(a), value);
    } else if (type === EventType.INSTRUCTION && d === Outcome.SUCCESS) this.#instruction(a, cpu, at, value);
  }

  #milestone(milestone: number, cpu: number, at: number): void {
    if (milestone === Milestone.ONLINE_BIT_SET) this.#set('online', cpu, at, true, false);
    if (milestone === Milestone.ONLINE_BIT_CLEARED) this.#set('online', cpu, at, false, true);
  }

  #instruction(instruction: number, cpu: number, at: number, value: bigint): void {
    if (instruction === Instruction.MOV_TO_CR4) {
      this.#set('VMXE', cpu, at, (value & CR4_VMXE) !== 0n);
      this.#register(at, cpu, 'CR4', value);
    }
    if (instruction === Instruction.VMXON) this.#set('VMX root', cpu, at, true, false);
    if (instruction === Instruction.VMXOFF) this.#set('VMX root', cpu, at, false, true);
  }

  #register(at: number, cpu: number, name: string, value: bigint): void {
    this.#registers.push([at, cpu, this.#intern(name), this.#intern(hex(value))]);
  }

  takes(lock: number, name: string, cpu: number, at: number): void {
    if (this.#held.has(`${lock} ${cpu}`)) return;
    this.#held.set(`${lock} ${cpu}`, { cpu, from: at, name: this.#intern(name) });
  }

  gives(lock: number, cpu: number, at: number): void {
    // A lock may be given back on another CPU than it was taken on: its task has moved.
    const own = `${lock} ${cpu}`;
    const key = this.#held.has(own) ? own : [...this.#held.keys()].find((of) => of.startsWith(`${lock} `));
    const held = key === undefined ? undefined : this.#held.get(key);
    if (key === undefined || held === undefined) return;
    this.#held.delete(key);
    if (at > held.from) this.#locks.push([held.cpu, held.from, at, held.name]);
  }

  finish(end: number): {
    readonly bands: PictureBand[];
    readonly locks: PictureLock[];
    readonly registers: PictureRegister[];
  } {
    for (const [key, { from, on }] of this.#now) {
      const space = key.lastIndexOf(' ');
      this.#close(key.slice(0, space), Number(key.slice(space + 1)), on, from, end);
    }
    for (const { cpu, from, name } of this.#held.values()) this.#locks.push([cpu, from, end, name]);
    const isTold = (band: string): boolean => this.#spans.get(band)?.some(([, , , on]) => on === 1) === true;
    return {
      bands: ORDER.filter(isTold).map((name) => ({
        name,
        hint: HINTS[name]!,
        spans: this.#spans.get(name)!.toSorted(([a, from], [b, after]) => a - b || from - after),
      })),
      locks: this.#locks.toSorted(([a, from], [b, after]) => a - b || from - after),
      registers: this.#registers,
    };
  }
}
