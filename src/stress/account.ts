/** What a run has come to so far, over all its machines, and the report that is made of it. */
import { availableParallelism } from 'node:os';
import { EIO, ENOSYS } from '#base/errno';
import { num_online_cpus } from '#smp/cpumask';
import type { TortureKind } from '#kernel/torture/smptorture';
import { type Fault } from '#machine/config';
import { faultHits } from '#machine/faults';
import { type CallOutcome, type Machine } from '#machine/machine';
import type { Bark } from '#machine/watchdog';
import type { StressBook, StressCpu, StressReport } from '#report/stress-report';
import { Aftermath, type Holdings } from './aftermath.ts';
import { addBooks } from './books.ts';
import {
  type Ledger,
  type Tallies,
  type Tally,
  addTallies,
  countOps,
  noTallies,
  readLedger,
  readTallies,
  summaryOf,
} from './counters.ts';
import { Findings } from './findings.ts';
import type { HostClock } from '#machine/host-clock';
import { knownDefect } from './known.ts';
import type { StressConfig, StressProgress } from './config.ts';
import { Series, round } from './series.ts';
import type { Complaint } from './state.ts';
import {
  type Counted,
  EXPECTED_ERRORS,
  type Role,
  isKindCounted,
  isRoleCounted,
  planOf,
} from './workloads.ts';

const INTERVAL_SECONDS = 1;
/** Looks over which the rate of a live status is taken. */
const RATE_LOOKS = 8;
const NEVER = 0x7fffffff;
const SLOW_FAULTS = ['thread-stop', 'slow-cpu', 'ipi-delay'];
/** Oopses after which a machine has lost so much that another is better. */
const KILLED_MAX = 8;

/** An operation that fails because of a documented defect. */
interface Refusal {
  readonly kind: string;
  readonly of: TortureKind;
  readonly errors: readonly number[];
  readonly title: string;
  readonly known: string;
}

const REFUSALS: readonly Refusal[] = [
  {
    kind: 'vm-entry',
    of: 'vm-run',
    errors: [-EIO],
    title: 'a vCPU could not be entered',
    known: 'spec 5.2, 4.8: a vCPU whose mutex was taken was left out when its CPU went offline',
  },
  {
    kind: 'cpu-start',
    of: 'cpu_up',
    errors: [-EIO, -ENOSYS],
    title: 'a CPU could not be started',
    known:
      'spec 7.8: a CPU that went offline unheard is still in VMX operation, where INIT does not reach it',
  },
];

export class Run {
  readonly #config: StressConfig;
  readonly #begin = performance.now();
  readonly #series = new Series(INTERVAL_SECONDS);
  readonly findings: Findings;
  readonly #faults: readonly Fault[];
  /** How often each fault has struck: in machines that are off, and in all. */
  #pastHits: readonly number[];
  #hits: readonly number[];
  /** Of machines that are off. */
  #past: Tallies = noTallies();
  #pastBooks: StressBook[] = [];
  #pastSlowMs = 0;
  /** Of the machine that runs, when it was last counted. */
  #books: StressBook[] = [];
  #perCpu: StressCpu[] = [];
  readonly #of: Counted;
  /** Of machines that are off: all operations, those that count, and failures. */
  #opsPast = 0;
  #countedPast = 0;
  #failuresPast = 0;
  #opsTaken = 0;
  /** The last looks of a live status, oldest first. */
  #looks: { readonly seconds: number; readonly ops: number }[] = [];
  #machine: Machine | undefined;
  #clock: HostClock | undefined;
  #deadline = Infinity;
  #ended: StressReport['ended'] | undefined;
  #wantsMachine = false;
  #isDisarmed = true;
  /** Of the machine that runs. */
  #aftermath = new Aftermath();
  /** What a task with a VM has, and what KVM has that is loaded: found out once. */
  #ofVm: Holdings | undefined;
  #ofKvm: Holdings = new Map();
  #quietPoints = 0;
  #memory = { start: 0, end: 0, most: 0 };
  machines = 0;
  #hasKnownPanic = false;
  /** Tasks of the machine that runs which an oops has ended. */
  killed = 0;

