// @ts-check
/**
 * The walls between rooms that no ready-made linter knows. `node scripts/walls.mjs [--root FOLDER]`
 *
 *   linux-spelling  smp, kernel: what is declared there is spelt as Linux would spell it
 *   heap-state      smp, kernel: no mutable module-level variable: state lives in the machine's memory
 *   no-suspend      smp, kernel: no async, await, Promise, generator: only the bus makes a CPU wait
 *   no-getter       smp, kernel: no getter or setter of its own: an access must be visible as an access
 *   no-callback     smp, kernel: inside a function, no function given to a built-in that calls it back
 *   no-clock        the pure rooms: no clock, no chance, no timer, no process
 *   shared-memory   SharedArrayBuffer and Atomics only where raw memory is handled
 *   typed-array     typed arrays are made only where raw memory is handled
 *   stdout          only cli writes to stdout
 *
 * A line that must cross one says why: `// wall: <rule>: <reason>` on the line itself or the one above.
 */
import { parseSync } from '@swc/core';
import { kernelRooms, pureRooms, rawMemoryRooms, reckoningRooms, stdoutRooms } from './rooms.mjs';
import { filesUnder, report, roomOf, rootArgument, textOf } from './sources.mjs';

/** @typedef {import('./sources.mjs').Fault} Fault */
/** A node of swc's tree; loosely typed, for the tree is walked by shape. @typedef {any} Node */
/** @typedef {(node: Node, rule: string, message: string) => void} Tell */

// lower_case, UPPER_CASE, or the two mixed around underscores (send_IPI_mask, PG_slab); never camelCase.
const LINUX_SPELLING = /^_{0,2}([a-z][a-z0-9]*|[A-Z][A-Z0-9]*)(_+([a-z0-9]+|[A-Z0-9]+))*_*$/;
const CONTAINERS = new Set(['Map', 'Set', 'WeakMap', 'WeakSet', 'Array', 'WeakRef', 'Date']);
/** @param {string} names */
const setOf = (names) => new Set(names.split(' '));
const CLOCKS = setOf(
  'Date performance process crypto globalThis queueMicrotask ' +
    'setTimeout setInterval setImmediate clearTimeout clearInterval clearImmediate',
);
const TYPED_ARRAYS = setOf(
  'Int8Array Uint8Array Uint8ClampedArray Int16Array Uint16Array Int32Array Uint32Array ' +
    'BigInt64Array BigUint64Array Float32Array Float64Array DataView ArrayBuffer',
);

/** Methods of built-ins that call back whatever function they are given. */
const CALLING_BACK = setOf(
  'map forEach filter some every find findIndex findLast findLastIndex reduce reduceRight flatMap sort toSorted',
);
/** Methods that may be given something else in its place. */
const MAY_CALL_BACK = setOf('from replace replaceAll');

/** Children that hold types only; a type runs nothing. */
const TYPE_KEYS = new Set(['typeAnnotation', 'typeParameters', 'typeParams', 'typeArguments', 'returnType']);
const TYPE_NODES = new Set(['TsInterfaceDeclaration', 'TsTypeAliasDeclaration', 'TsModuleDeclaration']);
/** Children that are a name of something else's, not a use of a variable. */
const NAME_KEYS = new Set(['property', 'key', 'label', 'imported', 'local', 'exported']);

/** @param {Node} value */
const isNode = (value) => typeof value === 'object' && value !== null && 'type' in value;

/**
 * Calls `visit` for every node that runs (types left out), with the key it hangs on.
 * @param {Node} value
 * @param {(node: Node, key: string) => void} visit
 * @param {string} [key]
 */
function walk(value, visit, key = '') {
  if (Array.isArray(value)) {
    // Arguments, array elements and the like are wrapped as { spread, expression }.
    for (const item of value) walk(isNode(item) ? item : (item?.expression ?? item), visit, key);
    return;
  }
  if (!isNode(value) || TYPE_NODES.has(value.type)) return;
  visit(value, key);
  for (const [child, below] of Object.entries(value)) {
    if (!TYPE_KEYS.has(child) && typeof below === 'object' && below !== null) walk(below, visit, child);
  }
}

