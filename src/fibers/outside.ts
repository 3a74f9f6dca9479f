/**
 * Whether functions of a scenario may change something that stands outside them in the JavaScript heap: a `let` of the file's,
 * an array that they push to. Nothing puts that back between runs, so what such a flow does cannot be learnt
 * (recollection.ts), though it be the same in every run. Says yes where it cannot tell: that costs time and nothing else.
 */
import { createRequire } from 'node:module';
import type * as parser from '@babel/parser';
import type * as t from '@babel/types';

/** Whose functions make views of memory. */
const VIEWS_FROM = new Set(['smplab']);
/** Methods that change nothing of what they are called on. */
const READS = new Set(
  'at concat entries every filter find findIndex findLast flat flatMap forEach get has includes indexOf join keys lastIndexOf map reduce reduceRight slice some toSorted toReversed values with'.split(
    ' ',
  ),
);

/** Methods that change what they are called on, if that is no view. */
const WRITES = new Set(
  'add clear copyWithin delete fill pop push reverse set shift sort splice unshift'.split(' '),
);
/** Objects of the host whose methods keep nothing. */
const HOST = new Set('Array BigInt JSON Math Number Object String console'.split(' '));
const ASSERTIONS = new Set<t.Node['type']>([
  'TSNonNullExpression',
  'TSAsExpression',
  'TSSatisfiesExpression',
  'TSTypeAssertion',
  'ParenthesizedExpression',
]);

type Scope = Map<string, Binding>;
interface Binding {
  /** The function it is declared in; undefined: none, it is the file's. */
  readonly owner: t.Node | undefined;
  /** May be a thing of the heap that can be changed, or hold such things. */
  readonly isContainer: boolean;
  readonly isDeep: boolean;
  /** Something that 'smplab' has made, or the file's own function. */
  readonly isView: boolean;
}

/** What a module's name is to others that import it. */
type Exported = Pick<Binding, 'isContainer' | 'isDeep' | 'isView'>;

/**
 * @param code a module in TypeScript or JavaScript
 * @param codeOf the code of a module that it imports, if that can be told: then it is known what the imported names are
 */
export function mayKeepState(
  code: string,
  codeOf: (source: string) => string | undefined = () => undefined,
): boolean {
  const types = load<typeof t>('@babel/types');
  return new Search(types).isIn(programOf(code), (source) => {
    const imported = codeOf(source);
    return imported === undefined ? undefined : new Search(types).exportsOf(programOf(imported));
  });
}

/** By `require`, as in pass.ts. */
function load<T>(name: string): T {
  return createRequire(import.meta.url)(name) as T;
}

function programOf(code: string): t.Program {
  const { parse } = load<typeof parser>('@babel/parser');
  return parse(code, {
    sourceType: 'unambiguous',
    plugins: ['typescript', 'explicitResourceManagement'],
  }).program;
}

class Search {
  readonly #t: typeof t;
  /** Names that stand for something that 'smplab' has made. */
  readonly #makers = new Set<string>();

  constructor(types: typeof t) {
    this.#t = types;
  }

  isIn(
    program: t.Program,
    exportsOf: (source: string) => ReadonlyMap<string, Exported> | undefined,
  ): boolean {
    return this.#isFound(program, [], undefined, [this.#outermost(program, exportsOf)]);
  }

