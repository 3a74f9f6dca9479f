/**
 * Compiles functions a second time, as functions that can be suspended.
 *
 * The source stays as it is: each function `f` keeps its plain form and gets a twin, the generator function `f.$`
 * (base/resumable.ts). Plain code is what CPU threads, the host and the conditions of waits run. In a twin
 *
 * - a call runs the callee's twin, if it has one, and yields if that was suspended:
 *   `f(a)` -> `(r = f.$(a).next()).done ? r.value : (hold(...), yield)`;
 * - whatever may be one operation on memory (a field of a view, a call of a plain function) is done, and if it turns out
 *   that it is not this CPU's turn, yields and is done again: `v.x` -> `(r = v.x, parked ? (yield, v.x) : r)`.
 *
 * `yield` stands inside expressions, so the order of evaluation is the language's own. What cannot be suspended is refused
 * with its line: async and generator functions, getters and setters.
 */
import type * as t from '@babel/types';

export interface PassOptions {
  /** Named in source maps and complaints. */
  readonly file: string;
  /** Where the compiled code finds base/resumable, and base/callbacks. */
  readonly runtime: { readonly resumable: string; readonly callbacks: string };
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

type Node = t.Node & Record<string, unknown>;
type Expression = t.Expression;
type AnyFunction = t.FunctionDeclaration | t.FunctionExpression | t.ArrowFunctionExpression | t.ObjectMethod;
type Method = t.ClassMethod | t.ClassPrivateMethod;
interface Compilers {
  readonly types: typeof t;
  readonly parse: (code: string, options: object) => t.File;
  readonly generate: (
    ast: t.Node,
    options: object,
    code: string,
  ) => { readonly code: string; readonly map: object | null };
}

/** Names of the host's own objects: their methods perform no operation and call nobody back. */
const HOST_OBJECTS = new Set(
  'Math Number Object BigInt String JSON Reflect Atomics console Symbol Uint8Array Int32Array'.split(' '),
);
const HOST_FUNCTIONS = new Set('Number String Boolean BigInt Symbol parseInt assert'.split(' '));
/** What these get is looked at in one step: the plain form of a condition is all they use. */
const TAKE_CONDITIONS = new Set('waitUntil waitUntilTimeout unseen look'.split(' '));
/** Never a field of a view. */
const PLAIN_PROPERTIES = new Set(['addr', 'prototype', '$']);
/** Array methods that call back: done by loops of our own (base/callbacks.ts). */
const CALLS_BACK = new Set('map forEach filter some every find findIndex reduce flatMap'.split(' '));

/** Methods of the bus that are one operation, or none. */
const ONE_OPERATION =
  /^(load|store)(8|16|32|64|Bytes|Local32|32Marked|64Marked)$|^(add|and|or|exchange|compareExchange|tally)32$|^fence$/;

const HOLD = '$hold';
const BOTH = '$both';
const TURN = '$turn';
const STATE = '$fiber';
const ARRAYS = '$arrays';

let loaded: Promise<Compilers> | undefined;

/** The compiler library: loaded when first needed, which no command pays for that does not compile. */
async function compilers(): Promise<Compilers> {
  const load = async (): Promise<Compilers> => {
    const [types, parser, generator] = await Promise.all([
      import('@babel/types'),
      import('@babel/parser'),
      import('@babel/generator'),
    ]);
    const inner = generator.default as unknown as { default?: Compilers['generate'] };
    return {
      types,
      parse: parser.parse as Compilers['parse'],
      generate: inner.default ?? (generator.default as unknown as Compilers['generate']),
    };
  };
  loaded ??= load();
  return loaded;
}

/**
 * Adds twins to a module.
 * @returns TypeScript again if it was, with an inline source map
 * @throws PassError for what cannot be compiled, with its line; SyntaxError for what is not code
 */
export async function makeResumable(code: string, options: PassOptions): Promise<string> {
  const tools = await compilers();
  const ast = tools.parse(code, {
    sourceType: 'unambiguous',
    plugins: ['typescript', 'explicitResourceManagement'],
    sourceFilename: options.file,
  });
  const pass = new Pass(tools.types, options);
  pass.module(ast.program);
  const made = tools.generate(
    ast,
    { sourceMaps: true, sourceFileName: options.file, comments: false, retainLines: false },
    code,
  );
  const map = Buffer.from(JSON.stringify(made.map)).toString('base64');
  return `${made.code}\n//# sourceMappingURL=data:application/json;base64,${map}\n`;
}

/** Temporaries of one twin: taken and given back like a stack. */
class Temporaries {
  readonly #names: string[] = [];
  #used = 0;

  take(): string {
    const name = (this.#names[this.#used] ??= `$${this.#used}`);
    this.#used++;
    return name;
  }

  get mark(): number {
    return this.#used;
  }

  release(mark: number): void {
    this.#used = mark;
  }

  get all(): readonly string[] {
    return this.#names;
  }
}

class Pass {
  readonly #t: typeof t;
  readonly #options: PassOptions;
  #usesRuntime = false;
  #usesArrays = false;
  #wholes = 0;
  /** Private methods of the classes around, that have twins. */
  #privateMethods: ReadonlySet<string> = new Set();
  /** Set inside a twin. */
  #temporaries: Temporaries | undefined;

