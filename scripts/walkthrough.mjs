// @ts-check
/**
 * Fills docs/walkthrough.md, the lessons of the gallery and the README with what the running machine shows, between their
 * markers.
 *
 *   node scripts/walkthrough.mjs            runs the machines and writes the excerpts
 *   node scripts/walkthrough.mjs --check    fails when an excerpt in a page is not what the machines show
 *
 * The runs are deterministic (one seed, both vendors), so an excerpt changes only when the model does. Sequence numbers
 * are left out: they would change with every step that is added anywhere before.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { ensureBuild, ensureDependencies } from './prepare.mjs';
import { report, rootArgument, textOf } from './sources.mjs';

/** @typedef {import('./sources.mjs').Fault} Fault */
/** One line of the call tree. @typedef {{ cpu: number, lanes: string, context: string, depth: number, text: string }} Row */
/**
 * Which lines of the tree an excerpt shows: those of `from` and of what it calls, or up to `to` where that is given.
 * @typedef {{ from: string, to?: string, show: (row: Row) => boolean }} Cut
 */
/**
 * What a machine has allocated and registered: the part of kernelInventory() that is shown here.
 * @typedef {{ kind: string, size: number, cache?: string, allocatedBy?: string }} Allocation
 * @typedef {{ function: string, priority: number }} Notifier
 * @typedef {import('smplab').KernelInventory} Inventory
 */

const LESSONS = [
  'lesson-1-a-variable-in-many-places',
  'lesson-2-one-counter-for-all',
  'lesson-3-my-copy-while-i-am-moved',
  'lesson-4-torn-by-an-interrupt',
  'lesson-5-a-sum-over-who-is-online',
  'lesson-6-a-pointer-kept-too-long',
];
const PAGES = ['README.md', 'docs/walkthrough.md', ...LESSONS.map((id) => `src/gallery/${id}/README.md`)];
const SEED = 1;
const CPUS = 4;
const WIDTH = 92;

const BEGIN = /<!-- shown:begin ([\w-]+) -->/g;
/** @param {string} name */
const begin = (name) => `<!-- shown:begin ${name} -->`;
const END = '<!-- shown:end -->';

const MAIN = path.join(import.meta.dirname, '../dist/cli/main.js');

/** @param {readonly string[]} given @returns {string} what `smplab boot` prints */
function boot(given) {
  const line = ['boot', '--cpus', String(CPUS), '--mode', 'deterministic', '--seed', String(SEED), ...given];
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...line], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`smplab ${line.join(' ')}: exit ${status}: ${stderr}`);
  return stdout;
}

/** @param {string} tree @returns {Row[]} */
function rowsOf(tree) {
  return tree.split('\n').flatMap((line) => {
    const [, lanes, context, indent, text] =
      /^ *\d+ {2}([.\d](?: [.\d])+) {2}(\S{3}) {2}( *)(.*)$/.exec(line) ?? [];
    if (lanes === undefined || context === undefined || indent === undefined || text === undefined) return [];
    // The tree says what was last written to CR4; an INIT in between clears it, which is no write.
    const said = text.replace(/^(mov to CR4) 0x\w+ -> /, '$1 ');
    return [
      { cpu: Number(lanes.replaceAll(/[ .]/g, '')), lanes, context, depth: indent.length / 2, text: said },
    ];
  });
}

