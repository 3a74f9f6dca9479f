// @ts-check
/**
 * The rooms of the house, who may enter which, and which package may be opened where.
 *
 * One table, three readers: .dependency-cruiser.mjs makes a rule of each row, graph.mjs draws it, walls.mjs
 * takes the room lists. To let a room import another, change it here and say why in docs/decisions.
 */

/** Where the build starts. Everything else under src must be reachable from one of these or from a test. */
export const entryPoints = ['src/index.ts', 'src/vitest/index.ts', 'src/cli/main.ts', 'src/cli/job.ts'];

/** What CPU threads run; built apart, as CommonJS. */
export const threadEntryPoints = [
  'src/cpu-worker/loader.ts',
  'src/cpu-worker/parallel.ts',
  'src/cpu-worker/searched.ts',
];

/** What runs in a reader's browser; scripts/pages.mjs puts each into the program as text. */
export const pageEntryPoints = {
  picture: 'src/page/picture/main.ts',
  stress: 'src/page/stress/main.ts',
};

/** What comes in by the public door like any user: in these, `smplab` and nothing of src. */
export const outsiders = ['gallery', 'vitest'];

/** Everybody but an outsider may import these. `base` itself knows nobody, `trace` knows only `base`. */
export const everyones = ['base', 'trace'];

/**
 * Room -> the rooms it may import besides `everyones`. A room that is not a key here does not exist.
 * @type {Readonly<Record<string, readonly string[]>>}
 */
export const mayImport = {
  base: [],
  trace: [],
  memory: [],
  smp: ['memory'],
  kernel: ['memory', 'smp'],
  scheduler: [],
  checkers: [],
  page: [],
  report: ['page'],
  scenario: ['memory', 'smp', 'kernel', 'litmus'],
  litmus: [],
  'cpu-worker': ['memory', 'smp', 'kernel', 'scheduler', 'scenario'],
  fibers: ['memory', 'smp', 'kernel', 'scheduler', 'scenario', 'cpu-worker'],
  machine: ['memory', 'smp', 'kernel', 'scheduler', 'scenario', 'fibers'],
  stress: ['memory', 'smp', 'kernel', 'scenario', 'machine', 'report'],
  explore: ['scheduler', 'checkers', 'machine', 'litmus', 'fibers', 'report'],
  gallery: [],
  vitest: [],
  shell: ['machine', 'kernel', 'report'],
  lab: ['report'],
  cli: ['checkers', 'machine', 'explore', 'stress', 'report', 'lab', 'litmus', 'shell'],
};

/** What to do instead, said when a room reaches where it may not. */
export const instead = {
  base: 'base knows nobody: move what needs a neighbour into the room that needs it.',
  trace: 'trace is vocabulary and formats: pass what it needs as an argument.',
  memory: 'memory knows words, not kernels: describe the layout here and give it meaning in smp or kernel.',
  smp: 'smp is below kernel: take a function address or an ops struct, as the notifier chain does.',
  kernel: 'kernel runs on any CPU and any host: ask smp/arch.ts for what the hardware does.',
  scheduler:
    'a policy sees the state words and the runnable set and nothing else: put the fact into an event.',
  checkers: 'a checker is a fold over trace events: record the fact as an event and read it there.',
  page: 'a page knows what it is given (page/data.ts) and a browser: let report work it out and hand it over.',
  report: 'a report is made from the trace alone: put what it has to show into the trace.',
  scenario:
    'a scenario is kernel code and its checks: what runs it is in machine, what searches it in explore.',
  litmus: 'a litmus test is a text and what it allows: whoever runs it hands it a bus.',
  'cpu-worker': 'a CPU meets the host only in memory/layout.ts: leave the fact in a word there.',
  fibers: 'a fiber is a CPU without a thread: it takes the CPU from cpu-worker and knows no host.',
  machine: 'machine names a CPU by the URL of its entry and meets it in memory/layout.ts, never by import.',
  stress: 'stress torments a machine from outside and counts: what runs in it is in kernel/torture.',
  explore: 'explore drives machines from outside: add what it needs to the door of machine.',
  gallery:
    "a scenario is a user like any other: import 'smplab', and widen src/index.ts if that is not enough.",
  vitest: "a test is a user like any other: import 'smplab', and widen src/index.ts if that is not enough.",
  shell:
    'a shell is a user of the machine: what it needs of memory is a system call of machine/user-space.ts.',
  lab: 'the lab shows what report made from a trace file: add the view to report.',
  cli: 'a command says what to do, a room does it: offer it from machine, explore or report.',
};

/**
 * Package -> the rooms that may import it. A package that is missing here may not be imported from src at all.
 * @type {Readonly<Record<string, readonly string[]>>}
 */
export const packageRooms = {
  piscina: ['machine', 'cli'],
  'p-queue': ['explore', 'stress'],
  esbuild: ['explore'],
  '@babel/parser': ['fibers'],
  '@babel/generator': ['fibers'],
  '@babel/types': ['fibers'],
  '@jridgewell/trace-mapping': ['explore'],
  pino: ['machine', 'explore', 'cli'],
  commander: ['cli'],
  vitest: ['vitest'],
  uplot: ['page'],
  'just-bash': ['shell'],
};

/** What to do instead of importing the package elsewhere. */
export const packageInstead = {
  piscina: 'ask machine for a CPU, or cli for a job; the pools are their own business.',
  '@babel/parser': 'let fibers make code resumable.',
  '@babel/generator': 'let fibers make code resumable.',
  '@babel/types': 'let fibers make code resumable.',
  esbuild: 'let explore compile a scenario; code travels as ScenarioSource.',
  '@jridgewell/trace-mapping': 'let explore say where a stack is in what was written.',
  'p-queue': 'let explore decide how many runs go at once.',
  pino: 'take a logger as an argument; what the simulated machine says is a trace event.',
  commander: 'a command line is parsed in cli and nowhere else.',
  uplot: 'a plot is drawn in a browser: put it into a page.',
  'just-bash': 'scripts are run by shell and nowhere else.',
  vitest: 'a test runner is for who tests: put it into the entry point smplab/vitest.',
};

/** Rooms that start or are a thread. */
export const threadRooms = ['machine', 'cpu-worker'];

/** Same inputs, same bytes: no clock, no chance, no process, no node: module in these. */
export const pureRooms = [
  'base',
  'trace',
  'memory',
  'smp',
  'kernel',
  'scheduler',
  'checkers',
  'litmus',
  'report',
  'gallery',
];

/** The simulated kernel: Linux's spelling, no state in the JavaScript heap, nothing that suspends by itself. */
export const kernelRooms = ['smp', 'kernel'];

/** Where the raw bytes are handled: everyone else goes through the typed views of memory. */
export const rawMemoryRooms = ['memory', 'machine', 'cpu-worker', 'trace'];

/** Rooms that reckon with logs and never meet a machine's memory: typed arrays of their own are theirs to make. */
export const reckoningRooms = ['checkers', 'explore', 'litmus'];

/** The only room that writes to stdout. */
export const stdoutRooms = ['cli'];
