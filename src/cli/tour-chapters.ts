/** What the tour says at each stage. The words are about kvm-54; the lines between them come from the trace. */
import type { StageReport } from '#machine/walk-report';
import { dmesgLines, placeLog } from '#report/dmesg';
import type { FlowLine } from '#report/flow';
import { symbolAt, traceBelow } from '#report/model';
import { EventType, Instruction, Milestone } from '#trace/events';
import { type TourPage, TOUR_LAST, answer, excerpt, failures, heading, holds } from './tour-page.ts';

const { FUNCTION_ENTRY, IRQ_ENTRY, IPI_SEND, MSR_READ, MSR_WRITE, INSTRUCTION, HOTPLUG, PRINTK, FINDING } =
  EventType;

/** How cross calls and locks do it is a story of its own. */
const PLUMBING: ReadonlySet<string> = new Set([
  'native_smp_call_function_mask',
  'smp_call_function_mask',
  'smp_call_function',
  'smp_call_function_interrupt',
  'kvm_arch_hardware_enable',
  'kvm_arch_hardware_disable',
  'kvm_arch_hardware_setup',
  'kvm_arch_hardware_unsetup',
  'kvm_arch_check_processor_compat',
  'notifier_call_chain',
]);

const CALLS: ReadonlySet<EventType> = new Set<EventType>([FUNCTION_ENTRY, PRINTK, FINDING]);

function only(...types: readonly EventType[]): ReadonlySet<EventType> {
  return new Set(types);
}

export function bootChapter(page: TourPage): string[] {
  const { paint } = page;
  return [
    ...heading(1, 'CPU 0 boots and wakes the others', paint),
    ...excerpt(page, {
      below: '__cpu_up',
      show: new Set(['start_secondary']),
      kinds: only(FUNCTION_ENTRY, IPI_SEND, INSTRUCTION, HOTPLUG, PRINTK),
      keep: ({ event }) => event.type !== INSTRUCTION || event.a !== SGDT,
    }),
    'CPU 1 answered; CPUs 2 and 3 come the same way, one after the other.',
    ...logSince(page, 'Brought up'),
  ];
}

const { SGDT } = Instruction;

function logSince(page: TourPage, words: string): string[] {
  const shown = placeLog(page.model).filter(({ text }) => text.includes(words));
  return dmesgLines(shown, page.paint);
}

export function loadChapters(page: TourPage, stage: StageReport): string[] {
  return [
    ...initChapter(page),
    ...setupChapter(page),
    ...compatChapter(page),
    ...enableChapter(page),
    ...registerChapter(page),
    ...failures(stage, page.paint),
  ];
}

function initChapter(page: TourPage): string[] {
  const { paint } = page;
  const isMsr = ({ event }: FlowLine): boolean => event.type === MSR_READ && event.a !== VM_CR;
  let msrs = 0;
  return [
    ...heading(2, 'insmod kvm-amd on CPU 1: svm_init() hands its kvm_x86_ops to kvm_init()', paint),
    ...excerpt(page, {
      below: 'svm_init',
      show: new Set(['svm_init', 'kvm_init']),
      kinds: only(FUNCTION_ENTRY),
    }),
    answer(
      '"vmx (Intel)", left empty: vmx_init() makes two I/O bitmaps, then calls the same kvm_init()',
      paint,
    ),
    'kvm_init_debug() makes 25 files under /sys/kernel/debug/kvm. Then kvm_arch_init():',
    ...excerpt(page, {
      below: 'kvm_arch_init',
      collapse: 3,
      fold: new Set(['kmem_cache_create']),
      kinds: only(FUNCTION_ENTRY, MSR_READ, INSTRUCTION),
      keep: (line) => !isMsr(line) || ++msrs <= MSRS_SHOWN,
    }),
    `   (${msrs - MSRS_SHOWN} more MSRs are probed the same way, on this CPU only)`,
    answer(
      '"3 lookaside caches for ...": who points to a shadow page, who maps a guest page, shadow pages',
      paint,
    ),
    answer(
      '"MSRs into msrs_to_save for ...": which exist, not their values: user space has to save those',
      paint,
    ),
  ];
}