  constructor(types: typeof t, options: PassOptions) {
    this.#t = types;
    this.#options = options;
  }

  /** Functions that have a name only by what they are assigned to. */
  readonly #names = new WeakMap<t.Node, string>();

  module(program: t.Program): void {
    this.#inferNames(program);
    const body = this.#block(program.body);
    const runtime = program.sourceType === 'module' ? this.#runtimeImports() : this.#runtimeRequires();
    if (this.#usesRuntime) body.splice(firstNonImport(body), 0, ...runtime);
    program.body = body;
  }

  #runtimeImports(): t.Statement[] {
    const types = this.#t;
    const { resumable, callbacks } = this.#options.runtime;
    const from = (module: string, names: Readonly<Record<string, string>>): t.ImportDeclaration => {
      const specifiers = Object.entries(names).map(([local, imported]) =>
        types.importSpecifier(types.identifier(local), types.identifier(imported)),
      );
      return types.importDeclaration(specifiers, types.stringLiteral(module));
    };
    const imports = [
      from(resumable, { [STATE]: 'resumable', [HOLD]: 'hold', [BOTH]: 'both', [TURN]: 'turn' }),
    ];
    if (this.#usesArrays) imports.push(from(callbacks, { [ARRAYS]: 'arrays' }));
    return imports;
  }

  /** The same in a CommonJS file. */
  #runtimeRequires(): t.Statement[] {
    const types = this.#t;
    return this.#runtimeImports().map((statement) => {
      const { specifiers, source } = statement as t.ImportDeclaration;
      const names = specifiers.map((one) =>
        types.objectProperty((one as t.ImportSpecifier).imported as t.Identifier, one.local),
      );
      const required = types.callExpression(types.identifier('require'), [source]);
      return types.variableDeclaration('const', [
        types.variableDeclarator(types.objectPattern(names), required),
      ]);
    });
  }

