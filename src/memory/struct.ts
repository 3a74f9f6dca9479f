/**
 * Typed views of memory: a C structure as a table of fields.
 *
 *     export const notifier_block = struct('notifier_block', { notifier_call: ptr, next: ptr, priority: s32 });
 *     const nb = notifier_block.at(address);
 *     nb.priority = 20;                       // one plain 4-byte store
 *     if (nb.next !== NULL) ...               // pointers are byte addresses
 *
 * A view is an address with accessors: it holds no state, two views of one address are the same structure, and creating
 * one costs nothing that lasts. Fields are laid out as a C compiler would (natural alignment), except that a pointer
 * takes four bytes.
 */
import { assert, broken } from '#base/assert';
import { AccessKind } from '#trace/events';
import { bus, load32, store32 } from './bus.ts';

/** A byte address in simulated memory; 0 is NULL. */
export type Ptr = number;
export const NULL: Ptr = 0;

/** A value that fits a few bytes and is read and written as one operation. */
export interface Scalar<T> {
  readonly form: 'scalar';
  readonly size: number;
  readonly align: number;
  /** An unsigned 32-bit word: what nearly everything is, and marked accesses do without asking further. */
  readonly isWord: boolean;
  load(address: number): T;
  store(address: number, value: T): void;
  loadMarked(address: number, kind: AccessKind): T;
  storeMarked(address: number, value: T, kind: AccessKind): void;
}

function narrow(
  size: number,
  load: (address: number) => number,
  store: (address: number, value: number) => void,
): Scalar<number> {
  return {
    form: 'scalar',
    size,
    align: size,
    isWord: false,
    load,
    store,
    loadMarked: (address) => load(address),
    storeMarked: (address, value) => store(address, value),
  };
}

export const u8: Scalar<number> = narrow(
  1,
  (address) => bus.load8(address),
  (address, value) => bus.store8(address, value),
);
export const u16: Scalar<number> = narrow(
  2,
  (address) => bus.load16(address),
  (address, value) => bus.store16(address, value),
);
export const u32: Scalar<number> = {
  form: 'scalar',
  size: 4,
  align: 4,
  isWord: true,
  load: load32,
  store: store32,
  loadMarked: (address, kind) => bus.load32Marked(address, kind),
  storeMarked: (address, value, kind) => bus.store32Marked(address, value, kind),
};
export const s32: Scalar<number> = {
  form: 'scalar',
  size: 4,
  align: 4,
  isWord: false,
  load: (address) => load32(address) | 0,
  store: store32,
  loadMarked: (address, kind) => bus.load32Marked(address, kind) | 0,
  storeMarked: (address, value, kind) => bus.store32Marked(address, value, kind),
};
export const u64: Scalar<bigint> = {
  form: 'scalar',
  size: 8,
  align: 8,
  isWord: false,
  load: (address) => bus.load64(address),
  store: (address, value) => bus.store64(address, value),
  loadMarked: (address, kind) => bus.load64Marked(address, kind),
  storeMarked: (address, value, kind) => bus.store64Marked(address, value, kind),
};
/** A pointer, to data or to a kernel function. Same as u32; the name says what is meant. */
export const ptr: Scalar<Ptr> = { ...u32 };

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Names that were read last, by their hash: kernels read few names, and the same ones again and again. */
const KNOWN_TEXTS = 1024;
const knownTexts: string[] = Array.from({ length: KNOWN_TEXTS }, () => '');

/** The text in front of the first NUL. */
function textOf(bytes: Uint8Array): string {
  let hash = 0;
  let end = 0;
  let all = 0;
  for (; end < bytes.length && bytes[end] !== 0; end++) {
    all |= bytes[end]!;
    hash = Math.imul(hash ^ bytes[end]!, 0x01000193);
  }
  if (all >= 0x80) return decoder.decode(bytes.subarray(0, end));
  const at = (hash ^ (hash >>> 15)) & (KNOWN_TEXTS - 1);
  const known = knownTexts[at]!;
  if (known.length === end && isText(known, bytes)) return known;
  return (knownTexts[at] = decoder.decode(bytes.subarray(0, end)));
}

function isText(text: string, bytes: Uint8Array): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) !== bytes[at]) return false;
  return true;
}

/** A NUL-terminated string of at most `size - 1` bytes; longer ones are cut. One operation to read or write. */
export function char(size: number): Scalar<string> {
  const load = (address: number): string => textOf(bus.loadBytes(address, size));
  const store = (address: number, value: string): void => {
    const bytes = new Uint8Array(size);
    encoder.encodeInto(value, bytes.subarray(0, size - 1));
    bus.storeBytes(address, bytes);
  };
  return { form: 'scalar', size, align: 1, isWord: false, load, store, loadMarked: load, storeMarked: store };
}