  constructor(config: StressConfig) {
    this.#config = config;
    this.#of = config.of ?? 'all';
    this.#faults = config.faults ?? [];
    this.#pastHits = this.#faults.map(() => 0);
    this.#hits = this.#pastHits;
    this.findings = new Findings(config.traceFolder ?? '.', config.seed, this.#begin);
  }

  get seconds(): number {
    return (performance.now() - this.#begin) / 1_000;
  }

  get isInterrupted(): boolean {
    return this.#config.signal?.aborted === true;
  }

  /** The machine that runs has come to its end. */
  get hasEnded(): boolean {
    return this.#ended !== undefined || this.#wantsMachine;
  }

  get isOver(): boolean {
    if (this.#ended !== undefined || this.isInterrupted) return true;
    return this.seconds >= this.#deadline || this.#opsDone >= (this.#config.ops ?? Infinity);
  }

  /** Operations that bring the run nearer to its end. */
  get #opsDone(): number {
    if (this.#machine === undefined) return this.#countedPast;
    return this.#countedPast + countOps(this.#machine, (kind) => isKindCounted(kind, this.#of));
  }

  /** It is time to stand still: too many tasks have died. */
  get isShaken(): boolean {
    return this.killed >= KILLED_MAX;
  }

  /** The run goes on with another machine. */
  get wantsMachine(): boolean {
    return this.#wantsMachine;
  }

  get mayClose(): boolean {
    return !this.hasEnded;
  }

  machineOn(machine: Machine, clock: HostClock): void {
    this.#machine = machine;
    this.#clock = clock;
    this.machines += 1;
    this.#wantsMachine = false;
    this.#isDisarmed = true;
    this.killed = 0;
    this.#hasKnownPanic = false;
    this.#aftermath = new Aftermath();
    this.#series.restart();
  }

  /** Faults are armed and callers begin: the clock runs. */
  begin(): void {
    this.#isDisarmed = false;
    const { seconds } = this.#config;
    if (seconds !== undefined && this.#deadline === Infinity) this.#deadline = this.seconds + seconds;
  }

  /** @returns how many of `wanted` operations may be made: what others have taken may be made, and is left to them */
  takeOps(wanted: number, role: Role): number {
    const { ops } = this.#config;
    if (!isRoleCounted(role, this.#of)) return wanted;
    const left = ops === undefined ? Infinity : ops - this.#opsDone - this.#opsTaken;
    const taken = Math.max(0, Math.min(wanted, left));
    this.#opsTaken += taken;
    return taken;
  }

  giveOps(taken: number, role: Role): void {
    if (isRoleCounted(role, this.#of)) this.#opsTaken -= taken;
  }

  /** How a call has ended. */
  outcome(outcome: CallOutcome, symbol: string, machine: Machine): void {
    if (outcome.kind === 'returned') return;
    if (outcome.kind === 'killed') {
      this.killed += 1;
      // There is room for a few only.
      this.takeReports(machine);
      return;
    }
    if (this.hasEnded) return;
    if (outcome.kind === 'machine-check' && this.#isInjected('thread-kill', machine)) {
      this.findings.tell(
        {
          kind: 'machine-check',
          title: `machine check: the thread of CPU ${outcome.cpu} died`,
          cpu: outcome.cpu,
          stack: outcome.stack,
          detail: outcome.reason,
          known: 'injected: thread-kill; the run goes on with another machine',
        },
        machine,
      );
      this.#wantsMachine = true;
      return;
    }
    this.takeReports(machine);
    const known = this.#explained(outcome);
    if (known !== undefined) {
      const title = outcome.kind === 'hung' ? 'the machine hangs' : 'the machine has panicked';
      this.findings.tell({ kind: outcome.kind, title, known }, machine);
      this.#wantsMachine = true;
      return;
    }
    this.#ended = outcome.kind === 'panic' || outcome.kind === 'machine-check' ? outcome.kind : 'hung';
    if (outcome.kind === 'hung') {
      for (const { cpu, stack } of outcome.cpus)
        this.findings.tell({ kind: 'hung', title: `${symbol} does not end`, cpu, stack }, machine);
    }
  }

  /** Why a machine has come to its end, if that is nothing new: then the run goes on with another one. */
  #explained(outcome: CallOutcome): string | undefined {
    // What a task that an oops ended held, it holds for ever.
    if (outcome.kind === 'hung' && this.#aftermath.explainsHang(outcome.cpus))
      return 'tasks or kernel threads that an oops ended have kept what they held; the run goes on with another machine';
    return outcome.kind === 'panic' && this.#hasKnownPanic
      ? 'its oops is known; the run goes on with another machine'
      : undefined;
  }

  get needsHoldings(): boolean {
    return this.#ofVm === undefined;
  }

  /** @param ofVm what a task with a VM has @param ofKvm what KVM has that is loaded */
  setHoldings(ofVm: Holdings, ofKvm: Holdings): void {
    this.#ofVm = ofVm;
    this.#ofKvm = ofKvm;
  }

  /** Tasks of the machine that runs which had a VM when an oops ended them. */
  get lostVms(): number {
    return this.#aftermath.vms;
  }

  /** Tasks died that had KVM open, or were about to load or unload it. */
  get mayKeepKvm(): boolean {
    return this.#aftermath.vms > 0 || this.#aftermath.loads > 0;
  }

  /** What the watchdogs say. A CPU or a thread that an injected fault makes slow is expected to be. */
  barks(barks: readonly Bark[], machine: Machine): void {
    for (const { kind, title, cpu, stack } of barks) {
      const slow = SLOW_FAULTS.find((site) => this.#isInjected(site, machine));
      this.findings.tell(
        { kind, title, cpu, stack, ...(slow === undefined ? {} : { known: `injected: ${slow}` }) },
        machine,
      );
    }
  }

  /** Nothing has moved for so long that nothing will. */
  giveUp(machine: Machine): void {
    if (this.hasEnded) return;
    this.takeReports(machine);
    for (const { cpu, stack } of machine.stacks()) {
      if (stack[0] !== 'cpu_idle')
        this.findings.tell({ kind: 'hung', title: 'nothing moves any more', cpu, stack }, machine);
    }
    this.#ended = 'hung';
  }

  #isInjected(site: string, machine: Machine): boolean {
    this.keepFaults(machine);
    return this.#faults.some((fault, index) => fault.site === site && this.#hits[index]! > 0);
  }

  /**
   * The faults as the next machine is to have them. A thread that has been killed has been killed: the machine after it is another
   * one, and the fault is not its own.
   */
  get faults(): readonly Fault[] {
    return this.#faults.map((fault, index) => {
      if (fault.site !== 'thread-kill') return fault;
      const times = fault.times ?? (fault.probability === undefined ? 1 : Infinity);
      const left = times - this.#pastHits[index]!;
      return left <= 0 ? { ...fault, nth: NEVER } : Number.isFinite(left) ? { ...fault, times: left } : fault;
    });
  }

  /** The injected faults' hits so far. Called before faults are disarmed. */
  keepFaults(machine: Machine): void {
    if (this.#faults.length === 0 || this.#isDisarmed) return;
    const hits = machine.look(() => faultHits(this.#faults));
    this.#hits = this.#pastHits.map((past, index) => past + hits[index]!);
  }

  /** This machine's faults are over. */
  disarm(machine: Machine): void {
    this.keepFaults(machine);
    this.#isDisarmed = true;
    machine.injectFaults([]);
  }

  /** What the simulated kernel says about itself. */
  takeReports(machine: Machine): void {
    const patched = this.#config.patches !== undefined;
    this.keepFaults(machine);
    const struck = this.#faults.flatMap(({ site }, index) =>
      site === undefined || this.#hits[index] === 0 ? [] : [site],
    );
    const { records, lost } = machine.takeFindings();
    for (const record of records) {
      const { kind, title, cpu, stack, detail } = record;
      // Told by the call that it ended.
      if (kind === 'machine-check' && this.#isInjected('thread-kill', machine)) continue;
      if (kind === 'panic') this.#hasKnownPanic = this.#aftermath.explainsPanic(cpu);
      const known =
        kind === 'panic' && this.#hasKnownPanic
          ? 'its oops is known; the run goes on with another machine'
          : knownDefect(record, patched, struck);
      this.#aftermath.add(record, known);
      this.findings.tell(
        {
          kind,
          title,
          cpu,
          stack,
          ...(detail === undefined ? {} : { detail }),
          ...(known === undefined ? {} : { known }),
        },
        machine,
      );
    }
    if (lost > 0)
      this.findings.tell(
        { kind: 'lost', title: `${lost} more reports of the kernel did not fit` },
        undefined,
      );
    if (this.killed >= KILLED_MAX) this.#wantsMachine = true;
  }

  complain(complaints: readonly Complaint[], machine: Machine): void {
    // A mended kernel has none of the documented defects of hotplug; what a failed allocation leaves behind, it still has.
    const isMended = this.#config.patches !== undefined && this.#faults.length === 0;
    for (const complaint of complaints) {
      const { kind, title, cpu, known: documented } = complaint;
      const isVmxon = kind === 'state' && this.#isInjected('vmxon', machine);
      const known = isVmxon ? 'injected: vmxon' : isMended ? undefined : documented;
      const explained =
        known ??
        (kind === 'leak' && this.#aftermath.explainsLeak(complaint, this.#ofVm ?? new Map(), this.#ofKvm)
          ? 'a task that an oops ended has kept it'
          : undefined);
      this.findings.tell(
        {
          kind,
          title,
          ...(cpu === undefined ? {} : { cpu }),
          ...(explained === undefined ? {} : { known: explained }),
        },
        machine,
      );
    }
  }

  /** A machine at rest has been counted. */
  books(books: readonly StressBook[], ledger: Ledger, machine: Machine): void {
    this.#quietPoints += 1;
    this.#books = addBooks(books, []);
    for (const { name, sent, received, difference } of books) {
      if (difference !== 0)
        this.findings.tell({ kind: 'book', title: `${name}: ${sent} and ${received}` }, machine);
    }
    this.#keepCpus(ledger, machine);
  }

  #keepCpus(ledger: Ledger, machine: Machine): void {
    const online = machine.look(() => machine.onlineCpus());
    this.#perCpu = ledger.cpus.map((counts, cpu) => ({ cpu, online: online.includes(cpu), ...counts }));
  }

  /** Nobody waits any longer for the machine that runs. */
  freeze(): void {
    if (this.#machine !== undefined && this.#clock !== undefined) this.machineOff(this.#machine, this.#clock);
  }

  /** Looks at a machine that runs. */
  sample(machine: Machine, clock: HostClock): void {
    const { seconds } = this;
    const rss = process.memoryUsage.rss();
    this.#memory.most = Math.max(this.#memory.most, rss);
    this.#memory.end = rss;
    if (this.#series.since(seconds) < this.#series.seconds) return;
    const online = machine.look(num_online_cpus);
    const slowSeconds = (this.#pastSlowMs + clock.slowMs) / 1_000;
    this.#series.add(readTallies(machine), { time: seconds, online, slowSeconds, memory: rss });
    this.#memory.start ||= rss;
  }

  /** How the run stands, also between two machines. */
  progress(): StressProgress {
    const { seconds } = this;
    const machine = this.#machine;
    let ops = this.#opsPast;
    let failures = this.#failuresPast;
    if (machine !== undefined) {
      for (const [kind, tally] of readTallies(machine, false)) {
        ops += tally.ops;
        failures += this.#failuresOf(kind, tally);
      }
    }
    const before = this.#looks[0] ?? { seconds: 0, ops: 0 };
    this.#looks = [...this.#looks, { seconds, ops }].slice(-RATE_LOOKS);
    return {
      seconds,
      ops,
      opsPerSecond: (ops - before.ops) / Math.max(seconds - before.seconds, 1e-3),
      failures,
      online: machine?.look(num_online_cpus) ?? 0,
      findings: this.findings.all().length,
      machines: this.machines,
    };
  }

  machineOff(machine: Machine, clock: HostClock): void {
    // It may have been frozen, or another one.
    if (this.#machine !== machine) return;
    this.keepFaults(machine);
    this.#pastHits = this.#hits;
    const tallies = readTallies(machine);
    const slowSeconds = (this.#pastSlowMs + clock.slowMs) / 1_000;
    const rss = process.memoryUsage.rss();
    this.#series.add(tallies, {
      time: this.seconds,
      online: machine.look(num_online_cpus),
      slowSeconds,
      memory: rss,
    });
    this.#memory.end = rss;
    this.#memory.start ||= rss;
    if (this.#perCpu.length === 0 || this.hasEnded || this.isInterrupted)
      this.#keepCpus(readLedger(machine), machine);
    this.#past = addTallies(this.#past, tallies);
    for (const [kind, tally] of tallies) {
      this.#opsPast += tally.ops;
      if (isKindCounted(kind, this.#of)) this.#countedPast += tally.ops;
      this.#failuresPast += this.#failuresOf(kind, tally);
    }
    this.#machine = undefined;
    this.#opsTaken = 0;
    this.#pastBooks = addBooks(this.#pastBooks, this.#books);
    this.#books = [];
    this.#pastSlowMs += clock.slowMs;
  }

  readonly #failuresOf = (kind: TortureKind, { outcomes }: Tally): number => {
    let failures = 0;
    for (const [error, count] of outcomes) {
      if (error === 0 || (error !== null && this.#isExpected(kind, error))) continue;
      failures += count;
    }
    return failures;
  };

  #isExpected(kind: TortureKind, error: number): boolean {
    if (EXPECTED_ERRORS[kind].includes(error) || this.#refusal(kind, error) !== undefined) return true;
    return this.#faults.some((fault) => {
      if (fault.site === undefined) return error === -12;
      if (fault.site === 'cpu-boot') return kind === 'cpu_up' && (error === -5 || error === -38);
      return error === (fault.error ?? -12);
    });
  }

  /** What a documented defect makes fail: kvm-54 on Intel, as it was. */
  #refusal(kind: TortureKind, error: number): Refusal | undefined {
    const { vendor, patches } = this.#config;
    if (vendor !== 'intel' || patches !== undefined) return undefined;
    return REFUSALS.find((one) => one.of === kind && one.errors.includes(error));
  }

  #tellRefusals(): void {
    for (const refusal of REFUSALS) {
      const { of, errors, title, known } = refusal;
      const { outcomes } = this.#past.get(of)!;
      const refused = errors.reduce((sum, error) => sum + (outcomes.get(error) ?? 0), 0);
      if (refused === 0 || this.#refusal(of, errors[0]!) === undefined) continue;
      this.findings.tell({ kind: refusal.kind, title, known }, undefined, refused);
    }
  }

  report(): StressReport {
    const { seconds } = this;
    this.#tellRefusals();
    const config = this.#config;
    const { kinds, all } = summaryOf(this.#past, seconds, this.#failuresOf);
    const books = this.#pastBooks;
    const lost = books.reduce((sum, { difference }) => sum + Math.abs(difference), 0);
    return {
      schema: 'smplab.stress/1',
      options: {
        cpus: config.cpus,
        vendor: config.vendor,
        workload: config.workload,
        seed: config.seed,
        ops: config.ops ?? null,
        of: this.#of,
        seconds: config.seconds ?? null,
        faults: config.faultTexts ?? [],
        patches: config.patches?.names ?? [],
        callers: planOf(config.workload, config.cpus, config.callers).roles.length,
      },
      ended: this.#ended ?? (this.isInterrupted ? 'interrupted' : 'done'),
      seconds: round(seconds),
      ...all,
      lost,
      perCpu: this.#perCpu,
      kinds,
      books,
      quietPoints: this.#quietPoints,
      findings: this.findings.all(),
      faults: (config.faultTexts ?? []).map((fault, index) => ({ fault, hits: this.#hits[index] ?? 0 })),
      machines: this.machines,
      host: {
        cores: availableParallelism(),
        slowSeconds: round(this.#pastSlowMs / 1_000),
        memory: this.#memory,
      },
      intervals: this.#series.intervals(this.#failuresOf),
    };
  }
}