/** The function a line enters; undefined for other events. @param {Row} row */
const calls = (row) => /^(\w+)\(/.exec(row.text)?.[1];

/** Lines that enter one of these functions. @param {string} names @returns {(row: Row) => boolean} */
function functions(names) {
  const wanted = new Set(names.split(' '));
  return (row) => wanted.has(calls(row) ?? '');
}

/** Lines whose text matches. @param {RegExp} pattern @returns {(row: Row) => boolean} */
const matching = (pattern) => (row) => pattern.test(row.text);

/** @param {...((row: Row) => boolean)} tests @returns {(row: Row) => boolean} */
const any =
  (...tests) =>
  (row) =>
    tests.some((test) => test(row));

/** @param {readonly Row[]} rows @param {Cut} cut @returns {Row[]} */
function part(rows, { from, to }) {
  const start = rows.findIndex((row) => calls(row) === from);
  const first = rows[start];
  if (first === undefined) throw new Error(`walkthrough: nobody calls ${from}`);
  const length = rows
    .slice(start + 1)
    .findIndex((row) =>
      to === undefined ? row.cpu === first.cpu && row.depth <= first.depth : calls(row) === to,
    );
  return rows.slice(start, length === -1 ? undefined : start + 1 + length);
}

/**
 * The lines of a cut, indented by what is shown around them on their CPU.
 * @param {readonly Row[]} rows @param {Cut} cut @returns {string[]}
 */
function excerpt(rows, cut) {
  /** @type {Map<number, number[]>} depths of the shown lines around, by CPU */
  const around = new Map();
  const lines = part(rows, cut)
    .filter(cut.show)
    .map(({ cpu, lanes, context, depth, text }) => {
      const above = (around.get(cpu) ?? []).filter((other) => other < depth);
      around.set(cpu, [...above, depth]);
      return `${lanes}  ${context}  ${'  '.repeat(above.length)}${text}`;
    });
  if (lines.length === 0) throw new Error(`walkthrough: the cut of ${cut.from} shows nothing`);
  return lines;
}

/** What one function calls itself, in order. @param {readonly Row[]} rows @param {string} caller @returns {string[]} */
function calledBy(rows, caller) {
  const [first, ...below] = part(rows, { from: caller, show: () => true });
  return below
    .filter(({ cpu, depth }) => cpu === first?.cpu && depth === first.depth + 1)
    .flatMap((row) => calls(row) ?? []);
}

/** @param {readonly string[]} words @param {string} between @returns {string[]} */
function wrapped(words, between) {
  /** @type {string[]} */
  const lines = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + between.length + word.length <= WIDTH) {
      lines[lines.length - 1] = `${last}${between}${word}`;
    } else lines.push(word);
  }
  return lines;
}

/** The table of what each CPU holds, as `smplab boot` prints it. @param {string} text */
function stateTable(text) {
  const lines = text.split('\n');
  const start = lines.findIndex((line) => /^ +after load/.test(line));
  return lines.slice(start, lines.indexOf('', start)).map((line) => line.trimEnd());
}

/** The log of the simulated kernel, as `smplab boot` prints it. @param {string} text */
const logOf = (text) => text.split('\n').filter((line) => /^\[ *\d+\] cpu/.test(line));

/** What is there when a vendor module is loaded. @param {'amd' | 'intel'} vendor @returns {Promise<Inventory>} */
async function inventoryAfterLoad(vendor) {
  const { Machine, closeSharedPool, kernelInventory } = await import('smplab');
  const machine = await Machine.powerOn({ cpus: CPUS, vendor, mode: 'deterministic', seed: SEED });
  try {
    for (const text of ['kvm', `kvm-${vendor}`]) await machine.call('sys_init_module', { cpu: 1, text });
    return machine.look(kernelInventory);
  } finally {
    await machine.powerOff();
    await closeSharedPool();
  }
}

/** @param {Inventory} inventory */
function registered(inventory) {
  const { cpuNotifiers, rebootNotifiers, sysdevClasses, sysdevs, miscDevices, fileSystems } = inventory;
  /** @param {readonly Notifier[]} notifiers */
  const chain = (notifiers) =>
    notifiers.map(({ function: name, priority }) => `${name} (${priority})`).join(', ');
  return [
    `CPU notifiers     ${chain(cpuNotifiers)}`,
    `reboot notifiers  ${chain(rebootNotifiers)}`,
    `sysdev classes    ${sysdevClasses.join(', ')}`,
    `sysdevs           ${sysdevs.join(', ')}`,
    `misc devices      ${miscDevices.map(({ name, minor }) => `10:${minor} ${name}`).join(', ')}`,
    `file systems      ${fileSystems.join(', ')}`,
  ];
}