export type FieldTable = Readonly<Record<string, AnyField>>;
// oxlint-disable-next-line typescript/no-explicit-any -- the type of any field, whatever it holds
export type AnyField = Scalar<any> | StructType<any> | ArrayType<any>;

type ScalarKeys<F extends FieldTable> = {
  [K in keyof F]: F[K] extends Scalar<unknown> ? K : F[K] extends { form: 'scalar' } ? K : never;
}[keyof F];

type ValueOf<T> = T extends Scalar<infer V> ? V : never;

/** What `.at(address)` answers: scalars can be read and written, embedded structures and arrays are views themselves. */
export type View<F extends FieldTable> = { readonly addr: Ptr } & {
  [K in ScalarKeys<F>]: ValueOf<F[K]>;
} & {
  readonly [K in Exclude<keyof F, ScalarKeys<F>>]: ViewOf<F[K]>;
};

/** The view of a structure or array type; of a scalar, a `Variable`. */
export type ViewOf<T> =
  T extends StructType<infer G>
    ? View<G>
    : T extends ArrayType<infer E>
      ? ArrayView<E>
      : T extends Scalar<infer V>
        ? Variable<V>
        : never;

export interface StructType<F extends FieldTable> {
  readonly form: 'struct';
  readonly name: string;
  readonly size: number;
  readonly align: number;
  readonly fields: F;
  /** The structure at an address. Does not touch memory: a NULL here is an oops at the first field. */
  at(address: Ptr): View<F>;
  offsetof(field: keyof F): number;
  /** container_of: the structure that embeds `member` as its `field`. */
  container(member: Ptr, field: keyof F): View<F>;
}

/** A view type by its structure: `type notifier_block = StructView<typeof notifier_block>`. */
export type StructView<S> = S extends StructType<infer F> ? View<F> : never;

/** One scalar in memory. */
export interface Variable<T> {
  readonly addr: Ptr;
  value: T;
}

class VariableView<T> implements Variable<T> {
  declare readonly addr: Ptr;
  declare readonly valueType: Scalar<T>;

  constructor(type: Scalar<T>, address: Ptr) {
    this.valueType = type;
    this.addr = address;
  }

  get value(): T {
    return this.valueType.load(this.addr);
  }

  set value(value: T) {
    this.valueType.store(this.addr, value);
  }
}

/** A word: the commonest variable, with accessors of its own for the reason that structures have them. */
class WordView extends VariableView<number> {
  override get value(): number {
    return load32(this.addr);
  }

  override set value(value: number) {
    store32(this.addr, value);
  }
}

export function variableAt<T>(type: Scalar<T>, address: Ptr): Variable<T> {
  if ((type as unknown) === u32 || (type as unknown) === ptr)
    return new WordView(u32, address) as unknown as Variable<T>;
  return new VariableView(type, address);
}

// oxlint-disable-next-line typescript/no-explicit-any -- as AnyField
export interface ArrayType<E extends Scalar<any> | StructType<any>> {
  readonly form: 'array';
  readonly size: number;
  readonly align: number;
  readonly element: E;
  readonly length: number;
  at(address: Ptr): ArrayView<E>;
}

// oxlint-disable-next-line typescript/no-explicit-any -- as AnyField
export interface ArrayView<E extends Scalar<any> | StructType<any>> {
  readonly addr: Ptr;
  readonly length: number;
  /** Address of an element; an index outside the array is a bug of the caller and allowed, as in C. */
  addressOf(index: number): Ptr;
  /** A structure's view; for scalars use get and set. */
  at(index: number): ViewOf<E>;
  get(index: number): ValueOf<E>;
  set(index: number, value: ValueOf<E>): void;
}

// oxlint-disable-next-line typescript/no-explicit-any -- as AnyField
export function array<E extends Scalar<any> | StructType<any>>(element: E, length: number): ArrayType<E> {
  const stride = Math.ceil(element.size / element.align) * element.align;
  return {
    form: 'array',
    size: stride * length,
    align: element.align,
    element,
    length,
    at: (address) => new ArrayAt(element, stride, length, address),
  };
}

/** One class for all arrays, so that V8 meets one shape wherever an array is used. */
// oxlint-disable-next-line typescript/no-explicit-any -- as AnyField
class ArrayAt<E extends Scalar<any> | StructType<any>> implements ArrayView<E> {
  declare readonly addr: Ptr;
  declare readonly length: number;
  declare readonly element: E;
  declare readonly stride: number;

  constructor(element: E, stride: number, length: number, address: Ptr) {
    this.addr = address;
    this.length = length;
    this.element = element;
    this.stride = stride;
  }

  addressOf(index: number): Ptr {
    return this.addr + index * this.stride;
  }