  /** What a module declares and exports under the name that it has there. */
  exportsOf(program: t.Program): ReadonlyMap<string, Exported> {
    const scope = this.#outermost(program, () => undefined);
    const found = new Map<string, Exported>();
    const add = (name: string, local = name): void => {
      const binding = scope.get(local);
      if (binding !== undefined) found.set(name, binding);
    };
    for (const one of program.body) {
      if (one.type !== 'ExportNamedDeclaration') continue;
      if (isThere(one.declaration))
        for (const name of Object.keys(this.#t.getBindingIdentifiers(one.declaration, false, true)))
          add(name);
      // Of another module: not known.
      if (isThere(one.source)) continue;
      for (const specifier of one.specifiers)
        if (specifier.type === 'ExportSpecifier') add(nameOf(specifier.exported), specifier.local.name);
    }
    return found;
  }

  /** The file's own scope. */
  #outermost(
    program: t.Program,
    exportsOf: (source: string) => ReadonlyMap<string, Exported> | undefined,
  ): Scope {
    const scope: Scope = new Map();
    for (const statement of program.body) {
      if (statement.type !== 'ImportDeclaration') continue;
      const isViews = VIEWS_FROM.has(statement.source.value);
      const exports = isViews ? undefined : exportsOf(statement.source.value);
      for (const specifier of statement.specifiers) {
        const { local } = specifier;
        if (isViews) this.#makers.add(local.name);
        const name = specifier.type === 'ImportSpecifier' && nameOf(specifier.imported);
        const known = name === false ? undefined : exports?.get(name);
        scope.set(local.name, {
          owner: undefined,
          ...(known ?? { isContainer: !isViews, isDeep: false, isView: isViews }),
        });
      }
    }
    this.#declareIn(program, undefined, scope);
    return scope;
  }

  /** Names declared in a function, or in the file, wherever in it: blocks are not told apart. */
  #declareIn(node: t.Node, owner: t.Node | undefined, scope: Scope): void {
    const types = this.#t;
    const declare = (
      pattern: t.Node | null | undefined,
      isContainer: boolean,
      isDeep = false,
      isView = false,
    ): void => {
      if (!isThere(pattern)) return;
      for (const name of Object.keys(types.getBindingIdentifiers(pattern)))
        scope.set(name, {
          owner,
          isContainer: isContainer || scope.get(name)?.isContainer === true,
          isDeep,
          isView,
        });
    };
    const visit = (one: t.Node): void => {
      if (one !== node && types.isFunction(one)) {
        if (one.type === 'FunctionDeclaration') declare(one.id, false);
        return;
      }
      if (one.type === 'VariableDeclarator') this.#declareVariable(one, declare);
      else if (one.type === 'CatchClause') declare(one.param, false);
      else if (types.isClass(one)) declare(one.id, false);
      for (const child of childrenOf(types, one)) visit(child);
    };
    if (types.isFunction(node)) for (const param of node.params) declare(param, false);
    visit(node);
  }

