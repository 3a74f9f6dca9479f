/** The tour's last chapter: a race of kvm-54 is looked for, found, and shown as the order that makes it. */
import { type Hunt, huntStuckCpu } from '#machine/hunt';
import { walkSymbols } from '#machine/walk';
import type { TraceModel } from '#report/model';
import type { Paint } from '#report/paint';
import { EventType, Instruction, type TraceEvent } from '#trace/events';
import { TOUR_CPUS, excerpt, heading } from './tour-page.ts';

const SHOWN: ReadonlySet<string> = new Set([
  'cpu_down',
  'cpu_up',
  'on_each_cpu',
  'vmx_hardware_enable',
  'register_cpu_notifier',
  'take_cpu_down',
  'play_dead',
]);
/** Shown only where CPU 2 does it: the others enable themselves as they should. */
const OF_CPU_2: ReadonlySet<string> = new Set(['vmx_hardware_enable', 'take_cpu_down', 'play_dead']);
const INSTRUCTIONS: ReadonlySet<number> = new Set([Instruction.VMXON, Instruction.INIT, Instruction.SIPI]);
const KINDS: ReadonlySet<EventType> = new Set([
  EventType.FUNCTION_ENTRY,
  EventType.INSTRUCTION,
  EventType.HOTPLUG,
]);

/** From the cpu_down of CPU 2 on: what came before is the same on a good run. */
function decisive(events: readonly TraceEvent[]): TraceEvent[] {
  const start = events.findLast(
    ({ type, a, b }) => type === EventType.FUNCTION_ENTRY && walkSymbols(a) === 'cpu_down' && b === 2,
  );
  return events.filter(({ sequence }) => sequence >= (start?.sequence ?? 0));
}

function interleaving(hunt: Hunt, paint: Paint): string[] {
  const events = decisive(hunt.events);
  const model: TraceModel = {
    events,
    earlier: hunt.events.filter(({ sequence }) => sequence < (events[0]?.sequence ?? 0)),
    symbols: walkSymbols,
    cpus: TOUR_CPUS,
    lost: 0,
    log: [],
    findings: [],
  };
  const comesBack = events.findLast(({ a }) => walkSymbols(a) === 'cpu_up')?.sequence ?? 0;
  const page = { model, paint, width: 100, svmData: undefined };
  return excerpt(page, {
    show: SHOWN,
    kinds: KINDS,
    keep: ({ event, symbol }) => {
      if (event.type === EventType.INSTRUCTION) {
        // A STARTUP of its last start may still have been on its way: not part of this.
        const stale = event.a === Instruction.SIPI && event.sequence < comesBack;
        return event.cpu === 2 && INSTRUCTIONS.has(event.a) && !stale;
      }
      if (event.type === EventType.HOTPLUG) return event.b === 2;
      return symbol === undefined || !OF_CPU_2.has(symbol) || event.cpu === 2;
    },
  });
}

/** @param number of the chapter */
export async function raceChapter(number: number, paint: Paint, signal: AbortSignal): Promise<string[]> {
  const title = heading(number, 'A race: kvm-intel loads while a CPU goes offline', paint);
  const hunt = await huntStuckCpu({ signal });
  if (hunt.seed === undefined) return [...title, paint.bad(`Not found in ${hunt.tried} random orders.`)];
  return [
    ...title,
    'kvm_init holds no lock against hotplug between on_each_cpu(hardware_enable) and its notifier.',
    `An Intel machine, one CPU at a time, a random order for each seed; seed ${hunt.seed} breaks it.`,
    ...interleaving(hunt, paint),
    paint.bad(`FOUND  CPU 2 cannot be started again: cpu_up(2) answers ${hunt.error} (-EIO)`),
    'It was switched on and died before KVM heard of dying CPUs: still in VMX root, INIT is blocked.',
    'The same seed gives the same order, every time. Linux 6.3 holds cpus_read_lock while it enables.',
  ];
}