  at(index: number): ViewOf<E> {
    return viewAt(this.element, this.addr + index * this.stride);
  }

  get(index: number): ValueOf<E> {
    return this.#scalar('get').load(this.addr + index * this.stride);
  }

  set(index: number, value: ValueOf<E>): void {
    this.#scalar('set').store(this.addr + index * this.stride, value);
  }

  #scalar(method: string): Scalar<ValueOf<E>> {
    const { element } = this;
    if (element.form !== 'scalar') broken(`array.${method}: elements are structures; use at()`);
    return element as Scalar<ValueOf<E>>;
  }
}

/** The view of any type at an address. */
export function viewAt<T extends AnyField>(type: T, address: Ptr): ViewOf<T> {
  const any: AnyField = type;
  return (any.form === 'scalar' ? variableAt(any, address) : any.at(address)) as ViewOf<T>;
}

/** Defines one accessor. A function per width keeps each accessor's code small and of one kind. */
function defineField(prototype: object, name: string, type: AnyField, offset: number): void {
  interface Self {
    readonly addr: number;
  }
  const describe = (get: (this: Self) => unknown, set?: (this: Self, value: never) => void): void => {
    Object.defineProperty(prototype, name, set === undefined ? { get } : { get, set });
  };
  if (type === u32 || type === ptr) {
    describe(
      function () {
        return load32(this.addr + offset);
      },
      function (value: number) {
        store32(this.addr + offset, value);
      },
    );
  } else if (type === s32) {
    describe(
      function () {
        return load32(this.addr + offset) | 0;
      },
      function (value: number) {
        store32(this.addr + offset, value);
      },
    );
  } else if (type.form === 'scalar') {
    describe(
      function () {
        return type.load(this.addr + offset);
      },
      function (value: never) {
        type.store(this.addr + offset, value);
      },
    );
  } else {
    describe(function () {
      return type.at(this.addr + offset);
    });
  }
}

/** Hidden on every view: its structure, for the access functions that name a field. */
const STRUCT = Symbol('struct');

interface StructInternals {
  readonly offsets: Readonly<Record<string, number>>;
  readonly fields: FieldTable;
}

interface Internals {
  readonly [STRUCT]: StructInternals;
}

/** Places fields as a C compiler would. Answers the structure's size and alignment. */
function layOut(fields: FieldTable, place?: (field: string, offset: number) => void): [number, number] {
  let size = 0;
  let align = 1;
  // By hand and without a list of pairs: this runs for every structure of the kernel when a CPU thread starts.
  for (const field of Object.keys(fields)) {
    const type = fields[field]!;
    size = Math.ceil(size / type.align) * type.align;
    place?.(field, size);
    size += type.size;
    if (type.align > align) align = type.align;
  }
  return [Math.ceil(size / align) * align, align];
}

/** By its prototype, what a view needs of each structure that nobody has looked into. */
const unopened = new Map<object, StructInternals>();

/**
 * Behind the prototypes of those: gives one its accessors at the first look into a view of it, and takes itself away. A CPU
 * thread knows every structure of the kernel and uses a quarter, and accessors are a good part of what starting one costs. It
 * costs the views nothing later, which a question at every access would.
 */
const opener: object = Object.create(
  new Proxy(Object.prototype, {
    get: (_target, field, view: object): unknown => Reflect.get(opened(view), field, view),
    set: (_target, field, value, view: object): boolean => Reflect.set(opened(view), field, value, view),
  }),
  // A new view is given its address: that is no look into it.
  { addr: { value: 0, writable: true } },
) as object;

function opened(view: object): object {
  const prototype = Object.getPrototypeOf(view) as object;
  const internals = unopened.get(prototype);
  assert(internals !== undefined, 'opened: only views of structures have an opener behind them');
  unopened.delete(prototype);
  Object.setPrototypeOf(prototype, Object.prototype);
  Object.defineProperty(prototype, STRUCT, { value: internals });
  const { fields, offsets } = internals;
  if (Object.keys(offsets).length === 0) fillOffsets(internals);
  for (const field of Object.keys(fields)) defineField(prototype, field, fields[field]!, offsets[field]!);
  return prototype;
}

function fillOffsets({ fields, offsets }: StructInternals): void {
  layOut(fields, (field, offset) => {
    (offsets as Record<string, number>)[field] = offset;
  });
}

/**
 * Declares a structure.
 * @param name as in the kernel; shown in reports
 */