/**
 * The names a pattern binds: `{ a, b: [c] = [] }` binds a and c.
 * @param {Node} pattern absent for a hole
 * @returns {Node[]}
 */
function boundNames(pattern) {
  switch (pattern?.type) {
    case 'Identifier':
      return [pattern];
    case 'ObjectPattern':
      return pattern.properties.flatMap((/** @type {Node} */ item) =>
        item.type === 'AssignmentPatternProperty' ? [] : boundNames(item.value ?? item.argument),
      );
    case 'ArrayPattern':
      return pattern.elements.flatMap((/** @type {Node} */ item) => boundNames(item));
    case 'AssignmentPattern':
      return boundNames(pattern.left);
    case 'RestElement':
      return boundNames(pattern.argument);
    default:
      return [];
  }
}

/** What a node declares as a value: variables, functions, parameters. @param {Node} node @returns {Node[]} */
function declaredBy(node) {
  switch (node.type) {
    case 'VariableDeclarator':
      return boundNames(node.id);
    case 'FunctionDeclaration':
      return [node.identifier, ...node.params.flatMap((/** @type {Node} */ item) => boundNames(item.pat))];
    case 'FunctionExpression':
      return [
        node.identifier,
        ...node.params.flatMap((/** @type {Node} */ item) => boundNames(item.pat)),
      ].filter(Boolean);
    case 'ClassMethod':
    case 'PrivateMethod':
      return node.function.params.flatMap((/** @type {Node} */ item) => boundNames(item.pat));
    case 'MethodProperty':
      return node.params.flatMap((/** @type {Node} */ item) => boundNames(item.pat));
    case 'ArrowFunctionExpression':
      return node.params.flatMap((/** @type {Node} */ item) => boundNames(item));
    case 'CatchClause':
      return boundNames(node.param);
    default:
      return [];
  }
}

/** @param {Node} node @param {Tell} tell */
function linuxSpelling(node, tell) {
  for (const name of declaredBy(node)) {
    if (!LINUX_SPELLING.test(name.value)) {
      tell(
        name,
        'linux-spelling',
        `'${name.value}' is not spelt as Linux spells it (lower_case or UPPER_CASE).`,
      );
    }
  }
}

/** A literal that anybody could write to. `as const` and Object.freeze() are promises kept elsewhere. @param {Node} init */
function isMutable(init) {
  switch (init.type) {
    case 'TsSatisfiesExpression':
    case 'TsAsExpression':
    case 'ParenthesisExpression':
      return isMutable(init.expression);
    case 'ObjectExpression':
    case 'ArrayExpression':
      return true;
    case 'NewExpression':
    case 'CallExpression':
      return CONTAINERS.has(init.callee.value);
    default:
      return false;
  }
}

/** @param {readonly Node[]} body the statements of the module @param {Tell} tell */
function heapState(body, tell) {
  const instead =
    'keep state in the machine (struct, DEFINE_PER_CPU), or freeze the table (as const, Object.freeze).';
  for (const item of body) {
    const statement = item.type === 'ExportDeclaration' ? item.declaration : item;
    if (statement.type === 'ClassDeclaration') {
      for (const member of statement.body) {
        if (member.isStatic && member.type.endsWith('Property') && !member.readonly) {
          tell(member, 'heap-state', `a static field is a module-level variable: ${instead}`);
        }
      }
    }
    if (statement.type !== 'VariableDeclaration' || statement.declare) continue;
    if (statement.kind !== 'const')
      tell(statement, 'heap-state', `module-level '${statement.kind}': ${instead}`);
    for (const { id, init } of statement.kind === 'const' ? statement.declarations : []) {
      if (init && isMutable(init))
        tell(id, 'heap-state', `module-level '${id.value}' can be written to: ${instead}`);
    }
  }
}

