/** What a run has come to so far, over all its machines, and the report that is made of it. */
import { availableParallelism } from 'node:os';
import { num_online_cpus } from '#smp/cpumask';
import { type CallOutcome, type Machine } from '#machine/machine';
import type { Bark } from '#machine/watchdog';
import type { StressBook, StressCpu, StressReport } from '#report/stress-report';
import { Aftermath, type Holdings } from './aftermath.ts';
import { addBooks } from './books.ts';
import {
  type Ledger,
  type Tallies,
  addTallies,
  countOps,
  noTallies,
  readLedger,
  readTallies,
  summaryOf,
} from './counters.ts';
import { ExpectedErrors } from './expected.ts';
import { Findings } from './findings.ts';
import type { HostClock } from '#machine/host-clock';
import { InjectedFaults } from './injected.ts';
import { knownDefect } from './known.ts';
import type { StressConfig, StressProgress } from './config.ts';
import { Series, round } from './series.ts';
import type { Complaint } from './state.ts';
import { type Counted, type Role, isKindCounted, isRoleCounted, planOf } from './workloads.ts';

const INTERVAL_SECONDS = 1;
/** Looks over which the rate of a live status is taken. */
const RATE_LOOKS = 8;
const SLOW_FAULTS = ['thread-stop', 'slow-cpu', 'ipi-delay'];
/** Oopses after which a machine has lost so much that another is better. */
const KILLED_MAX = 8;

export class Run {
  readonly #config: StressConfig;
  readonly #begin = performance.now();
  readonly #series = new Series(INTERVAL_SECONDS);
  readonly findings: Findings;
  readonly faults: InjectedFaults;
  readonly #expected: ExpectedErrors;
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
    this.faults = new InjectedFaults(config.faults ?? []);
    this.#expected = new ExpectedErrors(config);
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
    this.faults.restart();
    this.killed = 0;
    this.#hasKnownPanic = false;
    this.#aftermath = new Aftermath();
    this.#series.restart();
  }

  /** Faults are armed and callers begin: the clock runs. */
  begin(): void {
    this.faults.arm();
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
    if (outcome.kind === 'machine-check' && this.faults.hasStruck('thread-kill', machine)) {
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
      const slow = SLOW_FAULTS.find((site) => this.faults.hasStruck(site, machine));
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

  /** What the simulated kernel says about itself. */
  takeReports(machine: Machine): void {
    const patched = this.#config.patches !== undefined;
    const struck = this.faults.struck(machine);
    const { records, lost } = machine.takeFindings();
    for (const record of records) {
      const { kind, title, cpu, stack, detail } = record;
      // Told by the call that it ended.
      if (kind === 'machine-check' && this.faults.hasStruck('thread-kill', machine)) continue;
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
    const isMended = this.#config.patches !== undefined && this.faults.all.length === 0;
    for (const complaint of complaints) {
      const { kind, title, cpu, known: documented } = complaint;
      const isVmxon = kind === 'state' && this.faults.hasStruck('vmxon', machine);
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
        failures += this.#expected.failuresOf(kind, tally);
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
    this.faults.machineOff(machine);
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
      this.#failuresPast += this.#expected.failuresOf(kind, tally);
    }
    this.#machine = undefined;
    this.#opsTaken = 0;
    this.#pastBooks = addBooks(this.#pastBooks, this.#books);
    this.#books = [];
    this.#pastSlowMs += clock.slowMs;
  }

  report(): StressReport {
    const { seconds } = this;
    for (const { refusal, count } of this.#expected.refused(this.#past))
      this.findings.tell(
        { kind: refusal.kind, title: refusal.title, known: refusal.known },
        undefined,
        count,
      );
    const config = this.#config;
    const { kinds, all } = summaryOf(this.#past, seconds, this.#expected.failuresOf);
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
      faults: (config.faultTexts ?? []).map((fault, index) => ({
        fault,
        hits: this.faults.hits[index] ?? 0,
      })),
      machines: this.machines,
      host: {
        cores: availableParallelism(),
        slowSeconds: round(this.#pastSlowMs / 1_000),
        memory: this.#memory,
      },
      intervals: this.#series.intervals(this.#expected.failuresOf),
    };
  }
}