const VM_CR = 0xc0010114;
const MSRS_SHOWN = 1;

function setupChapter(page: TourPage): string[] {
  const { paint } = page;
  return [
    ...heading(3, 'svm_hardware_setup(): permission maps, and svm_data for every CPU that is online', paint),
    ...excerpt(page, {
      below: 'svm_hardware_setup',
      collapse: 5,
      kinds: CALLS,
      fold: new Set(['svm_cpu_init', 'alloc_pages']),
    }),
    'The maps start as all ones (intercept everything): 4 pages for I/O ports, 2 for MSRs. Each',
    'set_msr_interception(msr, 1, 1) clears two bits: the guest may touch that MSR itself.',
    'All by CPU 1, no cross call; a CPU that is offline now gets nothing, and will miss it.',
  ];
}

function compatChapter(page: TourPage): string[] {
  const { paint } = page;
  const calls = placedCompat(page);
  return [
    ...heading(4, 'Is every CPU good enough? One after the other, in an interrupt', paint),
    ...calls,
    answer(
      '"gives back a NULL pointer (is that correct??)": no, it returns nothing and stores 0 through rtn',
      paint,
    ),
  ];
}

/** The checks of all CPUs: kvm_init's part between setup and the enabling broadcast. */
function placedCompat(page: TourPage): string[] {
  return excerpt(page, {
    below: 'kvm_init',
    omit: new Set(['kvm_init', ...PLUMBING]),
    kinds: only(FUNCTION_ENTRY),
    keep: betweenCalls(page, 'smp_call_function_single', 'on_each_cpu'),
  });
}

/** From the first call of one function to before the first call of another. */
function betweenCalls(page: TourPage, from: string, to: string): (line: FlowLine) => boolean {
  const { model } = page;
  const first = (symbol: string): number =>
    model.events.find(({ type, a }) => type === FUNCTION_ENTRY && model.symbols(a) === symbol)?.sequence ??
    Infinity;
  const start = first(from);
  const end = first(to);
  return ({ event }) => event.sequence >= start && event.sequence < end;
}

function enableChapter(page: TourPage): string[] {
  const { paint, svmData } = page;
  const values =
    svmData === undefined
      ? 'the ASIDs, tss_desc'
      : `asid_generation ${svmData.asid_generation}, max_asid ${svmData.max_asid}, next_asid ${svmData.next_asid}, tss_desc`;
  return [
    ...heading(5, 'on_each_cpu(hardware_enable): the others at once, then this CPU itself', paint),
    ...excerpt(page, {
      below: 'on_each_cpu',
      omit: PLUMBING,
      fold: new Set(['has_svm']),
      kinds: only(FUNCTION_ENTRY, IRQ_ENTRY, IPI_SEND, MSR_WRITE, PRINTK, FINDING),
      keep: ({ symbol, event }) =>
        symbol !== 'has_svm' && !(event.type === IRQ_ENTRY && event.a !== CALL_FUNCTION),
    }),
    answer(`"assigns values to ... members?": yes: ${values}`, paint),
    answer(
      '"The next wrmsrl() writes ...????" where this CPU saves the host on VMRUN: its save_area page',
      paint,
    ),
  ];
}

const CALL_FUNCTION = 2;

function registerChapter(page: TourPage): string[] {
  const { paint } = page;
  return [
    ...heading(6, 'From here on the world can see it: notifiers, sysdev, cache, /dev/kvm', paint),
    ...wrapped(fromOn(calledBy(page, 'kvm_init'), 'register_cpu_notifier'), ' > '),
    ...excerpt(page, { below: 'kvm_init', show: new Set(), kinds: only(PRINTK) }),
    answer('"alignment requirements of fx_save": FXSAVE wants 16 bytes; kmalloc only promises 8', paint),
    answer(
      '"preempt_notifier_sys_init() which ...???": nothing: kernels since 2.6.23 notify by themselves',
      paint,
    ),
  ];
}