/** @param {Node} node @param {Tell} tell */
function noSuspend(node, tell) {
  const instead = 'kernel code waits on memory, through the bus, or not at all.';
  const shape = node.type === 'ClassMethod' || node.type === 'PrivateMethod' ? node.function : node;
  if (shape.async === true) tell(node, 'no-suspend', `async: ${instead}`);
  if (shape.generator === true) tell(node, 'no-suspend', `generator: ${instead}`);
  if (node.type === 'AwaitExpression') tell(node, 'no-suspend', `await: ${instead}`);
  if (node.type === 'ForOfStatement' && node.isAwait) tell(node, 'no-suspend', `for await: ${instead}`);
  if (node.type === 'Identifier' && node.value === 'Promise') tell(node, 'no-suspend', `Promise: ${instead}`);
}

/** @param {Node} node @param {Tell} tell */
function noGetter(node, tell) {
  const isAccessor =
    node.type === 'GetterProperty' ||
    node.type === 'SetterProperty' ||
    (node.type.endsWith('Method') && (node.kind === 'getter' || node.kind === 'setter'));
  if (isAccessor)
    tell(node, 'no-getter', 'write a function: an access that hides work hides a scheduling point.');
}

const FUNCTIONS = setOf(
  'FunctionDeclaration FunctionExpression ArrowFunctionExpression ClassMethod PrivateMethod MethodProperty Constructor',
);

/** @param {Node} node */
const isFunctionValue = (node) =>
  node?.type === 'ArrowFunctionExpression' || node?.type === 'FunctionExpression';

/** The built-in's method that a call hands a function to, if it is one. @param {Node} node */
function callingBack(node) {
  if (node.type !== 'CallExpression') return undefined;
  const callee = node.callee.type === 'OptionalChainingExpression' ? node.callee.base : node.callee;
  if (callee.type !== 'MemberExpression') return undefined;
  const name = callee.property.value;
  /** @type {Node[]} */
  const given = node.arguments.map((/** @type {Node} */ argument) => argument.expression);
  const isGivenFunction = given.some(isFunctionValue);
  const isGivenName = given[0]?.type === 'Identifier' || given[0]?.type === 'MemberExpression';
  if (CALLING_BACK.has(name)) return isGivenFunction || isGivenName ? name : undefined;
  return MAY_CALL_BACK.has(name) && isGivenFunction ? name : undefined;
}

/**
 * A CPU that shares its thread is suspended by leaving every function on its stack; a built-in in the middle of them
 * cannot be left. What makes a table while the module is loaded runs before there is a CPU.
 * @param {Node} value
 * @param {Tell} tell
 * @param {boolean} inFunction
 */
function noCallback(value, tell, inFunction = false) {
  if (Array.isArray(value)) {
    for (const item of value) noCallback(isNode(item) ? item : (item?.expression ?? item), tell, inFunction);
    return;
  }
  if (typeof value !== 'object' || value === null || TYPE_NODES.has(value.type)) return;
  const name = isNode(value) ? callingBack(value) : undefined;
  if (name !== undefined && inFunction) {
    tell(
      value,
      'no-callback',
      `'${name}' calls a function back, and a CPU in it cannot be suspended: write a for loop, or fill a table while the module is loaded.`,
    );
  }
  if (name !== undefined && !inFunction) {
    // Called at once, while the module is loaded: still no kernel function.
    noCallback(value.callee, tell);
    for (const { expression } of value.arguments)
      noCallback(isFunctionValue(expression) ? expression.body : expression, tell);
    return;
  }
  const within = inFunction || FUNCTIONS.has(value.type);
  for (const [child, below] of Object.entries(value)) {
    if (!TYPE_KEYS.has(child) && typeof below === 'object' && below !== null) noCallback(below, tell, within);
  }
}

/** @param {Node} node @param {string} key @param {Tell} tell */
function noClock(node, key, tell) {
  const instead = 'time is ticks, chance is the seeded generator of base/prng.ts, the host is somebody else.';
  if (node.type === 'Identifier' && !NAME_KEYS.has(key) && CLOCKS.has(node.value)) {
    tell(node, 'no-clock', `'${node.value}': ${instead}`);
  }
  if (isMember(node, 'Math', 'random')) tell(node, 'no-clock', `'Math.random': ${instead}`);
}