export function struct<F extends FieldTable>(name: string, fields: F): StructType<F> {
  const [size, align] = layOut(fields);
  const offsets: Record<string, number> = {};
  const internals: StructInternals = { offsets, fields };

  class StructView {
    // Declared only: a field initialiser would cost each new view more than all the rest.
    declare readonly addr: Ptr;

    constructor(address: Ptr) {
      this.addr = address;
    }
  }
  Object.setPrototypeOf(StructView.prototype, opener);
  unopened.set(StructView.prototype, internals);

  const offsetof = (field: keyof F): number => {
    const known = offsets[String(field)];
    if (known !== undefined) return known;
    fillOffsets(internals);
    const offset = offsets[String(field)];
    if (offset === undefined) broken(`struct ${name}: no field ${String(field)}`);
    return offset;
  };
  return {
    form: 'struct',
    name,
    size,
    align,
    fields,
    at: (address) => new StructView(address) as unknown as View<F>,
    offsetof,
    container: (member, field) => new StructView(member - offsetof(field)) as unknown as View<F>,
  };
}

/** A structure with a stated size and alignment, for types whose inside nobody looks at (FXSAVE images, guest state). */
// oxlint-disable-next-line typescript/no-generated-empty-object-type -- a structure without fields is what it is
export function opaque(name: string, size: number, align: number): StructType<Record<never, never>> {
  return { ...struct(name, {}), size: Math.ceil(size / align) * align, align };
}

// oxlint-disable-next-line typescript/no-explicit-any -- as AnyField
function fieldType(view: { readonly addr: Ptr }, field: string): Scalar<any> {
  if (view instanceof VariableView) return view.valueType;
  const type = (view as unknown as Internals)[STRUCT].fields[field];
  if (type?.form !== 'scalar') broken(`fieldType: ${field} is not a scalar field`);
  return type;
}

function fieldAddress(view: { readonly addr: Ptr }, field: string): Ptr {
  if (view instanceof VariableView) return view.addr;
  return view.addr + (view as unknown as Internals)[STRUCT].offsets[field]!;
}

/** Address of a field: `&p->field`. Of a variable, use `.addr`. */
export function addressOf<V extends { readonly addr: Ptr }, K extends string & keyof V>(
  view: V,
  field: K,
): Ptr {
  return view.addr + (view as unknown as Internals)[STRUCT].offsets[field]!;
}

function loadField(view: { readonly addr: Ptr }, field: string, kind: AccessKind): unknown {
  const type = fieldType(view, field);
  const address = fieldAddress(view, field);
  return type.isWord ? bus.load32Marked(address, kind) : type.loadMarked(address, kind);
}

function storeField(view: { readonly addr: Ptr }, field: string, value: unknown, kind: AccessKind): void {
  const type = fieldType(view, field);
  const address = fieldAddress(view, field);
  if (type.isWord) bus.store32Marked(address, value as number, kind);
  else type.storeMarked(address, value, kind);
}

/** A marked load: happens once, whole, and is not a data race. Orders nothing. */
export function READ_ONCE<V extends { readonly addr: Ptr }, K extends string & keyof V>(
  view: V,
  field: K,
): V[K] {
  return loadField(view, field, AccessKind.ONCE) as V[K];
}

/** A marked store: happens once, whole, and is not a data race. Orders nothing. */
export function WRITE_ONCE<V extends { readonly addr: Ptr }, K extends string & keyof V>(
  view: V,
  field: K,
  value: V[K],
): void {
  storeField(view, field, value, AccessKind.ONCE);
}

/** What comes after it in the program happens after it. Pairs with smp_store_release. */
export function smp_load_acquire<V extends { readonly addr: Ptr }, K extends string & keyof V>(
  view: V,
  field: K,
): V[K] {
  return loadField(view, field, AccessKind.ACQUIRE) as V[K];
}

/** What comes before it in the program happens before it. Pairs with smp_load_acquire. */
export function smp_store_release<V extends { readonly addr: Ptr }, K extends string & keyof V>(
  view: V,
  field: K,
  value: V[K],
): void {
  storeField(view, field, value, AccessKind.RELEASE);
}

/** Full memory barrier. */
export function smp_mb(): void {
  bus.fence();
}

/** Writes `value` to a 32-bit field and answers what was there. Fully ordered. */
export function xchg<V extends { readonly addr: Ptr }, K extends string & keyof V>(
  view: V,
  field: K,
  value: number,
): number {
  return bus.exchange32(fieldAddress(view, field), value);
}

/** Writes `value` to a 32-bit field if it holds `expected`; answers what was there. Fully ordered. */
export function cmpxchg<V extends { readonly addr: Ptr }, K extends string & keyof V>(
  view: V,
  field: K,
  expected: number,
  value: number,
): number {
  return bus.compareExchange32(fieldAddress(view, field), expected, value);
}

/** memset, memcpy: one operation each. */
export function memset(address: Ptr, byte: number, length: number): void {
  bus.fill(address, byte, length);
}

export function memcpy(destination: Ptr, source: Ptr, length: number): void {
  bus.copy(destination, source, length);
}