/** @param {Inventory} inventory @param {string} maker @returns {string[]} */
function pagesOf(inventory, maker) {
  return inventory.allocations
    .filter(({ kind, allocatedBy }) => kind === 'page' && allocatedBy === maker)
    .toSorted((a, b) => b.size - a.size)
    .map(({ size }) => `${size} bytes of pages, by ${maker}`);
}

/** @param {Inventory} inventory @param {RegExp} names @returns {string[]} */
function cachesOf(inventory, names) {
  return inventory.allocations
    .filter(({ kind, cache }) => kind === 'cache' && names.test(cache ?? ''))
    .map(
      ({ cache = '', size, allocatedBy }) =>
        `${cache.padEnd(20)} objects of ${size} bytes, by ${allocatedBy}`,
    );
}

const hardware = matching(/^(?:rdmsr|wrmsr|cpuid|sgdt|mov to CR4|vmxon|vmxoff)/);
const log = matching(/^"/);
const crossCall = matching(/^(?:<call-function|call-function IPI)/);
const milestone = matching(/^(?:CPU \d+ is|the machine)/);
const switching = functions(
  'cpu_down cpu_up kvm_cpu_hotplug hardware_disable hardware_enable svm_hardware_disable svm_hardware_enable ' +
    'vmx_hardware_disable vmx_hardware_enable __free_page kfree play_dead start_secondary',
);
/** kvm_cpu_hotplug hears of every action and does something on these. @param {Row} row */
const heard = (row) => calls(row) !== 'kvm_cpu_hotplug' || /CPU_(?:DYING|ONLINE|UP_CANCELED)/.test(row.text);
/** @param {Row} row */
const hotplug = (row) =>
  heard(row) &&
  any(switching, log, crossCall, milestone, matching(/^(?:wrmsr|mov to CR4|vmxon|vmxoff)/))(row);

/** @returns {Promise<Readonly<Record<string, readonly string[]>>>} */
async function amd() {
  const text = boot(['--vendor', 'amd']);
  const rows = rowsOf(boot(['--vendor', 'amd', '--trace', 'tree']));
  const inventory = await inventoryAfterLoad('amd');
  const files = inventory.debugfs.filter((file) => file.startsWith('kvm/')).map((file) => file.slice(4));
  const ownCalls = calledBy(rows, 'kvm_init');
  return {
    'amd-init': excerpt(rows, { from: 'svm_init', show: functions('svm_init kvm_init') }),
    'amd-debugfs': wrapped(files, '  '),
    'amd-arch-init': excerpt(rows, {
      from: 'kvm_arch_init',
      show: any(
        hardware,
        functions(
          'kvm_arch_init kvm_mmu_module_init kmem_cache_create kvm_init_msr_list has_svm is_disabled ' +
            'kvm_mmu_set_nonpresent_ptes',
        ),
      ),
    }),
    'amd-caches': cachesOf(inventory, /^kvm_(?!vcpu)/),
    'amd-setup': excerpt(rows, {
      from: 'kvm_arch_hardware_setup',
      show: functions(
        'kvm_arch_hardware_setup svm_hardware_setup alloc_pages set_msr_interception svm_cpu_init kzalloc alloc_page',
      ),
    }),
    'amd-pages': [...pagesOf(inventory, 'svm_hardware_setup'), ...pagesOf(inventory, 'svm_cpu_init')],
    'amd-compat': excerpt(rows, {
      from: 'smp_call_function_single',
      to: 'on_each_cpu',
      show: any(
        crossCall,
        functions('smp_call_function_single kvm_arch_check_processor_compat svm_check_processor_compat'),
      ),
    }),
    'amd-enable': excerpt(rows, {
      from: 'on_each_cpu',
      to: 'register_cpu_notifier',
      show: any(crossCall, functions('on_each_cpu hardware_enable svm_hardware_enable'), matching(/^wrmsr/)),
    }),
    'amd-register': wrapped(ownCalls.slice(ownCalls.indexOf('register_cpu_notifier')), '  '),
    'amd-registered': [...registered(inventory), ...cachesOf(inventory, /^kvm_vcpu/)],
    'amd-offline': excerpt(rows, { from: 'cpu_down', to: 'cpu_up', show: hotplug }),
    'amd-online': excerpt(lastOf(rows, 'cpu_up'), { from: 'cpu_up', to: 'sys_delete_module', show: hotplug }),
    'amd-exit': wrapped(calledBy(rows, 'kvm_exit'), '  '),
    'amd-state': stateTable(text),
    'amd-log': logOf(text),
  };
}

/** The rows from the last call of a function on. @param {readonly Row[]} rows @param {string} name */
function lastOf(rows, name) {
  return rows.slice(rows.findLastIndex((row) => calls(row) === name));
}

/** @returns {Promise<Readonly<Record<string, readonly string[]>>>} */
async function intel() {
  const text = boot(['--vendor', 'intel']);
  const rows = rowsOf(boot(['--vendor', 'intel', '--trace', 'tree']));
  const inventory = await inventoryAfterLoad('intel');
  return {
    'intel-init': [
      ...excerpt(rows, {
        from: 'vmx_init',
        to: 'kvm_init_debug',
        show: functions('vmx_init alloc_page kvm_init'),
      }),
      ...excerpt(rows, {
        from: 'cpu_has_kvm_support',
        to: 'kvm_mmu_set_nonpresent_ptes',
        show: any(hardware, functions('cpu_has_kvm_support vmx_disabled_by_bios')),
      }),
    ],
    'intel-setup': excerpt(rows, {
      from: 'hardware_setup',
      show: any(hardware, functions('hardware_setup setup_vmcs_config alloc_kvm_area alloc_vmcs_cpu')),
    }),
    'intel-compat': excerpt(rows, {
      from: 'smp_call_function_single',
      show: any(
        crossCall,
        hardware,
        functions('smp_call_function_single vmx_check_processor_compat setup_vmcs_config'),
      ),
    }),
    'intel-enable': excerpt(rows, {
      from: 'on_each_cpu',
      to: 'register_cpu_notifier',
      show: any(crossCall, hardware, functions('on_each_cpu hardware_enable vmx_hardware_enable')),
    }),
    'intel-pages': [...pagesOf(inventory, 'vmx_init'), ...pagesOf(inventory, 'alloc_vmcs_cpu')],
    'intel-offline': excerpt(rows, { from: 'cpu_down', to: 'cpu_up', show: hotplug }),
    'intel-online': excerpt(lastOf(rows, 'cpu_up'), {
      from: 'cpu_up',
      to: 'sys_delete_module',
      show: hotplug,
    }),
    'intel-state': stateTable(text),
  };
}

/** Chapters of the tour, by what their heads say. @param {readonly string[]} heads @returns {string[]} */
function tour(heads) {
  const { status, stdout } = spawnSync(process.execPath, [MAIN, 'tour', '--seed', String(SEED)], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`smplab tour: exit ${status}`);
  const chapters = stdout.split(/\n\n(?=== )/);
  return heads.flatMap((head, index) => {
    const found = chapters.find(
      (chapter) => chapter.startsWith('== ') && chapter.split('\n')[0]?.includes(head),
    );
    if (found === undefined) throw new Error(`walkthrough: the tour has no chapter '${head}'`);
    return [...(index === 0 ? [] : ['']), ...found.trimEnd().split('\n')];
  });
}

/**
 * What `smplab explore` says of an example. The letters of tokens are left out: they change with the kernel's image.
 * @param {string} example @param {number} code the exit code it has to have @param {readonly string[]} [given]
 */
function explored(example, code, given = []) {
  const name = LESSONS.includes(example) ? example : `examples/${example}.ts`;
  const line = ['explore', name, ...given];
  const cwd = path.dirname(import.meta.dirname);
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...line], { encoding: 'utf8', cwd });
  if (status !== code) throw new Error(`smplab ${line.join(' ')}: exit ${status}: ${stderr}`);
  return stdout
    .trimEnd()
    .replaceAll(/(smp1:[^:]*:)[\w-]+/g, '$1...')
    .split('\n');
}

