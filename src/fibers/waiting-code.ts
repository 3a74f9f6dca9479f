/**
 * Which code may be an operation on memory, or call what is one: the part of the pass (pass.ts) that only looks.
 */
import type * as t from '@babel/types';
import {
  type Node,
  type AnyFunction,
  type Method,
  type PassOptions,
  isAccessor,
  isMarkedPlain,
  withoutTypes,
  calleeName,
  nameOfKey,
  anyNode,
  refuse,
} from './pass-syntax.ts';

/** Names of the host's own objects: their methods perform no operation and call nobody back. */
const HOST_OBJECTS = new Set(
  'Math Number Object BigInt String JSON Reflect Atomics console Symbol Uint8Array Int32Array'.split(' '),
);
const HOST_FUNCTIONS = new Set('Number String Boolean BigInt Symbol parseInt assert'.split(' '));
/** What these get is looked at in one step: the plain form of a condition is all they use. */
export const TAKE_CONDITIONS = new Set('waitUntil waitUntilTimeout unseen look'.split(' '));
/** Never a field of a view. */
const PLAIN_PROPERTIES = new Set(['addr', 'prototype', '$']);
/** Methods of the bus that are no operation, and never fault. */
const NO_OPERATION = new Set(
  'emit loadLocal32 storeLocal32 storeLocalBytes tally32 peek32 ringDoorbell registersOf contextOf'.split(
    ' ',
  ),
);
/** Methods of it that may be one, or have to wait for their turn, and have no twin: those stand outside the pass. */
const OPERATIONS = new Set(
  (
    'load8 load16 load32 load64 store8 store16 store32 store64 load32Marked store32Marked load64Marked store64Marked ' +
    'add32 and32 or32 exchange32 compareExchange32 update fence acquire32 interruptFlag preemptionOff interruptEnters ' +
    'interruptLeaves fill copy loadBytes storeBytes raise dropInterrupts allocateStack badJump enter leave window'
  ).split(' '),
);
/** Methods of our own types, and of the host's, that touch no memory of the machine. */
const NAMES_OF_NOTHING = new Set(
  'at container offsetof addressOf push pop join padStart padEnd slice includes toString charCodeAt'.split(
    ' ',
  ),
);
/** Functions of memory/struct that only name a place. */
const NAME_PLACES = new Set(['addressOf', 'variableAt', 'viewAt']);
const STRUCT_MODULE = /^(#memory\/struct|\.\/struct\.ts)$/;
/** Methods of the bus that are one operation, or none. */
const ONE_OPERATION =
  /^(load|store)(8|16|32|64|Bytes|Local32|32Marked|64Marked)$|^(add|and|or|exchange|compareExchange|tally)32$|^fence$/;
/** What a call may turn out to be, as far as it can be told. */
export const Callee = { UNKNOWN: 0, TWIN: 1, NO_TWIN: 2, NOTHING: 3 } as const;
export type Callee = (typeof Callee)[keyof typeof Callee];

/** What the pass knows of the code of a module: which of it may be an operation, and which functions have to have twins. */
export class CodeThatWaits {
  readonly #t: typeof t;
  readonly #options: PassOptions;
  /** What the module itself calls so: the pass knows nothing of those. */
  #own: ReadonlySet<string> = new Set();
  /** Functions of the module and what it imports, of which it is known whether they have twins. */
  readonly #hasTwin = new Map<string, boolean>();
  /** Functions that only name a place. */
  readonly #namePlaces = new Set<string>();
  /** Functions that have a name only by what they are assigned to. */
  readonly #names = new WeakMap<t.Node, string>();

  constructor(types: typeof t, options: PassOptions) {
    this.#t = types;
    this.#options = options;
  }

  /** What there is to know of a module before any of it is compiled. */
  learn(program: t.Program): void {
    this.#inferNames(program);
    if (this.#options.strict === true) this.#own = this.#namesIn(program);
    else this.#learnTwins(program);
  }

  /** Whether the module itself declares a name, where that is a person's. */
  declares(name: string): boolean {
    return this.#own.has(name);
  }

  /** What a function without a name of its own is called. */
  nameOf(node: t.Node): string | undefined {
    return this.#names.get(node);
  }

  name(node: t.Node, name: string): void {
    this.#names.set(node, name);
  }

  /** Names that mean the same wherever they stand in the module. */
  #learnTwins(program: t.Program): void {
    const declared = this.#namesIn(program, false);
    const learn = (name: string, has: boolean | undefined): void => {
      if (has !== undefined && !declared.has(name)) this.#hasTwin.set(name, has);
    };
    for (const statement of program.body) {
      if (statement.type === 'ImportDeclaration')
        for (const one of statement.specifiers)
          if (one.type === 'ImportSpecifier' && one.imported.type === 'Identifier') {
            const { name } = one.local;
            const isPlace = STRUCT_MODULE.test(statement.source.value) && NAME_PLACES.has(one.imported.name);
            if (isPlace && !declared.has(name)) this.#namePlaces.add(name);
            else learn(name, this.#options.hasTwin?.(statement.source.value, one.imported.name));
          }
    }
    for (const [name, has] of this.#twinsOf(program, false)) learn(name, has);
  }

  /** Functions that a module exports, and whether each has a twin: the same as where the module itself is compiled. */
  exportedTwins(program: t.Program): Map<string, boolean> {
    this.learn(program);
    return this.#twinsOf(program, true);
  }

  /** Functions of a module, and whether each has a twin. */
  #twinsOf(program: t.Program, onlyExports: boolean): Map<string, boolean> {
    const found = new Map<string, boolean>();
    for (const statement of program.body) {
      const isExport = statement.type === 'ExportNamedDeclaration';
      const declared = isExport ? statement.declaration : statement;
      if (declared == null || (onlyExports && !isExport)) continue;
      if (declared.type === 'FunctionDeclaration' && declared.id != null)
        found.set(declared.id.name, this.canWait(declared));
      if (declared.type !== 'VariableDeclaration' || declared.kind !== 'const') continue;
      for (const { id, init } of declared.declarations)
        if (id.type === 'Identifier' && init != null && isKernelFunction(init)) found.set(id.name, true);
    }
    return found;
  }

  /** Every name that is declared in a module, but for what it imports. */
  #namesIn(program: t.Program, isTopIn = true): Set<string> {
    const types = this.#t;
    const names = new Set<string>();
    const top = new Set<t.Node>(isTopIn ? [] : topDeclarations(program));
    const declare = (pattern: t.Node | null | undefined): void => {
      if (pattern != null)
        for (const name of Object.keys(types.getBindingIdentifiers(pattern))) names.add(name);
    };
    anyNode(types, program, (node) => {
      const isCounted = !top.has(node);
      if (node.type === 'VariableDeclarator' && isCounted) declare(node.id);
      else if (node.type === 'CatchClause') declare(node.param);
      else if (types.isClass(node) && isCounted) declare(node.id);
      if (types.isFunction(node)) {
        for (const param of node.params) declare(param);
        if ('id' in node && isCounted) declare(node.id);
      }
      const isMember = isTopIn && (types.isMethod(node) || types.isProperty(node));
      if (isMember && 'key' in node && node.key.type === 'Identifier') names.add(node.key.name);
      return false;
    });
    return names;
  }

  /** Whether a function is given a twin. */
  canWait(node: AnyFunction | Method): boolean {
    const can = this.#hasToWait(node);
    const { key } = node as Partial<Method>;
    const name = key === undefined ? this.#names.get(node) : nameOfKey(key);
    const isTaken = name !== undefined && (NAMES_OF_NOTHING.has(name) || OPERATIONS.has(name));
    if (can && isTaken && this.#options.strict !== true)
      refuse(
        node,
        `${name}() is taken for one that is never suspended where it is called: name it otherwise`,
      );
    return can;
  }

  #hasToWait(node: AnyFunction | Method): boolean {
    if (node.async === true || node.generator === true || isAccessor(node)) {
      if (this.#options.strict === true)
        refuse(
          node,
          `${node.async === true ? 'an async function' : node.generator === true ? 'a generator function' : 'a getter or setter'} cannot be suspended where it touches shared memory`,
        );
      return false;
    }
    if (isMarkedPlain(node)) return false;
    const params = node.params.filter(({ type }) => type !== 'Identifier');
    if (params.some((param) => this.mayOperate(param))) return true;
    return this.mayOperate(node.body) && !this.#isOneOperation(node.body);
  }

  /**
   * Whether code is one operation, and nothing else that could be noticed: what calls it may as well do it again whole.
   * `return (bus.or32(word, bit) & bit) !== 0`
   */
  #isOneOperation(body: t.Node): boolean {
    let expression = body;
    if (body.type === 'BlockStatement') {
      const [only, ...others] = body.body;
      if (only === undefined || others.length > 0 || body.directives.length > 0) return false;
      if (only.type === 'ExpressionStatement') expression = only.expression;
      else if (only.type === 'ReturnStatement' && only.argument != null) expression = only.argument;
      else return false;
    }
    return this.#operations(expression) <= 1;
  }

  /** Operations in an expression, Infinity where it does anything else that has an effect, or calls who knows what. */
  #operations(node: t.Node): number {
    const sum = (...nodes: readonly (t.Node | null | undefined)[]): number =>
      nodes.reduce((all, one) => all + (one == null ? 0 : this.#operations(one)), 0);
    const bare = withoutTypes(node);
    if (this.#t.isLiteral(bare) && bare.type !== 'TemplateLiteral') return 0;
    switch (bare.type) {
      case 'Identifier':
      case 'ThisExpression':
        return 0;
      case 'BinaryExpression':
        return sum(bare.left, bare.right);
      case 'UnaryExpression':
        return bare.operator === 'delete' ? Infinity : sum(bare.argument);
      case 'ConditionalExpression':
        return sum(bare.test, bare.consequent, bare.alternate);
      case 'MemberExpression':
        if (bare.computed) return Infinity;
        return sum(bare.object) + (this.maybeField(bare) && !this.#isBus(bare.object) ? 1 : 0);
      case 'CallExpression': {
        const callee = withoutTypes(bare.callee);
        if (this.isHostCall(bare)) return sum(...bare.arguments);
        const name =
          callee.type === 'MemberExpression' && this.#isBus(callee.object) ? calleeName(bare) : undefined;
        return name === undefined || !ONE_OPERATION.test(name) ? Infinity : 1 + sum(...bare.arguments);
      }
      default:
        return Infinity;
    }
  }

  /** Whether code calls anything, or reads or writes a property that could be a view's. */
  mayOperate(node: t.Node): boolean {
    if (this.#t.isFunction(node) || this.#t.isClass(node)) return false;
    if (node.type === 'CallExpression' && !this.isHostCall(node)) {
      const callee = withoutTypes(node.callee);
      if (this.known(callee) !== Callee.NOTHING) return true;
      const { object } = callee as Partial<t.MemberExpression>;
      return [...(object === undefined ? [] : [object]), ...node.arguments].some((one) =>
        this.mayOperate(one),
      );
    }
    if (node.type === 'OptionalCallExpression' || node.type === 'OptionalMemberExpression') return true;
    if (node.type === 'TaggedTemplateExpression') return true;
    if (node.type === 'MemberExpression' && this.maybeField(node)) return true;
    if (node.type === 'ObjectPattern') return true;
    for (const key of this.#t.VISITOR_KEYS[node.type] ?? []) {
      const child = (node as Node)[key] as t.Node | t.Node[] | null | undefined;
      for (const one of Array.isArray(child) ? child : [child])
        if (one !== null && one !== undefined && this.mayOperate(one)) return true;
    }
    return false;
  }

  isHostCall(node: t.CallExpression): boolean {
    const { callee } = node;
    if (callee.type === 'Identifier') return HOST_FUNCTIONS.has(callee.name) && !this.#own.has(callee.name);
    if (callee.type !== 'MemberExpression') return false;
    return this.isHostObject(callee.object);
  }

  isHostObject(node: t.Node): boolean {
    return node.type === 'Identifier' && HOST_OBJECTS.has(node.name) && !this.#own.has(node.name);
  }

  #isBus(node: t.Node): boolean {
    return node.type === 'Identifier' && node.name === 'bus' && !this.#own.has('bus');
  }

  maybeField(node: t.MemberExpression): boolean {
    const { object, property } = node;
    if (object.type === 'ThisExpression' || object.type === 'Super' || property.type === 'PrivateName')
      return false;
    if (node.computed) return this.#options.computed === true;
    if (property.type !== 'Identifier') return false;
    if (PLAIN_PROPERTIES.has(property.name)) return false;
    if (this.isHostObject(object)) return false;
    // A person's structures may be called anything.
    if (this.#options.strict === true) return true;
    if (property.name === 'length' || this.#isBus(object) || isRegisters(object)) return false;
    // CpuWord.STATUS
    const isConstant =
      object.type === 'Identifier' && /^[A-Z]/.test(object.name) && /^[A-Z][A-Z0-9_]*$/.test(property.name);
    return !isConstant;
  }

  /** What the language calls a function that is assigned to something, where that is said. */
  #inferNames(program: t.Node): void {
    const name = (to: t.Node, given: t.Node | null | undefined, computed = false): void => {
      if (given == null || computed) return;
      const value = withoutTypes(given);
      const isNameless =
        value.type === 'ArrowFunctionExpression' || (value.type === 'FunctionExpression' && value.id == null);
      const called = isNameless ? nameOfKey(withoutTypes(to)) : undefined;
      if (called !== undefined) this.#names.set(value, called);
    };
    anyNode(this.#t, program, (node) => {
      if (node.type === 'VariableDeclarator') name(node.id, node.init);
      if (node.type === 'AssignmentExpression' || node.type === 'AssignmentPattern')
        name(node.left, node.right);
      if (node.type === 'ObjectProperty' || node.type === 'ClassProperty')
        name(node.key, node.value, node.computed);
      return false;
    });
  }

  /** What is called, where the code is our own. */
  known(callee: t.Node): Callee {
    if (this.#options.strict === true) return Callee.UNKNOWN;
    if (callee.type === 'Identifier') {
      if (this.#namePlaces.has(callee.name)) return Callee.NOTHING;
      const has = this.#hasTwin.get(callee.name);
      if (has === undefined || TAKE_CONDITIONS.has(callee.name)) return Callee.UNKNOWN;
      return has ? Callee.TWIN : Callee.NO_TWIN;
    }
    if (callee.type !== 'MemberExpression' || callee.computed || callee.property.type !== 'Identifier')
      return Callee.UNKNOWN;
    const { name } = callee.property;
    if (this.#isBus(callee.object)) {
      if (NO_OPERATION.has(name)) return Callee.NOTHING;
      return OPERATIONS.has(name) ? Callee.NO_TWIN : Callee.UNKNOWN;
    }
    const isNothing = isRegisters(callee.object) || NAMES_OF_NOTHING.has(name);
    return isNothing && callee.object.type !== 'Super' ? Callee.NOTHING : Callee.UNKNOWN;
  }
}

/** `registers`, `bus.registers`: words of a CPU that are nobody's operations. */
function isRegisters(node: t.Node): boolean {
  if (node.type === 'Identifier') return node.name === 'registers';
  if (node.type !== 'MemberExpression' || node.property.type !== 'Identifier') return false;
  const isOfBus = node.object.type === 'ThisExpression' || nameOfKey(node.object) === 'bus';
  return isOfBus && node.property.name === 'registers';
}

/** `kernel_function('name', ...)`: a wrapper of memory/symbols, which has a twin. */
function isKernelFunction(node: t.Node): boolean {
  return (
    node.type === 'CallExpression' &&
    node.callee.type === 'Identifier' &&
    node.callee.name === 'kernel_function'
  );
}

/** Functions and variables that a module declares for itself. */
function topDeclarations(program: t.Program): t.Node[] {
  return program.body.flatMap((statement): t.Node[] => {
    const declared = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement;
    if (declared?.type === 'VariableDeclaration') return declared.declarations;
    return declared == null ? [] : [declared];
  });
}
