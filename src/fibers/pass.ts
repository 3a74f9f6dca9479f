/**
 * Compiles functions a second time, as functions that can be suspended.
 *
 * The source stays as it is: each function `f` keeps its plain form and gets a twin, the generator function `f.$`
 * (base/resumable.ts). Plain code is what CPU threads, the host and the conditions of waits run. In a twin
 *
 * - a call runs the callee's twin, if it has one, and yields if that was suspended:
 *   `f(a)` -> `(r = f.$(a).next()).done ? r.value : (hold(...), yield)`;
 * - whatever may be one operation on memory (a field of a view, a call of a plain function) is done, and if it turns out
 *   that it is not this CPU's turn, yields and is done again: `v.x` -> `(r = v.x, parked && (yield, r = v.x, ...), r)`.
 *
 * Where the build knows what is called, the call has one of these forms; else the twin asks when it gets there.
 *
 * `yield` stands inside expressions, so the order of evaluation is the language's own. What cannot be suspended is refused
 * with its line: async and generator functions, getters and setters, functions that the host calls in an order of its own.
 */
import { createRequire } from 'node:module';
import type * as parser from '@babel/parser';
import type * as t from '@babel/types';
import {
  type Node,
  type Expression,
  type AnyFunction,
  type Method,
  type PassOptions,
  firstNonImport,
  isAccessor,
  twinKey,
  twinOf,
  isSimple,
  keyed,
  located,
  withoutTypes,
  calleeName,
  calledAs,
  nameOfKey,
  mentions,
  refuse,
} from './pass-syntax.ts';
import { TAKE_CONDITIONS, Callee, CodeThatWaits } from './waiting-code.ts';

export { PassError, type PassOptions } from './pass-syntax.ts';

interface Compilers {
  readonly types: typeof t;
  readonly parse: (code: string, options: object) => t.File;
  readonly generate: (
    ast: t.Node,
    options: object,
    code: string,
  ) => { readonly code: string; readonly map: object | null };
}

/** Array methods that call back: done by loops of our own (base/callbacks.ts). */
const CALLS_BACK = new Set(
  'map forEach filter some every find findIndex findLast findLastIndex reduce reduceRight flatMap'.split(' '),
);
/** Those whose second argument is what `this` is in the first. */
const REDUCES = new Set(['reduce', 'reduceRight']);
/** Methods of functions, which run the function itself. */
const OF_FUNCTIONS = new Set(['call', 'apply', 'bind']);
/** Methods of the host that call back in an order of their own. */
const HOST_CALLS_BACK = new Set('sort toSorted replace replaceAll'.split(' '));
/** Methods that the host itself calls. */
const CALLED_BY_HOST = new Set(['toString', 'valueOf', 'toJSON', 'then']);

/** Apart from what follows it: who looks for the map of a bundle would take our text for it. */
const MAP_COMMENT = 'sourceMappingURL';
const HOLD = '$hold';
const BOTH = '$both';
const LASTING = '$lasting';
const TURN = '$turn';
const NOT_CALLABLE = '$uncalled';
const STATE = '$fiber';
const ARRAYS = '$arrays';

let loaded: Compilers | undefined;

/**
 * The compiler library: loaded when first needed, which no command pays for that does not compile. By `require`: it is
 * CommonJS, and to import that Node reads it all a second time, for the names it exports.
 */
function compilers(): Compilers {
  if (loaded !== undefined) return loaded;
  const require = createRequire(import.meta.url);
  const { parse } = require('@babel/parser') as typeof parser;
  const { default: generate } = require('@babel/generator') as { readonly default: Compilers['generate'] };
  loaded = { types: require('@babel/types') as typeof t, parse, generate };
  return loaded;
}

/**
 * Adds twins to a module.
 * @returns TypeScript again if it was, with an inline source map
 * @throws PassError for what cannot be compiled, with its line; SyntaxError for what is not code
 */
export async function makeResumable(code: string, options: PassOptions): Promise<string> {
  const tools = compilers();
  const ast = parsed(tools, code, options);
  const pass = new Pass(tools.types, options);
  pass.module(ast.program);
  const made = tools.generate(
    ast,
    { sourceMaps: true, sourceFileName: options.file, comments: false, retainLines: false },
    code,
  );
  const map = Buffer.from(JSON.stringify(made.map)).toString('base64');
  return `${made.code}\n//# ${MAP_COMMENT}=data:application/json;base64,${map}\n`;
}

function parsed(tools: Compilers, code: string, { file }: PassOptions): t.File {
  return tools.parse(code, {
    sourceType: 'unambiguous',
    plugins: ['typescript', 'explicitResourceManagement'],
    sourceFilename: file,
  });
}