/**
 * The first failure that `smplab explore` tells of a lesson on per-CPU variables, without its token.
 * @param {string} lesson
 */
function refuted(lesson) {
  const lines = explored(lesson, 1);
  return lines.slice(2, lines.indexOf('again:') - 1);
}

/** All excerpts, by name. @returns {Promise<Readonly<Record<string, readonly string[]>>>} */
async function excerpts() {
  const readme = {
    'readme-race': explored('counter', 1),
    'readme-proof': explored('counter-fixed', 0, ['--strategy', 'dpor']),
    'readme-tour': tour(['on_each_cpu(hardware_enable)', 'echo 1 >']),
  };
  const lessons = Object.fromEntries(LESSONS.map((id) => [id, refuted(id)]));
  return { ...readme, ...lessons, ...(await amd()), ...(await intel()) };
}

/** @param {string} text */
const markersOf = (text) => [...text.matchAll(BEGIN)].map(([, name = '']) => name);

/**
 * A page as it should be, and what is wrong with its markers.
 * @param {string} text @param {Readonly<Record<string, readonly string[]>>} shown
 */
export function filled(text, shown) {
  /** @type {string[]} */
  const wrong = [];
  let page = text;
  for (const name of markersOf(text)) {
    const start = page.indexOf(begin(name)) + begin(name).length;
    const end = page.indexOf(END, start);
    const lines = shown[name];
    if (end === -1) wrong.push(`${name}: '${END}' is missing`);
    else if (lines === undefined) wrong.push(`${name}: the machines show no such thing`);
    else page = `${page.slice(0, start)}\n\n\`\`\`text\n${lines.join('\n')}\n\`\`\`\n\n${page.slice(end)}`;
  }
  return { page, wrong };
}