  #refuse(node: t.Node, reason: string): never {
    throw new PassError(node.loc?.start.line ?? 0, reason);
  }

  /** Statements of a block; twins of its function declarations come first, as the functions themselves do. */
  #block(statements: readonly t.Statement[]): t.Statement[] {
    const types = this.#t;
    const twins: t.Statement[] = [];
    const result = statements.flatMap((statement) => {
      const declared =
        statement.type === 'ExportNamedDeclaration' || statement.type === 'ExportDefaultDeclaration'
          ? statement.declaration
          : statement;
      if (declared?.type === 'FunctionDeclaration' && declared.id != null && this.#canWait(declared)) {
        const twin = this.#twin(declared);
        const member = types.memberExpression(types.identifier(declared.id.name), types.identifier('$'));
        twins.push(types.expressionStatement(types.assignmentExpression('=', member, twin)));
      }
      return [this.#visit(statement)];
    });
    result.splice(firstNonImport(result), 0, ...twins);
    return result;
  }

  /** A copy of a node, in the form it has where it stands: in a twin, or in plain code. */
  #visit<N extends t.Node>(node: N): N {
    const copy = this.#special(node);
    return (copy ?? this.#copy(node)) as N;
  }

  #copy(node: t.Node): t.Node {
    const copy: Node = { ...(node as Node) };
    for (const key of this.#t.VISITOR_KEYS[node.type] ?? []) {
      const child = (node as Node)[key];
      if (Array.isArray(child)) {
        copy[key] =
          key === 'body' && this.#t.isBlock(node)
            ? this.#block(child as t.Statement[])
            : child.map((one: t.Node | null) => (one === null ? null : this.#visit(one)));
      } else if (child !== null && child !== undefined) copy[key] = this.#visit(child as t.Node);
    }
    return copy;
  }

  #special(node: t.Node): t.Node | undefined {
    switch (node.type) {
      case 'FunctionDeclaration':
        return this.#plain(node);
      case 'FunctionExpression':
      case 'ArrowFunctionExpression':
        return this.#functionValue(node);
      case 'ObjectMethod':
        return this.#objectMethod(node);
      case 'ClassDeclaration':
      case 'ClassExpression':
        return this.#class(node);
      case 'WhileStatement':
      case 'DoWhileStatement':
      case 'ForStatement':
      case 'ForOfStatement':
      case 'ForInStatement':
        return this.#loop(node);
      default:
        return this.#temporaries === undefined ? undefined : this.#inTwin(node);
    }
  }

  #loop(
    node: t.WhileStatement | t.DoWhileStatement | t.ForStatement | t.ForOfStatement | t.ForInStatement,
  ): t.Node {
    const made = (this.#temporaries === undefined ? undefined : this.#inTwin(node)) ?? this.#copy(node);
    if (this.#options.loops !== true) return made;
    const types = this.#t;
    this.#usesRuntime = true;
    const loop = made as unknown as { body: t.Statement };
    const turn = types.expressionStatement(types.callExpression(types.identifier(TURN), []));
    const { body } = loop;
    loop.body = types.blockStatement([turn, ...(body.type === 'BlockStatement' ? body.body : [body])]);
    return made;
  }

  /** Whether a function is given a twin. */
  #canWait(node: AnyFunction | Method): boolean {
    if (node.async === true || node.generator === true || isAccessor(node)) {
      if (this.#options.strict === true)
        this.#refuse(
          node,
          `${node.async === true ? 'an async function' : node.generator === true ? 'a generator function' : 'a getter or setter'} cannot be suspended where it touches shared memory`,
        );
      return false;
    }
    return !isMarkedPlain(node) && this.#mayOperate(node.body) && !this.#isOneOperation(node.body);
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
        return sum(bare.object) + (this.#maybeField(bare) && !isBus(bare.object) ? 1 : 0);
      case 'CallExpression': {
        const callee = withoutTypes(bare.callee);
        if (this.#isHostCall(bare)) return sum(...bare.arguments);
        const name =
          callee.type === 'MemberExpression' && isBus(callee.object) ? calleeName(bare) : undefined;
        return name === undefined || !ONE_OPERATION.test(name) ? Infinity : 1 + sum(...bare.arguments);
      }
      default:
        return Infinity;
    }
  }

  /** Whether code calls anything, or reads or writes a property that could be a view's. */
  #mayOperate(node: t.Node): boolean {
    if (this.#t.isFunction(node) || this.#t.isClass(node)) return false;
    if (node.type === 'CallExpression' && !this.#isHostCall(node)) return true;
    if (node.type === 'OptionalCallExpression' || node.type === 'OptionalMemberExpression') return true;
    if (node.type === 'MemberExpression' && this.#maybeField(node)) return true;
    if (node.type === 'ObjectPattern') return true;
    for (const key of this.#t.VISITOR_KEYS[node.type] ?? []) {
      const child = (node as Node)[key] as t.Node | t.Node[] | null | undefined;
      for (const one of Array.isArray(child) ? child : [child])
        if (one !== null && one !== undefined && this.#mayOperate(one)) return true;
    }
    return false;
  }

  #isHostCall(node: t.CallExpression): boolean {
    const { callee } = node;
    if (callee.type === 'Identifier') return HOST_FUNCTIONS.has(callee.name);
    return (
      callee.type === 'MemberExpression' &&
      callee.object.type === 'Identifier' &&
      HOST_OBJECTS.has(callee.object.name)
    );
  }

  #maybeField(node: t.MemberExpression): boolean {
    const { object, property } = node;
    if (object.type === 'ThisExpression' || object.type === 'Super' || property.type === 'PrivateName')
      return false;
    if (node.computed) return this.#options.computed === true && !this.#t.isLiteral(property);
    if (property.type !== 'Identifier') return false;
    if (PLAIN_PROPERTIES.has(property.name)) return false;
    // CpuWord.STATUS
    const isConstant =
      object.type === 'Identifier' && /^[A-Z]/.test(object.name) && /^[A-Z][A-Z0-9_]*$/.test(property.name);
    const isHost = object.type === 'Identifier' && HOST_OBJECTS.has(object.name);
    return !isConstant && !isHost;
  }

  // ---- functions ----

  /** The plain form: functions inside it have twins, and it is not one. */
  #plain<F extends AnyFunction | Method>(node: F): F {
    const outer = this.#temporaries;
    this.#temporaries = undefined;
    const copy = this.#copy(node) as F;
    this.#temporaries = outer;
    return copy;
  }

  #functionValue(node: t.FunctionExpression | t.ArrowFunctionExpression): Expression {
    const plain = this.#plain(node);
    return this.#canWait(node) ? this.#both(plain, this.#twin(node), this.#names.get(node)) : plain;
  }

  #both(plain: Expression, twin: Expression, name?: string): Expression {
    const types = this.#t;
    this.#usesRuntime = true;
    // `{ f: () => 1 }.f` is called f, and `both(() => 1)` nothing.
    const named =
      name === undefined
        ? plain
        : types.memberExpression(
            types.objectExpression([types.objectProperty(types.stringLiteral(name), plain)]),
            types.stringLiteral(name),
            true,
          );
    return types.callExpression(types.identifier(BOTH), [named, twin]);
  }

  /** What the language calls a function that is assigned to something, where that is said. */
  #inferNames(node: t.Node): void {
    const name = (to: t.Node, value: t.Node | null | undefined, computed = false): void => {
      const isNameless =
        value?.type === 'ArrowFunctionExpression' ||
        (value?.type === 'FunctionExpression' && value.id == null);
      if (!isNameless || computed) return;
      if (to.type === 'Identifier') this.#names.set(value, to.name);
      if (to.type === 'StringLiteral') this.#names.set(value, to.value);
    };
    if (node.type === 'VariableDeclarator') name(node.id, node.init);
    if (node.type === 'AssignmentExpression' || node.type === 'AssignmentPattern')
      name(node.left, node.right);
    if (node.type === 'ObjectProperty' || node.type === 'ClassProperty')
      name(node.key, node.value as t.Node, node.computed === true);
    for (const key of this.#t.VISITOR_KEYS[node.type] ?? []) {
      const child = (node as Node)[key] as t.Node | t.Node[] | null | undefined;
      for (const one of Array.isArray(child) ? child : [child])
        if (one !== null && one !== undefined) this.#inferNames(one);
    }
  }

  #objectMethod(node: t.ObjectMethod): t.ObjectMethod | t.ObjectProperty {
    const plain = this.#plain(node);
    if (node.kind !== 'method' || !this.#canWait(node)) {
      if (node.kind !== 'method') this.#canWait(node);
      return plain;
    }
    const types = this.#t;
    const asFunction = types.functionExpression(
      null,
      plain.params as t.FunctionParameter[],
      plain.body,
      false,
      false,
    );
    const name = !node.computed && node.key.type === 'Identifier' ? node.key.name : undefined;
    return types.objectProperty(plain.key, this.#both(asFunction, this.#twin(node), name), plain.computed);
  }

  #class(node: t.ClassDeclaration | t.ClassExpression): t.Node {
    const types = this.#t;
    const methods = node.body.body.filter(
      (member): member is Method =>
        (member.type === 'ClassMethod' || member.type === 'ClassPrivateMethod') && member.kind === 'method',
    );
    const isNamed = (member: Method): boolean =>
      member.type === 'ClassPrivateMethod' || (member.key.type === 'Identifier' && !member.computed);
    const waiting = methods.filter((member) => this.#canWait(member) && isNamed(member));
    for (const member of node.body.body)
      if ((member.type === 'ClassMethod' || member.type === 'ClassPrivateMethod') && isAccessor(member))
        this.#canWait(member);
    const outer = this.#privateMethods;
    this.#privateMethods = new Set([
      ...outer,
      ...waiting.flatMap((member) => (member.type === 'ClassPrivateMethod' ? [member.key.id.name] : [])),
    ]);
    const copy = this.#inPlain(() => this.#copy(node)) as t.ClassDeclaration;
    const attached: t.Statement[] = [];
    for (const member of waiting) {
      const twin = this.#twin(member);
      const key = twinKey(types, member);
      const method =
        member.type === 'ClassPrivateMethod'
          ? types.classPrivateMethod('method', key as t.PrivateName, twin.params, twin.body, member.static)
          : types.classMethod('method', key as t.Identifier, twin.params, twin.body, false, member.static);
      method.generator = true;
      copy.body.body.push(method);
      if (member.type !== 'ClassMethod' || member.key.type !== 'Identifier') continue;
      const holder =
        member.static === true
          ? types.thisExpression()
          : types.memberExpression(types.thisExpression(), types.identifier('prototype'));
      const method_ = types.memberExpression(holder, types.identifier(member.key.name));
      attached.push(
        types.expressionStatement(
          types.assignmentExpression(
            '=',
            types.memberExpression(method_, types.identifier('$')),
            types.memberExpression(types.cloneNode(holder), types.identifier(`${member.key.name}$`)),
          ),
        ),
      );
    }
    if (attached.length > 0) copy.body.body.push(types.staticBlock(attached));
    this.#privateMethods = outer;
    return copy;
  }

  #inPlain<T>(work: () => T): T {
    const outer = this.#temporaries;
    this.#temporaries = undefined;
    try {
      return work();
    } finally {
      this.#temporaries = outer;
    }
  }

  /** The generator function that a function's twin is. An arrow function's keeps the `this` of where it is made. */
  #twin(node: AnyFunction | Method): t.FunctionExpression & { params: t.FunctionParameter[] } {
    const types = this.#t;
    this.#usesRuntime = true;
    const outer = this.#temporaries;
    const temporaries = new Temporaries();
    this.#temporaries = temporaries;
    const first: t.Statement[] = [];
    const params = node.params
      .filter((param) => param.type !== 'Identifier' || param.name !== 'this')
      .map((param, index) => this.#parameter(param as t.FunctionParameter, index, first));
    const body =
      node.body.type === 'BlockStatement'
        ? this.#block(node.body.body)
        : [types.returnStatement(this.#visit(node.body))];
    this.#temporaries = outer;
    const names = temporaries.all.map((name) => types.variableDeclarator(types.identifier(name)));
    const declared = names.length === 0 ? [] : [types.variableDeclaration('let', names)];
    const block = types.blockStatement([...declared, ...first, ...body]);
    const twin = types.functionExpression(null, params, block, true, false);
    if (node.type !== 'ArrowFunctionExpression' || !usesThis(types, node.body)) return twin as never;
    return types.callExpression(types.memberExpression(twin, types.identifier('bind')), [
      types.thisExpression(),
    ]) as never;
  }

  /** A parameter; what it does besides taking a value is done at the start of the body. */
  #parameter(param: t.FunctionParameter, index: number, first: t.Statement[]): t.FunctionParameter {
    const types = this.#t;
    if (param.type === 'Identifier') return types.identifier(param.name);
    if (param.type === 'RestElement' && param.argument.type === 'Identifier')
      return types.restElement(types.identifier(param.argument.name));
    if ((param as t.Node).type === 'TSParameterProperty') return this.#refuse(param, 'a parameter property');
    const name = `$p${index}`;
    if (param.type === 'AssignmentPattern') {
      const isNothing = types.binaryExpression('===', types.identifier(name), types.identifier('undefined'));
      const value = types.conditionalExpression(isNothing, this.#visit(param.right), types.identifier(name));
      first.push(...this.#declare('let', param.left as t.LVal, value));
      return types.identifier(name);
    }
    first.push(...this.#declare('let', param as t.LVal, types.identifier(name)));
    return param.type === 'RestElement' ? types.restElement(types.identifier(name)) : types.identifier(name);
  }

  // ---- inside a twin ----

  #inTwin(node: t.Node): t.Node | undefined {
    switch (node.type) {
      case 'CallExpression':
        return this.#call(node);
      case 'OptionalCallExpression':
      case 'OptionalMemberExpression':
        return this.#scoped(() => this.#chain(node, (value) => value));
      case 'MemberExpression':
        return this.#maybeField(node) ? this.#read(node) : undefined;
      case 'AssignmentExpression':
        return this.#assignment(node);
      case 'UpdateExpression':
        return this.#update(node);
      case 'UnaryExpression':
        return node.operator === 'delete' || node.operator === 'typeof' ? this.#unary(node) : undefined;
      case 'VariableDeclaration':
        return this.#declaration(node);
      case 'ForOfStatement':
      case 'ForInStatement':
        return this.#forOf(node);
      case 'TaggedTemplateExpression':
        return this.#refuse(node, 'a tagged template cannot be suspended');
      case 'ExpressionStatement':
        return this.#scoped(() => this.#t.expressionStatement(this.#visit(node.expression)));
      default:
        return undefined;
    }
  }

  /** Temporaries taken by `work` are free again behind it. */
  #scoped<T>(work: () => T): T {
    const temporaries = this.#temporaries!;
    const { mark } = temporaries;
    const result = work();
    temporaries.release(mark);
    return result;
  }

  #take(): t.Identifier {
    return this.#t.identifier(this.#temporaries!.take());
  }

  #set(to: t.Identifier, value: Expression): Expression {
    return this.#t.assignmentExpression('=', this.#t.identifier(to.name), value);
  }

  #name(of: t.Identifier): t.Identifier {
    return this.#t.identifier(of.name);
  }

  /** `r = operation, parked ? (yield, operation) : r`: done now, or when its turn has come. */
  #attempt(operation: () => Expression): Expression[] {
    const types = this.#t;
    const result = this.#take();
    const parked = types.memberExpression(types.identifier(STATE), types.identifier('parked'));
    const again = types.sequenceExpression([types.yieldExpression(), operation()]);
    return [this.#set(result, operation()), types.conditionalExpression(parked, again, this.#name(result))];
  }

  #sequence(parts: readonly Expression[]): Expression {
    return parts.length === 1 ? parts[0]! : this.#t.sequenceExpression([...parts]);
  }

  /** Evaluates an expression into a temporary, unless evaluating it again later is the same. */
  #once(node: t.Node, parts: Expression[]): () => Expression {
    const types = this.#t;
    if (node.type === 'ThisExpression') return () => types.thisExpression();
    if (types.isLiteral(node) && node.type !== 'TemplateLiteral')
      return () => types.cloneNode(node as Expression);
    const name = this.#take();
    parts.push(this.#set(name, this.#visit(node as Expression)));
    return () => this.#name(name);
  }

  /** A property's name: as it is, or evaluated once. */
  #key(
    node: t.MemberExpression | t.OptionalMemberExpression,
    parts: Expression[],
  ): () => t.Expression | t.PrivateName {
    if (!node.computed) return () => this.#t.cloneNode(node.property as t.Identifier);
    return this.#once(node.property, parts);
  }

  #read(node: t.MemberExpression): Expression {
    return this.#scoped(() => {
      const parts: Expression[] = [];
      const object = this.#once(node.object, parts);
      const key = this.#key(node, parts);
      parts.push(...this.#attempt(() => this.#property(object(), key(), node)));
      return this.#sequence(parts);
    });
  }

  #property(
    object: Expression,
    key: t.Expression | t.PrivateName,
    { computed, loc }: { readonly computed?: boolean; readonly loc?: t.Node['loc'] },
  ): t.MemberExpression {
    const member = this.#t.memberExpression(object, key as t.Expression, computed === true);
    member.loc = loc ?? null;
    return member;
  }

  /** Writes `value` to what `node` names. Answers the parts, the last of which is the value. */
  #write(target: () => t.MemberExpression, value: () => Expression): Expression[] {
    const types = this.#t;
    const write = (): Expression => types.assignmentExpression('=', target(), value());
    const parked = types.memberExpression(types.identifier(STATE), types.identifier('parked'));
    const again = types.sequenceExpression([types.yieldExpression(), write()]);
    return [write(), types.logicalExpression('&&', parked, again), value()];
  }

  #assignment(node: t.AssignmentExpression): Expression | undefined {
    const types = this.#t;
    const left = withoutTypes(node.left);
    if (left.type !== 'MemberExpression' || !this.#maybeField(left)) return undefined;
    return this.#scoped(() => {
      const parts: Expression[] = [];
      const object = this.#once(left.object, parts);
      const key = this.#key(left, parts);
      const target = (): t.MemberExpression => this.#property(object(), key(), left);
      if (node.operator === '=') {
        const value = this.#once(node.right, parts);
        return this.#sequence([...parts, ...this.#write(target, value)]);
      }
      const before = this.#take();
      parts.push(this.#set(before, this.#sequence(this.#attempt(target))));
      const operator = node.operator.slice(0, -1);
      if (operator === '||' || operator === '&&' || operator === '??') {
        const inner: Expression[] = [];
        const value = this.#once(node.right, inner);
        const store = this.#sequence([...inner, ...this.#write(target, value)]);
        return this.#sequence([...parts, types.logicalExpression(operator, this.#name(before), store)]);
      }
      const after = this.#take();
      const sum = types.binaryExpression(
        operator as t.BinaryExpression['operator'],
        this.#name(before),
        this.#visit(node.right),
      );
      parts.push(this.#set(after, sum));
      return this.#sequence([...parts, ...this.#write(target, () => this.#name(after))]);
    });
  }

  #update(node: t.UpdateExpression): Expression | undefined {
    const types = this.#t;
    const target = withoutTypes(node.argument);
    if (target.type !== 'MemberExpression' || !this.#maybeField(target)) return undefined;
    return this.#scoped(() => {
      const parts: Expression[] = [];
      const object = this.#once(target.object, parts);
      const key = this.#key(target, parts);
      const place = (): t.MemberExpression => this.#property(object(), key(), target);
      const before = this.#take();
      const after = this.#take();
      parts.push(this.#set(after, this.#sequence(this.#attempt(place))));
      // Postfix answers the value as a number, which x++ on a variable does.
      parts.push(this.#set(before, types.updateExpression(node.operator, this.#name(after), false)));
      const stored = this.#write(place, () => this.#name(after));
      return this.#sequence([...parts, ...stored.slice(0, -1), this.#name(node.prefix ? after : before)]);
    });
  }

  #unary(node: t.UnaryExpression): t.Node | undefined {
    const argument = withoutTypes(node.argument);
    if (argument.type !== 'MemberExpression') return undefined;
    if (node.operator === 'typeof') return undefined;
    return this.#t.unaryExpression(
      'delete',
      this.#property(
        this.#visit(argument.object as Expression),
        argument.computed ? this.#visit(argument.property) : argument.property,
        argument,
      ),
    );
  }

  // ---- calls ----

  #call(node: t.CallExpression): Expression | undefined {
    const callee = withoutTypes(node.callee);
    if (callee.type === 'Super' || callee.type === 'Import' || this.#isHostCall(node)) return undefined;
    return this.#scoped(() => {
      if (callee.type === 'MemberExpression') {
        if (callee.object.type === 'Super')
          return this.#refuse(node, 'a call of a method of super cannot be suspended');
        const parts: Expression[] = [];
        const object = this.#once(callee.object, parts);
        parts.push(...this.#methodCall(object, callee, node));
        return this.#sequence(parts);
      }
      const parts: Expression[] = [];
      const called = this.#once(callee, parts);
      parts.push(...this.#valueCall(called, node));
      return this.#sequence(parts);
    });
  }

  /** Arguments, each evaluated once. */
  #arguments(
    node: t.CallExpression | t.OptionalCallExpression,
    parts: Expression[],
  ): () => (Expression | t.SpreadElement)[] {
    const types = this.#t;
    const name = calleeName(node);
    const makers = node.arguments.map((argument): (() => Expression | t.SpreadElement) => {
      if (argument.type === 'SpreadElement') {
        const list = this.#take();
        const all = types.arrayExpression([types.spreadElement(this.#visit(argument.argument))]);
        parts.push(this.#set(list, all));
        return () => types.spreadElement(this.#name(list));
      }
      const bare = withoutTypes(argument);
      if (types.isFunction(bare) && name !== undefined && TAKE_CONDITIONS.has(name)) {
        const value = this.#take();
        parts.push(this.#set(value, this.#plain(bare as t.ArrowFunctionExpression)));
        return () => this.#name(value);
      }
      return this.#once(argument, parts) as () => Expression;
    });
    return () => makers.map((make) => make());
  }

  /** A call of a function that is in a temporary. */
  #valueCall(called: () => Expression, node: t.CallExpression | t.OptionalCallExpression): Expression[] {
    const types = this.#t;
    const parts: Expression[] = [];
    const given = this.#arguments(node, parts);
    const plain = (): Expression => located(types.callExpression(called(), given()), node);
    const twin = types.memberExpression(called(), types.identifier('$'));
    parts.push(this.#either(twin, () => types.callExpression(twinOf(types, called()), given()), plain));
    return parts;
  }

  #methodCall(
    object: () => Expression,
    callee: t.MemberExpression | t.OptionalMemberExpression,
    node: t.CallExpression | t.OptionalCallExpression,
  ): Expression[] {
    const types = this.#t;
    const parts: Expression[] = [];
    const { property } = callee;
    if (property.type === 'PrivateName' && this.#privateMethods.has(property.id.name)) {
      const given = this.#arguments(node, parts);
      const twin = types.memberExpression(
        object(),
        types.privateName(types.identifier(`${property.id.name}$`)),
      );
      parts.push(...this.#suspendable(types.callExpression(twin, given())));
      return parts;
    }
    const key = this.#key(callee, parts);
    const method = this.#take();
    parts.push(this.#set(method, this.#property(object(), key(), callee)));
    const given = this.#arguments(node, parts);
    const plain = (): Expression =>
      located(types.callExpression(this.#property(object(), key(), callee), given()), node);
    const bound = (): Expression =>
      types.callExpression(
        types.memberExpression(twinOf(types, this.#name(method)), types.identifier('call')),
        [object(), ...given()],
      );
    const twin = types.memberExpression(this.#name(method), types.identifier('$'));
    const call = this.#either(twin, bound, plain);
    const name = !callee.computed && property.type === 'Identifier' ? property.name : '';
    if (!CALLS_BACK.has(name)) {
      parts.push(call);
      return parts;
    }
    // An array that calls back: a loop of our own does.
    this.#usesArrays = true;
    const isArray = types.callExpression(
      types.memberExpression(types.identifier('Array'), types.identifier('isArray')),
      [object()],
    );
    const ours = types.memberExpression(
      types.memberExpression(types.identifier(ARRAYS), types.identifier(name)),
      types.identifier('$'),
    );
    const loop = this.#sequence(this.#suspendable(types.callExpression(ours, [object(), ...given()])));
    parts.push(types.conditionalExpression(isArray, loop, call));
    return parts;
  }

  /** The twin if there is one, else the plain function. */
  #either(twin: Expression, suspendable: () => Expression, plain: () => Expression): Expression {
    const types = this.#t;
    const hasNone = types.binaryExpression('===', twin, types.identifier('undefined'));
    const attempt = this.#scoped(() => this.#sequence(this.#attempt(plain)));
    const run = this.#scoped(() => this.#sequence(this.#suspendable(suspendable())));
    return types.conditionalExpression(hasNone, attempt, run);
  }

  /** `g = twin(...), r = g.next(), r.done ? r.value : (hold(g), yield)` */
  #suspendable(call: Expression): Expression[] {
    const types = this.#t;
    const generator = this.#take();
    const result = this.#take();
    const next = types.callExpression(
      types.memberExpression(this.#name(generator), types.identifier('next')),
      [],
    );
    const held = types.callExpression(types.identifier(HOLD), [this.#name(generator)]);
    return [
      this.#set(generator, call),
      this.#set(result, next),
      types.conditionalExpression(
        types.memberExpression(this.#name(result), types.identifier('done')),
        types.memberExpression(this.#name(result), types.identifier('value')),
        types.sequenceExpression([held, types.yieldExpression()]),
      ),
    ];
  }

  /** `a?.b.c()`: nothing behind a `?.` that meets nothing is evaluated. */
  #chain(node: t.Node, rest: (value: Expression) => Expression): Expression {
    const types = this.#t;
    const bare = withoutTypes(node);
    if (bare.type === 'OptionalMemberExpression') {
      return this.#chain(bare.object, (object) => {
        const parts: Expression[] = [];
        const from = this.#take();
        parts.push(this.#set(from, object));
        const inner: Expression[] = [];
        const key = this.#key(bare, inner);
        inner.push(...this.#attempt(() => this.#property(this.#name(from), key(), bare)));
        const value = rest(this.#sequence(inner));
        if (!bare.optional) return this.#sequence([...parts, value]);
        return this.#unlessNothing(this.#sequence([...parts, this.#name(from)]), value);
      });
    }
    if (bare.type === 'OptionalCallExpression') {
      const callee = withoutTypes(bare.callee);
      if (callee.type === 'OptionalMemberExpression' || callee.type === 'MemberExpression') {
        return this.#chain(callee.object, (object) => {
          const from = this.#take();
          const first = this.#set(from, object);
          const call = rest(this.#sequence(this.#methodCall(() => this.#name(from), callee, bare)));
          const guarded = bare.optional
            ? this.#unlessNothing(
                this.#property(this.#name(from), this.#visit(callee.property), callee),
                call,
              )
            : call;
          const whole =
            callee.type === 'OptionalMemberExpression' && callee.optional
              ? this.#unlessNothing(this.#name(from), guarded)
              : guarded;
          return this.#sequence([first, whole]);
        });
      }
      return this.#chain(callee, (called) => {
        const from = this.#take();
        const first = this.#set(from, called);
        const call = rest(this.#sequence(this.#valueCall(() => this.#name(from), bare)));
        const whole = bare.optional ? this.#unlessNothing(this.#name(from), call) : call;
        return this.#sequence([first, whole]);
      });
    }
    return rest(this.#visit(types.isExpression(bare) ? bare : (node as Expression)));
  }

  #unlessNothing(value: Expression, otherwise: Expression): Expression {
    const types = this.#t;
    const isNothing = types.binaryExpression('==', value, types.nullLiteral());
    return types.conditionalExpression(isNothing, types.identifier('undefined'), otherwise);
  }

  // ---- declarations ----

  #declaration(node: t.VariableDeclaration): t.VariableDeclaration {
    const declarations = node.declarations.flatMap((declarator) => {
      const { id, init } = declarator;
      if (init === null || init === undefined || id.type !== 'ObjectPattern') {
        const copy = this.#t.variableDeclarator(
          this.#pattern(id as t.LVal) as t.Identifier,
          init == null ? init : this.#scoped(() => this.#visit(init)),
        );
        return [copy];
      }
      return this.#parts(id, this.#visit(init));
    });
    const copy = this.#t.variableDeclaration(node.kind, declarations);
    copy.loc = node.loc ?? null;
    return copy;
  }

  #declare(kind: 'let' | 'const', to: t.LVal, value: Expression): t.Statement[] {
    const types = this.#t;
    const declarators =
      to.type === 'ObjectPattern'
        ? this.#parts(to, value)
        : [types.variableDeclarator(this.#pattern(to) as t.Identifier, value)];
    return [types.variableDeclaration(kind, declarators)];
  }

  /** A pattern that takes apart what is no view: as it is, without its types. */
  #pattern(node: t.LVal): t.LVal {
    if (node.type === 'Identifier') return this.#t.identifier(node.name);
    return this.#copy(node) as t.LVal;
  }

  /** `const { a, b: c = d } = v`: each part is read on its own. The temporary stays taken to the end of the function. */
  #parts(pattern: t.ObjectPattern, value: Expression): t.VariableDeclarator[] {
    const types = this.#t;
    const whole = types.identifier(`$w${++this.#wholes}`);
    const declarators = [types.variableDeclarator(this.#name(whole), value)];
    for (const property of pattern.properties) {
      if (property.type === 'RestElement')
        return this.#refuse(property, 'the rest of a structure cannot be taken apart');
      const read = this.#scoped(() => {
        const parts: Expression[] = [];
        const key: () => Expression = property.computed
          ? this.#once(property.key, parts)
          : () => types.cloneNode(property.key as t.Identifier);
        const isComputed = property.computed || property.key.type !== 'Identifier';
        parts.push(
          ...this.#attempt(() =>
            this.#property(this.#name(whole), key(), { computed: isComputed, loc: property.loc ?? null }),
          ),
        );
        return this.#sequence(parts);
      });
      let target = property.value as t.LVal | t.AssignmentPattern;
      let got = read;
      if (target.type === 'AssignmentPattern') {
        const right = target.right;
        got = this.#scoped(() => {
          const found = this.#take();
          const isNothing = types.binaryExpression('===', this.#name(found), types.identifier('undefined'));
          return this.#sequence([
            this.#set(found, read),
            types.conditionalExpression(isNothing, this.#visit(right), this.#name(found)),
          ]);
        });
        target = target.left as t.LVal;
      }
      if (target.type === 'ObjectPattern') declarators.push(...this.#parts(target, got));
      else declarators.push(types.variableDeclarator(this.#pattern(target) as t.Identifier, got));
    }
    return declarators;
  }

  #forOf(node: t.ForOfStatement | t.ForInStatement): t.Node | undefined {
    const types = this.#t;
    const { left } = node;
    if (node.type === 'ForOfStatement' && node.await)
      return this.#refuse(node, 'for await cannot be suspended');
    if (left.type !== 'VariableDeclaration') return undefined;
    const right = this.#scoped(() => this.#visit(node.right));
    const [declarator] = left.declarations;
    const id = declarator!.id as t.LVal;
    const name = types.identifier(`$w${++this.#wholes}`);
    const isPattern = id.type === 'ObjectPattern';
    const head = types.variableDeclaration(left.kind as 'let' | 'const', [
      types.variableDeclarator(isPattern ? this.#name(name) : (this.#pattern(id) as t.Identifier)),
    ]);
    const body = isPattern
      ? types.blockStatement([
          ...this.#declare(left.kind as 'let' | 'const', id, this.#name(name)),
          this.#visit(node.body),
        ])
      : this.#visit(node.body);
    const copy =
      node.type === 'ForOfStatement'
        ? types.forOfStatement(head, right, body)
        : types.forInStatement(head, right, body);
    copy.loc = node.loc ?? null;
    return copy;
  }
}

function firstNonImport(body: readonly t.Statement[]): number {
  const index = body.findIndex((statement) => statement.type !== 'ImportDeclaration');
  return index < 0 ? body.length : index;
}

function isAccessor(node: AnyFunction | Method): boolean {
  return 'kind' in node && (node.kind === 'get' || node.kind === 'set');
}

/** `@plain` in front of a function: it performs at most one operation, as its first effect, or only reads. */
function isMarkedPlain(node: t.Node): boolean {
  return node.leadingComments?.some(({ value }) => value.includes('@plain')) === true;
}

function isBus(node: t.Node): boolean {
  return node.type === 'Identifier' && node.name === 'bus';
}

function twinKey(types: typeof t, member: Method): t.Identifier | t.PrivateName {
  if (member.type === 'ClassPrivateMethod')
    return types.privateName(types.identifier(`${member.key.id.name}$`));
  const name = member.key.type === 'Identifier' ? member.key.name : 'computed';
  return types.identifier(`${name}$`);
}

function twinOf(types: typeof t, called: Expression): t.MemberExpression {
  return types.memberExpression(called, types.identifier('$'));
}

function located<N extends t.Node>(made: N, node: t.Node): N {
  made.loc = node.loc ?? null;
  return made;
}

/** What an expression is behind its type assertions. */
function withoutTypes(node: t.Node): t.Node {
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

function calleeName(node: t.CallExpression | t.OptionalCallExpression): string | undefined {
  const callee = withoutTypes(node.callee);
  if (callee.type === 'Identifier') return callee.name;
  const isMember = callee.type === 'MemberExpression' || callee.type === 'OptionalMemberExpression';
  return isMember && callee.property.type === 'Identifier' ? callee.property.name : undefined;
}

/** Whether an arrow function's body says `this`. */
function usesThis(types: typeof t, node: t.Node): boolean {
  if (node.type === 'ThisExpression') return true;
  if ((types.isFunction(node) && node.type !== 'ArrowFunctionExpression') || types.isClass(node))
    return false;
  for (const key of types.VISITOR_KEYS[node.type] ?? []) {
    const child = (node as Node)[key] as t.Node | t.Node[] | null | undefined;
    for (const one of Array.isArray(child) ? child : [child])
      if (one !== null && one !== undefined && usesThis(types, one)) return true;
  }
  return false;
}