  #declareVariable(
    { id, init }: t.VariableDeclarator,
    declare: (id: t.Node, isContainer: boolean, isDeep: boolean, isView: boolean) => void,
  ): void {
    const isDeep = this.#isDeep(init);
    // Of an array that is taken apart, its elements have names.
    const isContainer = id.type === 'Identifier' ? this.#mayChange(init) : isDeep;
    const value = !isThere(init) ? undefined : bare(init);
    declare(id, isContainer, isDeep, value !== undefined && this.#isView(value));
  }

  /** Whether a value may be a thing of the heap that can be changed. */
  #mayChange(init: t.Node | null | undefined): boolean {
    const types = this.#t;
    const value = !isThere(init) ? undefined : bare(init);
    if (value === undefined || types.isLiteral(value) || types.isFunction(value)) return false;
    if (value.type === 'UnaryExpression' || value.type === 'BinaryExpression') return false;
    return !this.#isView(value);
  }

  /** A member of something global is written. */
  #isGlobalWrite(node: t.Identifier, above: readonly t.Node[]): boolean {
    return !HOST.has(node.name) && !isRead(node, above) && above[0]?.type === 'MemberExpression';
  }

  #isView(value: t.Node): boolean {
    const root = value.type === 'CallExpression' ? rootOf(value.callee) : undefined;
    return root?.type === 'Identifier' && this.#makers.has(root.name);
  }

  /** Whether what may be changed may hold other such things: an array of views does not, nor does one of numbers. */
  #isDeep(init: t.Node | null | undefined): boolean {
    const types = this.#t;
    if (!isThere(init) || !this.#mayChange(init)) return false;
    const value = bare(init);
    if (value.type === 'ArrayExpression') return value.elements.some((one) => this.#mayChange(one));
    if (value.type === 'ObjectExpression')
      return value.properties.some((one) => one.type !== 'ObjectProperty' || this.#mayChange(one.value));
    if (value.type !== 'CallExpression') return true;
    // `Array.from({ length: 3 }, () => shared('x'))`, and `map` as well.
    const made = value.arguments.find((one) => one.type === 'ArrowFunctionExpression');
    return made === undefined || types.isBlockStatement(made.body) || this.#mayChange(made.body);
  }

  #isFound(
    node: t.Node,
    above: readonly t.Node[],
    owner: t.Node | undefined,
    scopes: readonly Scope[],
  ): boolean {
    const types = this.#t;
    if (types.isFunction(node)) {
      const scope: Scope = new Map();
      this.#declareIn(node, node, scope);
      const inner = [scope, ...scopes];
      return childrenOf(types, node).some((child) => this.#isFound(child, [node, ...above], node, inner));
    }
    // What the file itself does is done once, before any run.
    if (owner !== undefined && this.#isWrite(node, above, owner, scopes)) return true;
    return childrenOf(types, node).some((child) => this.#isFound(child, [node, ...above], owner, scopes));
  }

  #isWrite(node: t.Node, above: readonly t.Node[], owner: t.Node, scopes: readonly Scope[]): boolean {
    const types = this.#t;
    const isOutside = (name: string): boolean => bindingOf(name, scopes)?.owner !== owner;
    if (node.type === 'AssignmentExpression' || node.type === 'UpdateExpression') {
      const target = bare(node.type === 'UpdateExpression' ? node.argument : node.left);
      if (target.type === 'MemberExpression') return rootOf(target)?.type === 'ThisExpression';
      return Object.keys(types.getBindingIdentifiers(target, false, true)).some(isOutside);
    }
    if (node.type !== 'Identifier' || !types.isReferenced(node, above[0]!, above[1])) return false;
    // Types are gone by then.
    if (above[0]!.type.startsWith('TS') && !ASSERTIONS.has(above[0]!.type)) return false;
    const binding = bindingOf(node.name, scopes);
    if (binding === undefined) return this.#isGlobalWrite(node, above);
    if (binding.owner === owner) return false;
    if (!binding.isContainer) return !binding.isView && isWriting(above);
    return !isOperand(node, above) && (binding.isDeep || !isRead(node, above));
  }
}

/** Whether a method is called on a name that changes what it is called on. */
function isWriting(above: readonly t.Node[]): boolean {
  const [user, next] = above.filter((one) => bare(one) === one);
  if (user?.type !== 'MemberExpression' || next?.type !== 'CallExpression' || bare(next.callee) !== user)
    return false;
  return !user.computed && user.property.type === 'Identifier' && WRITES.has(user.property.name);
}

/** Whether a thing, or something in it, is compared or computed with, and no more. */
function isOperand(name: t.Node, above: readonly t.Node[]): boolean {
  let part = name;
  for (const user of above) {
    if (user.type === 'BinaryExpression') return true;
    if (bare(user) === user && !(user.type === 'MemberExpression' && bare(user.object) === bare(part)))
      return false;
    part = user;
  }
  return false;
}

/** Whether a use of a thing, by its name, cannot change it. */
function isRead(name: t.Node, above: readonly t.Node[]): boolean {
  const users = above.filter((one) => bare(one) === one);
  const [user, next] = users;
  if (user === undefined) return false;
  if (user.type === 'ForOfStatement' || user.type === 'ForInStatement') return bare(user.right) === name;
  if (user.type === 'CallExpression') return bare(user.callee) === name;
  if (user.type === 'SpreadElement' || user.type === 'UnaryExpression') return true;
  if (user.type !== 'MemberExpression' || bare(user.object) !== name) return false;
  if (next?.type === 'CallExpression' && bare(next.callee) === user)
    return !user.computed && user.property.type === 'Identifier' && READS.has(user.property.name);
  if (next?.type === 'AssignmentExpression') return bare(next.left) !== user;
  return (
    next?.type !== 'UpdateExpression' && !(next?.type === 'UnaryExpression' && next.operator === 'delete')
  );
}

function bindingOf(name: string, scopes: readonly Scope[]): Binding | undefined {
  for (const scope of scopes) {
    const binding = scope.get(name);
    if (binding !== undefined) return binding;
  }
  return undefined;
}

/** What a chain of members and calls begins with. */
function rootOf(node: t.Node): t.Node | undefined {
  let at = bare(node);
  for (;;) {
    if (at.type === 'MemberExpression') at = bare(at.object);
    else if (at.type === 'CallExpression') at = bare(at.callee);
    else return at;
  }
}

/** An expression behind its type assertions. */
function bare(node: t.Node): t.Node {
  return ASSERTIONS.has(node.type) ? bare((node as t.TSAsExpression).expression) : node;
}

function nameOf(name: t.Identifier | t.StringLiteral): string {
  return name.type === 'Identifier' ? name.name : name.value;
}

function isThere<T>(value: T | null | undefined): value is T {
  return value !== null && value !== undefined;
}

function childrenOf(types: typeof t, node: t.Node): t.Node[] {
  return (types.VISITOR_KEYS[node.type] ?? []).flatMap((key) => {
    const child = (node as unknown as Record<string, t.Node | (t.Node | null)[] | null | undefined>)[key];
    return (Array.isArray(child) ? child : [child]).filter(isThere);
  });
}