/** Runs the machines. @param {string} root @param {boolean} write @returns {Promise<Fault[]>} */
export async function checkWalkthrough(root, write) {
  const shown = await excerpts();
  const pages = PAGES.map((file) => ({ file, text: textOf(root, file) }));
  const used = new Set(pages.flatMap(({ text }) => markersOf(text)));
  const unused = Object.keys(shown).filter((name) => !used.has(name));
  const faults = pages.flatMap(({ file, text }) => {
    const { page, wrong } = filled(text, shown);
    if (write && page !== text) writeFileSync(path.join(root, file), page);
    const isStale = page !== text && !write;
    const stale = isStale
      ? ['an excerpt is not what the machines show: run node scripts/walkthrough.mjs']
      : [];
    return [...wrong, ...stale].map((message) => ({ file, line: 1, rule: 'excerpts', message }));
  });
  const message = 'shown, but no page has a marker for it';
  return [
    ...faults,
    ...unused.map((name) => ({
      file: 'docs/walkthrough.md',
      line: 1,
      rule: 'excerpts',
      message: `${name}: ${message}`,
    })),
  ];
}

if (process.argv[1] === import.meta.filename) {
  ensureDependencies();
  ensureBuild();
  const root = rootArgument(process.argv.slice(2));
  const faults = await checkWalkthrough(root, !process.argv.includes('--check'));
  process.exitCode = report('walkthrough', faults, PAGES.join(', '));
}