/** @param {Node} node @param {string} object @param {string} property */
const isMember = (node, object, property) =>
  node.type === 'MemberExpression' &&
  node.object.type === 'Identifier' &&
  node.object.value === object &&
  node.property.value === property;

/** @param {Node} node @param {string} key @param {Tell} tell */
function rawMemory(node, key, tell) {
  const instead = 'go through a typed view of memory, so that the scheduler and the trace see it.';
  if (
    node.type === 'Identifier' &&
    !NAME_KEYS.has(key) &&
    (node.value === 'SharedArrayBuffer' || node.value === 'Atomics')
  ) {
    tell(node, 'shared-memory', `'${node.value}': ${instead}`);
  }
  const made =
    (node.type === 'NewExpression' && node.callee) ||
    (node.type === 'CallExpression' && node.callee.type === 'MemberExpression' && node.callee.object);
  if (made && made.type === 'Identifier' && TYPED_ARRAYS.has(made.value)) {
    tell(node, 'typed-array', `'${made.value}' is made here: ${instead}`);
  }
}

/** @param {Node} node @param {string} key @param {Tell} tell */
function stdout(node, key, tell) {
  const instead = 'answer a value and let cli print it; a log goes through the logger that was passed in.';
  if (node.type === 'Identifier' && node.value === 'console' && !NAME_KEYS.has(key))
    tell(node, 'stdout', `'console': ${instead}`);
  if (isMember(node, 'process', 'stdout')) tell(node, 'stdout', `'process.stdout': ${instead}`);
}

/**
 * Parses one file and answers its statements and a function from node to line.
 * swc's positions are bytes, counted on from file to file: a marker statement in front says where this one begins.
 * @param {string} text
 */
function parse(text) {
  const code = text.replace(/^#!/, '//');
  const bytes = Buffer.from(code);
  const [marker, ...body] = parseSync(`;${code}`, { syntax: 'typescript', target: 'es2022' }).body;
  if (!marker) throw new Error('walls: swc answered an empty tree');
  const begin = marker.span.start + 1;
  /** @param {Node} node */
  const lineOf = (node) => {
    const start = node.span.start - begin;
    let line = 1;
    for (let at = 0; at < start; at++) if (bytes[at] === 0x0a) line++;
    return line;
  };
  return { body, lineOf };
}

/**
 * The faults of one source file.
 * @param {string} file such as src/kernel/kvm/svm.ts: the room decides which walls stand
 * @param {string} text
 * @returns {Fault[]}
 */
export function wallsOf(file, text) {
  const room = roomOf(file) ?? '';
  const lines = text.split('\n');
  const { body, lineOf } = parse(text);
  /** @type {Fault[]} */
  const faults = [];
  /** @type {Tell} */
  const tell = (node, rule, message) => {
    const line = lineOf(node);
    const crossing = new RegExp(`// wall: ${rule}: \\S`);
    if (crossing.test(lines[line - 1] ?? '') || crossing.test(lines[line - 2] ?? '')) return;
    faults.push({ file, line, rule, message });
  };
  const inKernel = kernelRooms.includes(room);
  if (inKernel) {
    heapState(body, tell);
    noCallback(body, tell);
  }
  walk(body, (node, key) => {
    if (inKernel) {
      linuxSpelling(node, tell);
      noSuspend(node, tell);
      noGetter(node, tell);
    }
    if (pureRooms.includes(room)) noClock(node, key, tell);
    if (!rawMemoryRooms.includes(room)) {
      rawMemory(node, key, (at, rule, message) => {
        if (rule !== 'typed-array' || !reckoningRooms.includes(room)) tell(at, rule, message);
      });
    }
    if (!stdoutRooms.includes(room)) stdout(node, key, tell);
  });
  return faults;
}

/** @param {string} root */
export function checkWalls(root) {
  const files = filesUnder(root, 'src').filter((file) => file.endsWith('.ts'));
  return { files, faults: files.flatMap((file) => wallsOf(file, textOf(root, file))) };
}

if (process.argv[1] === import.meta.filename) {
  const { files, faults } = checkWalls(rootArgument(process.argv.slice(2)));
  process.exitCode = report('walls', faults, `${files.length} files`);
}
