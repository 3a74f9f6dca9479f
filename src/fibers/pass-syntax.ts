/** What of a syntax tree every part of the pass asks. */
import type * as t from '@babel/types';

export interface PassOptions {
  /** Named in source maps and complaints. */
  readonly file: string;
  /** Where the compiled code finds base/resumable, and base/callbacks. */
  readonly runtime: {
    readonly resumable: string;
    readonly callbacks: string;
    /** base/plain-calls: functions of the module itself that are never suspended may run plainly. */
    readonly plainCalls?: string;
  };
  /**
   * Of a name imported from a module: whether it is a function with a twin. Where nobody says, the function itself is
   * asked when it is called.
   */
  readonly hasTwin?: (module: string, name: string) => boolean | undefined;
  /** `v[name]` may be a field of a view too. */
  readonly computed?: boolean;
  /** Count the turns of loops, so that one that never ends and never touches memory is noticed. */
  readonly loops?: boolean;
  /** Refuse what cannot be suspended, instead of leaving it plain. */
  readonly strict?: boolean;
}

/** A construct that no twin can be made of. */
export class PassError extends Error {
  readonly line: number;

  constructor(line: number, reason: string) {
    super(reason);
    this.name = 'PassError';
    this.line = line;
  }
}

export type Node = t.Node & Record<string, unknown>;
export type Expression = t.Expression;
export type AnyFunction =
  t.FunctionDeclaration | t.FunctionExpression | t.ArrowFunctionExpression | t.ObjectMethod;
export type Method = t.ClassMethod | t.ClassPrivateMethod;

/** @throws PassError with the line of what cannot be compiled */
export function refuse(node: t.Node, reason: string): never {
  throw new PassError(node.loc?.start.line ?? 0, reason);
}

export function firstNonImport(body: readonly t.Statement[]): number {
  const index = body.findIndex((statement) => statement.type !== 'ImportDeclaration');
  return index < 0 ? body.length : index;
}

export function isAccessor(node: AnyFunction | Method): boolean {
  return 'kind' in node && (node.kind === 'get' || node.kind === 'set');
}

/** `@plain` in front of a function: it performs at most one operation, as its first effect, or only reads. */
export function isMarkedPlain(node: t.Node): boolean {
  return node.leadingComments?.some(({ value }) => value.includes('@plain')) === true;
}

export function twinKey(types: typeof t, member: Method): t.StringLiteral | t.PrivateName {
  if (member.type === 'ClassPrivateMethod')
    return types.privateName(types.identifier(`${member.key.id.name}$`));
  return types.stringLiteral(`${nameOfKey(member.key)!}$`);
}

export function twinOf(types: typeof t, called: Expression): t.MemberExpression {
  return types.memberExpression(called, types.identifier('$'));
}

/** Whether taking something apart reads nothing that could be a view's, and evaluates nothing. */
export function isSimple(pattern: t.LVal): boolean {
  if (pattern.type !== 'ArrayPattern') return false;
  return pattern.elements.every(
    (one) =>
      one === null ||
      one.type === 'Identifier' ||
      (one.type === 'RestElement' && one.argument.type === 'Identifier'),
  );
}

/** How a part of a structure is named. */
export function keyed(property: t.ObjectProperty): { computed: boolean; loc: t.Node['loc'] } {
  return { computed: property.computed || property.key.type !== 'Identifier', loc: property.loc ?? null };
}

export function located<N extends t.Node>(made: N, node: t.Node): N {
  made.loc = node.loc ?? null;
  return made;
}

/** What an expression is behind its type assertions. */
export function withoutTypes(node: t.Node): t.Node {
  switch (node.type) {
    case 'TSNonNullExpression':
    case 'TSAsExpression':
    case 'TSSatisfiesExpression':
    case 'TSTypeAssertion':
    case 'TSInstantiationExpression':
    case 'ParenthesizedExpression':
      return withoutTypes(node.expression);
    default:
      return node;
  }
}

export function calleeName(node: t.CallExpression | t.OptionalCallExpression): string | undefined {
  const callee = withoutTypes(node.callee);
  if (callee.type === 'Identifier') return callee.name;
  const isMember = callee.type === 'MemberExpression' || callee.type === 'OptionalMemberExpression';
  return isMember && callee.property.type === 'Identifier' ? callee.property.name : undefined;
}

/** What is called, as V8 writes it where it is no function. */
export function calledAs(node: t.Node): string {
  const bare = withoutTypes(node);
  if (bare.type === 'Identifier') return bare.name;
  if (bare.type === 'ThisExpression') return 'this';
  if (bare.type === 'NumericLiteral') return String(bare.value);
  if (bare.type === 'StringLiteral') return JSON.stringify(bare.value);
  if (bare.type === 'CallExpression') return `${calledAs(bare.callee)}(...)`;
  if (bare.type !== 'MemberExpression') return '(intermediate value)';
  const { object, property } = bare;
  if (property.type === 'PrivateName') return `${calledAs(object)}.#${property.id.name}`;
  if (!bare.computed) return `${calledAs(object)}.${nameOfKey(property) ?? ''}`;
  return property.type === 'StringLiteral'
    ? `${calledAs(object)}.${property.value}`
    : `${calledAs(object)}[${calledAs(property)}]`;
}

/** What a method is called, if that is known: `name`, `'name'`, `5`. */
export function nameOfKey(key: t.Node): string | undefined {
  if (key.type === 'Identifier') return key.name;
  return key.type === 'StringLiteral' || key.type === 'NumericLiteral' ? String(key.value) : undefined;
}

/** Whether `test` holds for a node or one below it, as far as `enters` goes. */
export function anyNode(
  types: typeof t,
  node: t.Node,
  test: (node: t.Node) => boolean,
  enters: (node: t.Node) => boolean = () => true,
): boolean {
  if (test(node)) return true;
  for (const key of types.VISITOR_KEYS[node.type] ?? []) {
    const child = (node as Node)[key] as t.Node | t.Node[] | null | undefined;
    for (const one of Array.isArray(child) ? child : [child])
      if (one !== null && one !== undefined && enters(one) && anyNode(types, one, test, enters)) return true;
  }
  return false;
}

/** Whether a function says `this`, `super` or `arguments` and means its own, or that of the function around it. */
export function mentions(
  types: typeof t,
  node: t.Node,
  what: 'ThisExpression' | 'Super' | 'arguments',
): boolean {
  return anyNode(
    types,
    node,
    (one) => one.type === what || (one.type === 'Identifier' && what === one.name),
    (one) => !(types.isFunction(one) && one.type !== 'ArrowFunctionExpression') && !types.isClass(one),
  );
}