/** Functions that a module exports, and whether each has a twin. */
export function twinsIn(code: string, options: PassOptions): ReadonlyMap<string, boolean> {
  const tools = compilers();
  const ast = parsed(tools, code, options);
  return new CodeThatWaits(tools.types, options).exportedTwins(ast.program);
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
  /** What of the code may be an operation, and who has a twin. */
  readonly #code: CodeThatWaits;
  #usesRuntime = false;
  #usesArrays = false;
  #usesLasting = false;
  #wholes = 0;
  /** Functions around. */
  #depth = 0;
  /** Private methods of the classes around, that have twins. */
  #privateMethods: ReadonlySet<string> = new Set();
  /** Set inside a twin. */
  #temporaries: Temporaries | undefined;

  constructor(types: typeof t, options: PassOptions) {
    this.#t = types;
    this.#options = options;
    this.#code = new CodeThatWaits(types, options);
  }

  module(program: t.Program): void {
    this.#code.learn(program);
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
      from(resumable, {
        [STATE]: 'resumable',
        [HOLD]: 'hold',
        [BOTH]: 'both',
        [TURN]: 'turn',
        [NOT_CALLABLE]: 'notCallable',
      }),
    ];
    if (this.#usesArrays) imports.push(from(callbacks, { [ARRAYS]: 'arrays' }));
    if (this.#usesLasting) imports.push(from(this.#options.runtime.plainCalls!, { [LASTING]: 'lasting' }));
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

  /**
   * Whether there is one function of that code, for the whole life of its module, and it can be called with six arguments
   * however many it takes.
   */
  #isLasting(node: AnyFunction | Method): boolean {
    const isOne = this.#options.runtime.plainCalls !== undefined && this.#depth === 0;
    if (!isOne || node.params.length > 6 || node.params.some(({ type }) => type === 'RestElement'))
      return false;
    if (mentions(this.#t, node.body, 'arguments')) return false;
    this.#usesLasting = true;
    return true;
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
      if (declared?.type === 'FunctionDeclaration' && declared.id == null) {
        const { params, body, async, generator, loc } = declared;
        const value = types.functionExpression(null, params, body, generator, async);
        value.loc = loc ?? null;
        value.leadingComments = statement.leadingComments ?? null;
        this.#code.name(value, 'default');
        return [types.exportDefaultDeclaration(this.#visit(value))];
      }
      if (declared?.type === 'FunctionDeclaration' && declared.id != null && this.#code.canWait(declared)) {
        const twin = this.#twin(declared);
        const { name } = declared.id;
        const member = types.memberExpression(types.identifier(name), types.identifier('$'));
        if (this.#isLasting(declared)) twin.id = types.identifier(`${name}$`);
        const attached = this.#isLasting(declared)
          ? types.callExpression(types.identifier(LASTING), [types.identifier(name), twin])
          : types.assignmentExpression('=', member, twin);
        twins.push(types.expressionStatement(attached));
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
          key === 'body' && (this.#t.isBlock(node) || node.type === 'StaticBlock')
            ? this.#block(child as t.Statement[])
            : child.map((one: t.Node | null) => (one === null ? null : this.#visit(one)));
      } else if (child !== null && child !== undefined) copy[key] = this.#visit(child as t.Node);
    }
    return copy;
  }

  #special(node: t.Node): t.Node | undefined {
    switch (node.type) {
      case 'SwitchCase':
        for (const one of node.consequent)
          if (one.type === 'FunctionDeclaration' && this.#code.canWait(one))
            refuse(one, 'a function declared in a case cannot be suspended: put the case into braces');
        return undefined;
      case 'MemberExpression':
        if (node.property.type === 'PrivateName') {
          const method = this.#privateMethod(node);
          if (method !== undefined) return method;
        }
        return this.#temporaries === undefined ? undefined : this.#inTwin(node);
      case 'CallExpression':
        return this.#temporaries === undefined ? this.#plainCall(node) : this.#inTwin(node);
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

  /** A private method as a value: unlike others it cannot carry its twin. */
  #privateMethod(node: t.MemberExpression): t.Node | undefined {
    const types = this.#t;
    const { object } = node;
    const { name } = (node.property as t.PrivateName).id;
    if (!this.#privateMethods.has(name)) return undefined;
    if (object.type !== 'ThisExpression')
      return refuse(node, 'a private method of something other than this, as a value, cannot be suspended');
    const member = (called: string): t.MemberExpression =>
      types.memberExpression(types.thisExpression(), types.privateName(types.identifier(called)));
    return this.#both(member(name), member(`${name}$`));
  }

  /** A call in plain code: what is called stays what it is. */
  #plainCall(node: t.CallExpression): t.Node | undefined {
    const { callee } = node;
    if (callee.type !== 'MemberExpression' || callee.property.type !== 'PrivateName') return undefined;
    const types = this.#t;
    const called = types.memberExpression(this.#visit(callee.object), callee.property);
    const given = node.arguments.map((argument) => this.#visit(argument));
    return located(types.callExpression(called, given), node);
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

  // ---- functions ----

  /** The plain form: functions inside it have twins, and it is not one. */
  #plain<F extends AnyFunction | Method>(node: F): F {
    const outer = this.#temporaries;
    this.#temporaries = undefined;
    this.#depth++;
    const copy = this.#copy(node) as F;
    this.#depth--;
    this.#temporaries = outer;
    return copy;
  }

  #functionValue(node: t.FunctionExpression | t.ArrowFunctionExpression): Expression {
    const plain = this.#plain(node);
    if (!this.#code.canWait(node)) return plain;
    const types = this.#t;
    const twin = this.#twin(node);
    const { id } = node as t.FunctionExpression;
    if (id == null) {
      const name = this.#code.nameOf(node);
      const isLasting = this.#isLasting(node);
      // For profiles and stacks: what is handed to a function has no name.
      const line = node.loc?.start.line;
      if (isLasting && twin.type === 'FunctionExpression')
        twin.id = types.identifier(`${name ?? `line${line}`}$`);
      return this.#both(plain, twin, name, isLasting);
    }
    // Its own name means the function, in its twin too.
    const named = types.variableDeclaration('const', [
      types.variableDeclarator(types.identifier(id.name), plain),
    ]);
    const answer = types.returnStatement(this.#both(types.identifier(id.name), twin));
    return types.callExpression(types.arrowFunctionExpression([], types.blockStatement([named, answer])), []);
  }

  #both(plain: Expression, twin: Expression, name?: string, isLasting = false): Expression {
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
    return types.callExpression(types.identifier(isLasting ? LASTING : BOTH), [named, twin]);
  }

  #objectMethod(node: t.ObjectMethod): t.ObjectMethod | t.ObjectProperty {
    const plain = this.#plain(node);
    plain.key = this.#visit(node.key);
    if (!this.#code.canWait(node) || node.kind !== 'method') return plain;
    const types = this.#t;
    this.#refuseHostMethod(node);
    if (mentions(types, node, 'Super'))
      return refuse(node, 'a method of an object that says super cannot be suspended: write a class');
    const asFunction = types.functionExpression(null, plain.params, plain.body, false, false);
    const name = node.computed ? undefined : nameOfKey(node.key);
    const both = this.#both(asFunction, this.#twin(node), name);
    return types.objectProperty(plain.key, both, plain.computed);
  }

  /** A method that the language itself calls is called by nobody who could be suspended. */
  #refuseHostMethod(node: t.ObjectMethod | Method): void {
    if (this.#options.strict !== true) return;
    const { key } = node;
    const isSymbol = key.type === 'MemberExpression' && this.#code.isHostObject(key.object);
    const isCalled = key.type === 'Identifier' && !node.computed && CALLED_BY_HOST.has(key.name);
    if (isSymbol || isCalled)
      refuse(
        node,
        'a method that the language itself calls cannot be suspended where it touches shared memory',
      );
  }

  #class(node: t.ClassDeclaration | t.ClassExpression): t.Node {
    const types = this.#t;
    const methods = node.body.body.filter(
      (member): member is Method =>
        (member.type === 'ClassMethod' || member.type === 'ClassPrivateMethod') && member.kind === 'method',
    );
    const isNamed = (member: Method): boolean =>
      member.type === 'ClassPrivateMethod' || (!member.computed && nameOfKey(member.key) !== undefined);
    const waiting = methods.filter((member) => {
      if (!this.#code.canWait(member)) return false;
      this.#refuseHostMethod(member);
      if (isNamed(member)) return true;
      if (this.#options.strict === true)
        refuse(member, 'a method whose name is computed cannot be suspended where it touches shared memory');
      return false;
    });
    for (const member of node.body.body)
      if ((member.type === 'ClassMethod' || member.type === 'ClassPrivateMethod') && isAccessor(member))
        this.#code.canWait(member);
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
          : types.classMethod('method', key as t.StringLiteral, twin.params, twin.body, false, member.static);
      method.generator = true;
      copy.body.body.push(method);
      if (member.type !== 'ClassMethod') continue;
      const name = nameOfKey(member.key)!;
      const holder = member.static
        ? types.thisExpression()
        : types.memberExpression(types.thisExpression(), types.identifier('prototype'));
      const method_ = types.memberExpression(holder, types.stringLiteral(name), true);
      const twinOfMethod = types.memberExpression(
        types.cloneNode(holder),
        types.stringLiteral(`${name}$`),
        true,
      );
      attached.push(
        types.expressionStatement(
          this.#isLasting(member)
            ? types.callExpression(types.identifier(LASTING), [method_, twinOfMethod])
            : types.assignmentExpression(
                '=',
                types.memberExpression(method_, types.identifier('$')),
                twinOfMethod,
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
    const isArrow = node.type === 'ArrowFunctionExpression';
    if (isArrow && mentions(types, node, 'Super'))
      refuse(node, 'super in an arrow function cannot be suspended: call it in the method itself');
    if (isArrow && this.#options.strict === true && mentions(types, node, 'arguments'))
      refuse(node, 'arguments in an arrow function cannot be suspended: give the function a name for them');
    const outer = this.#temporaries;
    const temporaries = new Temporaries();
    this.#temporaries = temporaries;
    this.#depth++;
    const first: t.Statement[] = [];
    const params = node.params
      .filter((param) => param.type !== 'Identifier' || param.name !== 'this')
      .map((param, index) => this.#parameter(param as t.FunctionParameter, index, first));
    const body =
      node.body.type === 'BlockStatement'
        ? this.#block(node.body.body)
        : [types.returnStatement(this.#visit(node.body))];
    this.#depth--;
    this.#temporaries = outer;
    const names = temporaries.all.map((name) => types.variableDeclarator(types.identifier(name)));
    const declared = names.length === 0 ? [] : [types.variableDeclaration('let', names)];
    const block = types.blockStatement([...declared, ...first, ...body]);
    const twin = types.functionExpression(null, params, block, true, false);
    if (!isArrow || !mentions(types, node, 'ThisExpression')) return twin;
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
    if ((param as t.Node).type === 'TSParameterProperty') return refuse(param, 'a parameter property');
    const name = `$p${index}`;
    if (param.type === 'AssignmentPattern') {
      const isNothing = types.binaryExpression('===', types.identifier(name), types.identifier('undefined'));
      const value = types.conditionalExpression(isNothing, this.#visit(param.right), types.identifier(name));
      first.push(...this.#declare('let', param.left, value));
      return types.identifier(name);
    }
    const to = (param.type === 'RestElement' ? param.argument : param) as t.LVal;
    first.push(...this.#declare('let', to, types.identifier(name)));
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
        return this.#code.maybeField(node) ? this.#read(node) : undefined;
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
      case 'NewExpression':
        return this.#options.strict === true ? this.#construction(node) : undefined;
      case 'TaggedTemplateExpression':
        return refuse(node, 'a tagged template cannot be suspended');
      case 'ExpressionStatement':
        return this.#scoped(() => this.#t.expressionStatement(this.#visit(node.expression)));
      default:
        return undefined;
    }
  }

  /** `r = new C(), parked ? refuse() : r`: a constructor cannot be suspended, nor done twice. */
  #construction(node: t.NewExpression): Expression | undefined {
    const types = this.#t;
    if (node.callee.type === 'Identifier' && /^(Error|\w+Error|Map|Set|Array)$/.test(node.callee.name))
      return undefined;
    this.#usesArrays = true;
    return this.#scoped(() => {
      const made = this.#take();
      const parked = types.memberExpression(types.identifier(STATE), types.identifier('parked'));
      const refusal = types.memberExpression(types.identifier(ARRAYS), types.identifier('refuse'));
      return types.sequenceExpression([
        this.#set(made, this.#copy(node) as Expression),
        types.conditionalExpression(parked, types.callExpression(refusal, []), this.#name(made)),
      ]);
    });
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

  /**
   * `r = operation, parked && (yield, r = operation, parked && (yield)), r`: done now, or when its turn has come. What is
   * parked then has faulted, and does not come back.
   */
  #attempt(operation: () => Expression): Expression[] {
    const result = this.#take();
    const attempt = (): Expression => this.#set(result, operation());
    return [attempt(), this.#orWhenGranted(attempt), this.#name(result)];
  }

  #orWhenGranted(operation: () => Expression): Expression {
    const types = this.#t;
    const parked = (): Expression =>
      types.memberExpression(types.identifier(STATE), types.identifier('parked'));
    const fault = types.logicalExpression('&&', parked(), types.yieldExpression());
    const again = types.sequenceExpression([types.yieldExpression(), operation(), fault]);
    return types.logicalExpression('&&', parked(), again);
  }

  #sequence(parts: readonly Expression[]): Expression {
    return parts.length === 1 ? parts[0]! : this.#t.sequenceExpression([...parts]);
  }

  /** Evaluates an expression into a temporary, unless evaluating it again later is the same. */
  #once(node: t.Node, parts: Expression[]): () => Expression {
    const types = this.#t;
    if (node.type === 'ThisExpression') return () => types.thisExpression();
    if (node.type === 'Super') return () => types.super();
    if (types.isLiteral(node) && node.type !== 'TemplateLiteral') return () => types.cloneNode(node);
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
    const member = this.#t.memberExpression(object, key, computed === true);
    member.loc = loc ?? null;
    return member;
  }

  /** Writes `value` to what `node` names. Answers the parts, the last of which is the value. */
  #write(target: () => t.MemberExpression, value: () => Expression): Expression[] {
    const types = this.#t;
    const write = (): Expression => types.assignmentExpression('=', target(), value());
    return [write(), this.#orWhenGranted(write), value()];
  }

  #assignment(node: t.AssignmentExpression): Expression | undefined {
    const types = this.#t;
    const left = withoutTypes(node.left);
    if (left.type === 'ObjectPattern' || left.type === 'ArrayPattern')
      return this.#takeApart(left, node.right);
    if (left.type !== 'MemberExpression' || !this.#code.maybeField(left)) return undefined;
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

  /** `({ a: v.x, b = c } = w)`, `[v.x, w.x] = [w.x, v.x]`: each place is found, and then its part read and stored. */
  #takeApart(pattern: t.ObjectPattern | t.ArrayPattern, value: Expression): Expression | undefined {
    if (isSimple(pattern)) return undefined;
    return this.#scoped(() => {
      const whole = this.#take();
      const parts = [this.#set(whole, this.#visit(value))];
      parts.push(...this.#assignParts(pattern, whole), this.#name(whole));
      return this.#sequence(parts);
    });
  }

  #assignParts(pattern: t.ObjectPattern | t.ArrayPattern, whole: t.Identifier): Expression[] {
    const types = this.#t;
    const parts: Expression[] = [];
    if (pattern.type === 'ObjectPattern') {
      for (const property of pattern.properties) {
        if (property.type === 'RestElement')
          return refuse(property, 'the rest of a structure cannot be taken apart');
        const key = this.#partKey(property, parts);
        const read = (): Expression =>
          this.#sequence(this.#attempt(() => this.#property(this.#name(whole), key(), keyed(property))));
        parts.push(...this.#assignTo(property.value as t.LVal, read));
      }
      return parts;
    }
    const { taken, each } = this.#elements(pattern, () => this.#take());
    parts.push(types.assignmentExpression('=', taken, this.#name(whole)));
    for (const { to, from } of each) parts.push(...this.#assignTo(to, () => this.#name(from)));
    return parts;
  }

  /** An array taken apart into names, and what each of them is for. */
  #elements(
    pattern: t.ArrayPattern,
    name: () => t.Identifier,
  ): { taken: t.ArrayPattern; each: { to: t.LVal; from: t.Identifier }[] } {
    const types = this.#t;
    const each: { to: t.LVal; from: t.Identifier }[] = [];
    const taken = pattern.elements.map((element) => {
      if (element === null) return null;
      const from = name();
      const isRest = element.type === 'RestElement';
      each.push({ to: (isRest ? element.argument : element) as t.LVal, from });
      return isRest ? types.restElement(this.#name(from)) : this.#name(from);
    });
    return { taken: types.arrayPattern(taken), each };
  }

  /** The name of a part: evaluated once, where it is computed. */
  #partKey(property: t.ObjectProperty, parts: Expression[]): () => Expression {
    return property.computed
      ? this.#once(property.key, parts)
      : () => this.#t.cloneNode(property.key as t.Identifier);
  }

  /** Stores what `read` answers: the place is found first, as the language has it. */
  #assignTo(target: t.LVal, read: () => Expression): Expression[] {
    const types = this.#t;
    let place = withoutTypes(target);
    let otherwise: Expression | undefined;
    if (place.type === 'AssignmentPattern') {
      otherwise = place.right;
      place = withoutTypes(place.left);
    }
    const parts: Expression[] = [];
    let member: (() => t.MemberExpression) | undefined;
    if (place.type === 'MemberExpression') {
      const found = place;
      const object = this.#once(found.object, parts);
      const key = this.#key(found, parts);
      member = () => this.#property(object(), key(), found);
    }
    const value = this.#take();
    parts.push(this.#set(value, read()));
    if (otherwise !== undefined) {
      const isNothing = types.binaryExpression('===', this.#name(value), types.identifier('undefined'));
      parts.push(types.logicalExpression('&&', isNothing, this.#set(value, this.#visit(otherwise))));
    }
    if (place.type === 'ObjectPattern' || place.type === 'ArrayPattern')
      parts.push(...this.#assignParts(place, value));
    else if (member === undefined) parts.push(this.#set(place as t.Identifier, this.#name(value)));
    else if (this.#code.maybeField(place as t.MemberExpression))
      parts.push(...this.#write(member, () => this.#name(value)).slice(0, -1));
    else parts.push(types.assignmentExpression('=', member(), this.#name(value)));
    return parts;
  }

  #update(node: t.UpdateExpression): Expression | undefined {
    const types = this.#t;
    const target = withoutTypes(node.argument);
    if (target.type !== 'MemberExpression' || !this.#code.maybeField(target)) return undefined;
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
    if (node.operator === 'typeof') return undefined;
    if (argument.type === 'OptionalMemberExpression') {
      const types = this.#t;
      return this.#scoped(() =>
        this.#chain(
          argument.object,
          (object) => {
            const from = this.#take();
            const first = this.#set(from, object);
            const key = argument.computed ? this.#visit(argument.property) : argument.property;
            const gone = types.unaryExpression('delete', this.#property(this.#name(from), key, argument));
            const whole = argument.optional
              ? this.#unlessNothing(this.#name(from), gone, types.booleanLiteral(true))
              : gone;
            return this.#sequence([first, whole]);
          },
          types.booleanLiteral(true),
        ),
      );
    }
    if (argument.type !== 'MemberExpression') return undefined;
    return this.#t.unaryExpression(
      'delete',
      this.#property(
        this.#visit(argument.object),
        argument.computed ? this.#visit(argument.property) : argument.property,
        argument,
      ),
    );
  }

  // ---- calls ----

  #call(node: t.CallExpression): Expression | undefined {
    const types = this.#t;
    const callee = withoutTypes(node.callee);
    if (callee.type === 'Super' || callee.type === 'Import' || this.#code.isHostCall(node)) return undefined;
    if (callee.type === 'OptionalMemberExpression') {
      // (a?.m)(): a chain that ends before the call, and is what `this` is from.
      return this.#scoped(() =>
        this.#chain(callee.object, (object) => {
          const from = this.#take();
          const first = this.#set(from, object);
          const call = this.#sequence(this.#methodCall(() => this.#name(from), callee, node));
          if (!callee.optional) return this.#sequence([first, call]);
          const nobody = types.callExpression(types.identifier('undefined'), []);
          return this.#sequence([first, this.#unlessNothing(this.#name(from), call, nobody)]);
        }),
      );
    }
    if (this.#isArrayFrom(callee) && node.arguments.length > 1) {
      // Array.from(list, f): a list of its own, and then a method that calls back.
      const [list, ...rest] = node.arguments;
      const made = types.callExpression(callee as Expression, [list!]);
      const map = types.memberExpression(made, types.identifier('map'));
      return this.#call(located(types.callExpression(map, rest), node));
    }
    const known = this.#code.known(callee);
    if (known === Callee.NOTHING) return this.#callOfNothing(callee, node);
    if (known === Callee.TWIN) return this.#twinCall(callee as t.Identifier, node);
    if (known === Callee.NO_TWIN) return this.#callWithoutTwin(callee, node);
    return this.#scoped(() => {
      if (callee.type === 'MemberExpression') {
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

  /** A call that is no operation: as it stands, and of the object that it is a method of. */
  #callOfNothing(callee: t.Node, node: t.CallExpression): Expression {
    const types = this.#t;
    const called =
      callee.type === 'MemberExpression'
        ? types.memberExpression(this.#visit(callee.object), callee.property)
        : (callee as Expression);
    const given = node.arguments.map((argument) => this.#visit(argument));
    return located(types.callExpression(called, given), node);
  }

  /** A call of what is there, has no twin, and may be one operation. */
  #callWithoutTwin(callee: t.Node, node: t.CallExpression): Expression {
    const types = this.#t;
    return this.#scoped(() => {
      const parts: Expression[] = [];
      const isMethod = callee.type === 'MemberExpression';
      const object = isMethod ? this.#once(callee.object, parts) : undefined;
      const given = this.#arguments(node, parts);
      const called = (): Expression =>
        isMethod
          ? types.memberExpression(object!(), types.cloneNode(callee.property))
          : types.cloneNode(callee as Expression);
      parts.push(...this.#attempt(() => located(types.callExpression(called(), given()), node)));
      return this.#sequence(parts);
    });
  }

  /** A call of a function that has a twin and is always the same: nothing of it is evaluated twice. */
  #twinCall({ name }: t.Identifier, node: t.CallExpression): Expression {
    const types = this.#t;
    return this.#scoped(() => {
      const twin = types.sequenceExpression([types.numericLiteral(0), twinOf(types, types.identifier(name))]);
      const given = node.arguments.map((argument) => this.#visit(argument));
      return this.#sequence(this.#suspendable(located(types.callExpression(twin, given), node)));
    });
  }

  #isArrayFrom(callee: t.Node): boolean {
    return (
      callee.type === 'MemberExpression' &&
      callee.object.type === 'Identifier' &&
      callee.object.name === 'Array' &&
      callee.property.type === 'Identifier' &&
      callee.property.name === 'from'
    );
  }

  /** A function that is given to the host, which calls it in its own order and cannot be suspended. */
  #refuseHostCallback(node: t.CallExpression | t.OptionalCallExpression): void {
    const name = calleeName(node);
    if (this.#options.strict !== true || name === undefined || !HOST_CALLS_BACK.has(name)) return;
    if (this.#code.declares(name)) return;
    const given = node.arguments.map((one) => withoutTypes(one));
    for (const one of given)
      if (this.#t.isFunction(one) && (this.#code.mayOperate(one.body) || this.#code.canWait(one)))
        refuse(
          one,
          `a function that ${name}() calls cannot be suspended: read what it needs into plain values first, or write a loop`,
        );
  }

  /** Arguments, each evaluated once. */
  #arguments(
    node: t.CallExpression | t.OptionalCallExpression,
    parts: Expression[],
  ): () => (Expression | t.SpreadElement)[] {
    const types = this.#t;
    this.#refuseHostCallback(node);
    const name = calleeName(node);
    const makers = node.arguments.map((argument): (() => Expression | t.SpreadElement) => {
      if (argument.type === 'SpreadElement') {
        const list = this.#take();
        const all = types.arrayExpression([types.spreadElement(this.#visit(argument.argument))]);
        parts.push(this.#set(list, all));
        return () => types.spreadElement(this.#name(list));
      }
      const bare = withoutTypes(argument);
      const isCondition = name !== undefined && TAKE_CONDITIONS.has(name) && !this.#code.declares(name);
      if (types.isFunction(bare) && isCondition) {
        const value = this.#take();
        parts.push(this.#set(value, this.#plain(bare as t.ArrowFunctionExpression)));
        return () => this.#name(value);
      }
      return this.#once(argument, parts);
    });
    return () => makers.map((make) => make());
  }

  /** A call of a function that is in a temporary. */
  #valueCall(called: () => Expression, node: t.CallExpression | t.OptionalCallExpression): Expression[] {
    const types = this.#t;
    const parts: Expression[] = [];
    const given = this.#arguments(node, parts);
    const plain = (): Expression => located(types.callExpression(called(), given()), node);
    // A call of its own, not of a method of the function: it has no `this`.
    const bare = (): Expression =>
      types.sequenceExpression([types.numericLiteral(0), twinOf(types, called())]);
    parts.push(this.#either(node, called, () => types.callExpression(bare(), given()), plain));
    return parts;
  }

  #methodCall(
    object: () => Expression,
    callee: t.MemberExpression | t.OptionalMemberExpression,
    node: t.CallExpression | t.OptionalCallExpression,
  ): Expression[] {
    const parts: Expression[] = [];
    const { property } = callee;
    if (property.type === 'PrivateName' && this.#privateMethods.has(property.id.name))
      return this.#privateCall(object, property, node);
    const key = this.#key(callee, parts);
    const method = this.#take();
    parts.push(this.#set(method, this.#property(object(), key(), callee)));
    parts.push(...this.#calledMethod(object, key, method, callee, node));
    return parts;
  }

  #privateCall(
    object: () => Expression,
    property: t.PrivateName,
    node: t.CallExpression | t.OptionalCallExpression,
  ): Expression[] {
    const types = this.#t;
    const parts: Expression[] = [];
    const given = this.#arguments(node, parts);
    const twin = types.memberExpression(
      object(),
      types.privateName(types.identifier(`${property.id.name}$`)),
    );
    parts.push(...this.#suspendable(types.callExpression(twin, given())));
    return parts;
  }

  /** The call of a method that is in a temporary. */
  #calledMethod(
    object: () => Expression,
    key: () => Expression | t.PrivateName,
    method: t.Identifier,
    callee: t.MemberExpression | t.OptionalMemberExpression,
    node: t.CallExpression | t.OptionalCallExpression,
  ): Expression[] {
    const types = this.#t;
    const parts: Expression[] = [];
    const { property } = callee;
    const self = (): Expression => (callee.object.type === 'Super' ? types.thisExpression() : object());
    const given = this.#arguments(node, parts);
    const plain = (): Expression =>
      located(types.callExpression(this.#property(object(), key(), callee), given()), node);
    const bound = (): Expression =>
      types.callExpression(
        types.memberExpression(twinOf(types, this.#name(method)), types.identifier('call')),
        [self(), ...given()],
      );
    const call = this.#either(node, () => this.#name(method), bound, plain);
    const name = !callee.computed && property.type === 'Identifier' ? property.name : '';
    const isOfFunctions = OF_FUNCTIONS.has(name) && this.#options.strict === true;
    if ((!CALLS_BACK.has(name) && !isOfFunctions) || callee.object.type === 'Super') {
      parts.push(call);
      return parts;
    }
    // An array that calls back: a loop of our own does. A function that is called for somebody else.
    this.#usesArrays = true;
    const ours = (of: string): t.MemberExpression =>
      types.memberExpression(types.identifier(ARRAYS), types.identifier(of));
    const taken = given();
    const isBound = CALLS_BACK.has(name) && !REDUCES.has(name) && taken.length > 1;
    const all = isBound ? [types.callExpression(ours('bind'), taken)] : taken;
    const run =
      name === 'bind'
        ? types.callExpression(ours(name), [object(), ...all])
        : this.#sequence(
            this.#suspendable(types.callExpression(twinOf(types, ours(name)), [object(), ...all])),
          );
    parts.push(types.conditionalExpression(this.#isOurs(name, object), run, call));
    return parts;
  }

  /** Whether an object is one whose method of that name we do ourselves. */
  #isOurs(name: string, object: () => Expression): Expression {
    const types = this.#t;
    if (OF_FUNCTIONS.has(name)) {
      const kind = types.unaryExpression('typeof', object());
      return types.binaryExpression('===', kind, types.stringLiteral('function'));
    }
    const [holder, test] = name === 'forEach' ? [ARRAYS, 'hasForEach'] : ['Array', 'isArray'];
    const asked = types.memberExpression(types.identifier(holder), types.identifier(test));
    return types.callExpression(asked, [object()]);
  }

  /**
   * The twin if there is one, else the plain function. What is called stands in a temporary: if it is no function, the error
   * would name that.
   */
  #either(
    node: t.CallExpression | t.OptionalCallExpression,
    called: () => Expression,
    suspendable: () => Expression,
    plain: () => Expression,
  ): Expression {
    const types = this.#t;
    const twin = types.optionalMemberExpression(called(), types.identifier('$'), false, true);
    const hasNone = types.binaryExpression('===', twin, types.identifier('undefined'));
    const isNone = types.binaryExpression(
      '!==',
      types.unaryExpression('typeof', called()),
      types.stringLiteral('function'),
    );
    const name = types.stringLiteral(calledAs(node.callee));
    const complain = located(types.callExpression(types.identifier(NOT_CALLABLE), [name]), node);
    const attempt = this.#scoped(() =>
      this.#sequence([types.logicalExpression('&&', isNone, complain), ...this.#attempt(plain)]),
    );
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
  #chain(
    node: t.Node,
    rest: (value: Expression) => Expression,
    nothing: Expression = this.#t.identifier('undefined'),
  ): Expression {
    const types = this.#t;
    const bare = withoutTypes(node);
    if (bare.type === 'OptionalMemberExpression') {
      return this.#chain(
        bare.object,
        (object) => {
          const parts: Expression[] = [];
          const from = this.#take();
          parts.push(this.#set(from, object));
          const inner: Expression[] = [];
          const key = this.#key(bare, inner);
          inner.push(...this.#attempt(() => this.#property(this.#name(from), key(), bare)));
          const value = rest(this.#sequence(inner));
          if (!bare.optional) return this.#sequence([...parts, value]);
          return this.#unlessNothing(this.#sequence([...parts, this.#name(from)]), value, nothing);
        },
        nothing,
      );
    }
    if (bare.type === 'OptionalCallExpression') {
      const callee = withoutTypes(bare.callee);
      if (callee.type === 'OptionalMemberExpression' || callee.type === 'MemberExpression')
        return this.#chainedMethod(bare, callee, rest, nothing);
      return this.#chain(
        callee,
        (called) => {
          const from = this.#take();
          const first = this.#set(from, called);
          const call = rest(this.#sequence(this.#valueCall(() => this.#name(from), bare)));
          const whole = bare.optional ? this.#unlessNothing(this.#name(from), call, nothing) : call;
          return this.#sequence([first, whole]);
        },
        nothing,
      );
    }
    return rest(this.#visit(types.isExpression(bare) ? bare : (node as Expression)));
  }

  /** `a?.m()`, `a.m?.()` */
  #chainedMethod(
    node: t.OptionalCallExpression,
    callee: t.MemberExpression | t.OptionalMemberExpression,
    rest: (value: Expression) => Expression,
    nothing: Expression,
  ): Expression {
    const within = (object: () => Expression): Expression => {
      const { property } = callee;
      const isPrivate = property.type === 'PrivateName' && this.#privateMethods.has(property.id.name);
      if (!node.optional || isPrivate) {
        const call = isPrivate
          ? this.#privateCall(object, property, node)
          : this.#methodCall(object, callee, node);
        return rest(this.#sequence(call));
      }
      const parts: Expression[] = [];
      const key = this.#key(callee, parts);
      const method = this.#take();
      parts.push(this.#set(method, this.#property(object(), key(), callee)));
      const call = rest(this.#sequence(this.#calledMethod(object, key, method, callee, node)));
      return this.#sequence([...parts, this.#unlessNothing(this.#name(method), call, nothing)]);
    };
    if (callee.object.type === 'Super') return within(() => this.#t.super());
    return this.#chain(
      callee.object,
      (object) => {
        const from = this.#take();
        const first = this.#set(from, object);
        const whole = within(() => this.#name(from));
        const isOptional = callee.type === 'OptionalMemberExpression' && callee.optional;
        return this.#sequence([
          first,
          isOptional ? this.#unlessNothing(this.#name(from), whole, nothing) : whole,
        ]);
      },
      nothing,
    );
  }

  #unlessNothing(value: Expression, otherwise: Expression, nothing?: Expression): Expression {
    const types = this.#t;
    const isNothing = types.binaryExpression('==', value, types.nullLiteral());
    const answer = nothing === undefined ? types.identifier('undefined') : types.cloneNode(nothing);
    return types.conditionalExpression(isNothing, answer, otherwise);
  }

  // ---- declarations ----

  #declaration(node: t.VariableDeclaration): t.VariableDeclaration {
    this.#refuseUsing(node);
    const declarations = node.declarations.flatMap((declarator) => {
      const { id, init } = declarator;
      if (init === null || init === undefined)
        return [this.#t.variableDeclarator(this.#pattern(id as t.LVal), init)];
      return this.#declarators(
        id as t.LVal,
        this.#scoped(() => this.#visit(init)),
      );
    });
    const copy = this.#t.variableDeclaration(node.kind, declarations);
    copy.loc = node.loc ?? null;
    return copy;
  }

  #refuseUsing(node: t.VariableDeclaration): void {
    if (this.#options.strict === true && (node.kind === 'using' || node.kind === 'await using'))
      refuse(node, 'what `using` calls in the end cannot be suspended: write try and finally');
  }

  #declare(kind: 'let' | 'const', to: t.LVal, value: Expression): t.Statement[] {
    return [this.#t.variableDeclaration(kind, this.#declarators(to, value))];
  }

  /** A pattern that takes apart what is no view: as it is, without its types. */
  #pattern(node: t.LVal): t.LVal {
    if (node.type === 'Identifier') return this.#t.identifier(node.name);
    return this.#copy(node) as t.LVal;
  }

  #declarators(to: t.LVal, value: Expression): t.VariableDeclarator[] {
    if (to.type === 'ObjectPattern') return this.#parts(to, value);
    if (to.type === 'ArrayPattern' && !isSimple(to)) {
      const { taken, each } = this.#elements(to, () => this.#whole());
      return [
        this.#t.variableDeclarator(taken, value),
        ...each.flatMap((one) => this.#part(one.to, this.#name(one.from))),
      ];
    }
    return [this.#t.variableDeclarator(this.#pattern(to), value)];
  }

  /** A name for what is about to be taken apart, free to the end of the module. */
  #whole(): t.Identifier {
    return this.#t.identifier(`$w${++this.#wholes}`);
  }

  /** `const { a, b: c = d } = v`: each part is read on its own. The temporary stays taken to the end of the function. */
  #parts(pattern: t.ObjectPattern, value: Expression): t.VariableDeclarator[] {
    const whole = this.#whole();
    const declarators = [this.#t.variableDeclarator(this.#name(whole), value)];
    for (const property of pattern.properties) {
      if (property.type === 'RestElement')
        return refuse(property, 'the rest of a structure cannot be taken apart');
      const read = this.#scoped(() => {
        const parts: Expression[] = [];
        const key = this.#partKey(property, parts);
        parts.push(...this.#attempt(() => this.#property(this.#name(whole), key(), keyed(property))));
        return this.#sequence(parts);
      });
      declarators.push(...this.#part(property.value as t.LVal, read));
    }
    return declarators;
  }

  /** One part of what is taken apart, with what it is if it is nothing. */
  #part(target: t.LVal, read: Expression): t.VariableDeclarator[] {
    const types = this.#t;
    if (target.type !== 'AssignmentPattern') return this.#declarators(target, read);
    const got = this.#scoped(() => {
      const found = this.#take();
      const isNothing = types.binaryExpression('===', this.#name(found), types.identifier('undefined'));
      return this.#sequence([
        this.#set(found, read),
        types.conditionalExpression(isNothing, this.#visit(target.right), this.#name(found)),
      ]);
    });
    return this.#declarators(target.left, got);
  }

  #forOf(node: t.ForOfStatement | t.ForInStatement): t.Node | undefined {
    const types = this.#t;
    const { left } = node;
    if (node.type === 'ForOfStatement' && node.await) return refuse(node, 'for await cannot be suspended');
    if (left.type === 'VariableDeclaration') this.#refuseUsing(left);
    const to = (
      left.type === 'VariableDeclaration' ? left.declarations[0]!.id : withoutTypes(left)
    ) as t.LVal;
    if (to.type === 'Identifier' && left.type !== 'VariableDeclaration') return undefined;
    const right = this.#scoped(() => this.#visit(node.right));
    const isNative = to.type === 'Identifier' || isSimple(to);
    const name = this.#whole();
    const kind = left.type === 'VariableDeclaration' ? (left.kind as 'let' | 'const') : 'const';
    const isPlace = left.type !== 'VariableDeclaration';
    const head = types.variableDeclaration(kind, [
      types.variableDeclarator(isNative && !isPlace ? this.#pattern(to) : this.#name(name)),
    ]);
    const first = isPlace
      ? [
          types.expressionStatement(
            this.#scoped(() => this.#sequence(this.#assignTo(to, () => this.#name(name)))),
          ),
        ]
      : isNative
        ? []
        : this.#declare(kind, to, this.#name(name));
    const inner = this.#visit(node.body);
    const body = first.length === 0 ? inner : types.blockStatement([...first, inner]);
    const copy =
      node.type === 'ForOfStatement'
        ? types.forOfStatement(head, right, body)
        : types.forInStatement(head, right, body);
    copy.loc = node.loc ?? null;
    return copy;
  }
}