const HOTPLUG_CALLS: ReadonlySet<string> = new Set([
  'cpu_down',
  'cpu_up',
  'kvm_cpu_hotplug',
  'hardware_disable',
  'hardware_enable',
  'svm_hardware_disable',
  'svm_hardware_enable',
  'kfree',
  '__free_page',
  'play_dead',
  'start_secondary',
]);

/** kvm_cpu_hotplug is called for every action, and does something on these. */
const ACTIONS: ReadonlySet<number> = new Set([0x2, 0xa]);

function hotplugExcerpt(page: TourPage, below: string): string[] {
  return excerpt(page, {
    below,
    show: HOTPLUG_CALLS,
    kinds: only(FUNCTION_ENTRY, IRQ_ENTRY, IPI_SEND, MSR_WRITE, HOTPLUG, PRINTK, FINDING),
    keep: ({ event, symbol }) => {
      if (event.type === IRQ_ENTRY) return event.a === CALL_FUNCTION;
      if (event.type === IPI_SEND) return event.a === CALL_FUNCTION;
      if (event.type === HOTPLUG) return event.a !== CALLIN && event.a !== CALLOUT;
      return symbol !== 'kvm_cpu_hotplug' || ACTIONS.has(event.c);
    },
  });
}

const { CALLIN, CALLOUT } = Milestone;

export function offlineChapter(page: TourPage, stage: StageReport): string[] {
  const { paint } = page;
  return [
    ...heading(7, 'echo 0 > /sys/devices/system/cpu/cpu3/online', paint),
    ...hotplugExcerpt(page, 'cpu_down'),
    'The dying CPU switches SVM off itself, while all others stand still, and frees its svm_data.',
    holds(stage, TOUR_LAST, paint),
    ...failures(stage, paint),
  ];
}

export function onlineChapter(page: TourPage, stage: StageReport): string[] {
  const { paint } = page;
  return [
    ...heading(8, 'echo 1 > /sys/devices/system/cpu/cpu3/online', paint),
    ...hotplugExcerpt(page, 'cpu_up'),
    'kvm-54 allocates svm_data at load only: the CPU is back, its bit says "enabled", and SVM is off.',
    'A guest scheduled there would oops. 2.6.27 frees it at unload only; 2.6.33 allocates for every CPU.',
    holds(stage, TOUR_LAST, paint),
    ...failures(stage, paint),
  ];
}

export function unloadChapter(page: TourPage, stage: StageReport): string[] {
  const { paint } = page;
  return [
    ...heading(9, 'rmmod kvm-amd: kvm_exit() gives everything back, in reverse', paint),
    ...wrapped(calledBy(page, 'kvm_exit'), ' > '),
    `on_each_cpu(hardware_disable) switched SVM off on CPU ${switchedOff(page).join(', then ')}.`,
    'CPU 3 has no svm_data: nothing is written there, and only its bit is cleared.',
    ...failures(stage, paint),
  ];
}

const EFER = 0xc0000080;

/** CPUs whose EFER was written, in the order they did it. */
function switchedOff({ model }: TourPage): number[] {
  return model.events.filter(({ type, a }) => type === MSR_WRITE && a === EFER).map(({ cpu }) => cpu);
}

/** From the first of these names on. */
function fromOn(names: readonly string[], first: string): readonly string[] {
  return names.slice(Math.max(0, names.indexOf(first)));
}

/** What a function calls itself, in order. */
function calledBy(page: TourPage, caller: string): string[] {
  const { model } = page;
  const called = traceBelow(model, caller)?.events ?? [];
  const [call] = called;
  return called
    .filter(
      ({ type, cpu, depth, pid }) =>
        type === FUNCTION_ENTRY && cpu === call?.cpu && pid === call.pid && depth === call.depth + 1,
    )
    .map(({ a }) => symbolAt(model, a));
}

const WRAP = 96;

function wrapped(words: readonly string[], between: string): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + between.length + word.length <= WRAP) {
      lines[lines.length - 1] = `${last}${between}${word}`;
    } else lines.push(word);
  }
  return lines.map((line, at) => (at === lines.length - 1 ? `  ${line}` : `  ${line}${between.trimEnd()}`));
}
