/**
 * The kernel image: where each static variable lives, and what it starts as.
 *
 * Variables get their addresses when the code that defines them is imported. Imports run in one order, so every thread
 * computes the same image; `imageHash` is compared when a CPU is powered on, and a difference is a boot error.
 * The kernel's own variables are initialised when the machine is made, a module's each time the module is loaded.
 */
import { assert, broken } from '#base/assert';
import { hashText } from './hash.ts';
import {
  PERCPU_KERNEL_BYTES,
  PERCPU_MODULE_RESERVE,
  PERCPU_TEMPLATE,
  STATIC_DATA,
  pageAlign,
} from './layout.ts';
import {
  type AnyField,
  type FieldTable,
  type Ptr,
  type Scalar,
  type StructType,
  type ViewOf,
  viewAt,
} from './struct.ts';

/** Start values: scalars as such, structures as tables of what is not zero. */
export type Initial<T> =
  T extends Scalar<infer V>
    ? V
    : T extends StructType<infer F>
      ? { readonly [K in keyof F]?: Initial<F[K]> }
      : never;

/** A per-CPU variable: one copy per possible CPU, at `addr + __per_cpu_offset[cpu]`. */
export interface PerCpu<T extends AnyField> {
  readonly name: string;
  /** Address of the template. No CPU's copy. */
  readonly addr: Ptr;
  readonly type: T;
}

interface Definition {
  readonly name: string;
  readonly owner: string;
  readonly address: Ptr;
  readonly size: number;
  readonly perCpu: boolean;
  readonly type: AnyField;
}

/** As it was declared: it is taken apart where it is written, which CPU threads never do. */
interface StartValue {
  readonly owner: string;
  readonly type: AnyField;
  readonly address: Ptr;
  readonly initial: unknown;
}

/** A unit of kernel code with data of its own: the kernel itself, or a loadable module. */
export interface KernelObject {
  readonly name: string;
  /** Static data [dataStart, dataEnd); per-CPU data [perCpuStart, perCpuEnd) in the template. */
  readonly dataStart: Ptr;
  readonly dataEnd: Ptr;
  readonly perCpuStart: Ptr;
  readonly perCpuEnd: Ptr;
  /** Pristine copies of both, which loading the module copies from. */
  readonly dataTemplate: Ptr;
  readonly perCpuTemplate: Ptr;
  /** A static variable, or a structure, under its own name. */
  DEFINE<T extends AnyField>(name: string, type: T, initial?: Initial<T>): ViewOf<T>;
  DEFINE_PER_CPU<T extends AnyField>(name: string, type: T, initial?: Initial<T>): PerCpu<T>;
}

/** Owner of a scenario's variables. */
const SCENARIO = 'scenario';

let sealed = false;
/** Of the closed image: it stays what it is. */
let sealedHash: number | undefined;
let perCpuKernelCursor = PERCPU_TEMPLATE;
let perCpuModuleCursor = PERCPU_TEMPLATE + PERCPU_KERNEL_BYTES;
let staticCursor = STATIC_DATA;
const definitions: Definition[] = [];
const startValues: StartValue[] = [];
const objects: ObjectImage[] = [];

function alignUp(address: number, align: number): number {
  return Math.ceil(address / align) * align;
}

function writeStartValue(type: AnyField, address: Ptr, initial: unknown): void {
  if (type.form === 'scalar') {
    type.store(address, initial);
  } else if (type.form === 'struct') {
    const fields: FieldTable = type.fields;
    for (const [field, value] of Object.entries(initial as object)) {
      writeStartValue(fields[field]!, address + type.offsetof(field), value);
    }
  } else {
    assert(false, 'writeStartValue: arrays start as zero');
  }
}

class ObjectImage implements KernelObject {
  readonly name: string;
  readonly dataStart: Ptr;
  readonly perCpuStart: Ptr;
  #dataCursor: Ptr;
  #perCpuCursor: Ptr;
  readonly #dataLimit: Ptr;
  readonly #perCpuLimit: Ptr;
  readonly dataTemplate: Ptr;
  readonly perCpuTemplate: Ptr;
  readonly #isOpen: boolean;

  /** @param isOpen whether it may define after the image has been closed */
  constructor(name: string, isKernel: boolean, dataBytes: number, perCpuBytes: number, isOpen = false) {
    this.name = name;
    this.#isOpen = isOpen;
    staticCursor = alignUp(staticCursor, 64);
    this.dataStart = staticCursor;
    this.#dataCursor = staticCursor;
    this.#dataLimit = staticCursor + dataBytes;
    this.dataTemplate = this.#dataLimit;
    staticCursor += isKernel ? dataBytes : 2 * dataBytes;
    const perCpuCursor = isKernel ? perCpuKernelCursor : alignUp(perCpuModuleCursor, 64);
    this.perCpuStart = perCpuCursor;
    this.#perCpuCursor = perCpuCursor;
    this.#perCpuLimit = perCpuCursor + perCpuBytes;
    if (isKernel) {
      perCpuKernelCursor = this.#perCpuLimit;
      assert(perCpuKernelCursor <= PERCPU_TEMPLATE + PERCPU_KERNEL_BYTES, 'image: per-CPU area is full');
    } else {
      perCpuModuleCursor = this.#perCpuLimit;
      assert(
        perCpuModuleCursor <= PERCPU_TEMPLATE + PERCPU_KERNEL_BYTES + PERCPU_MODULE_RESERVE,
        `image: per-CPU reserve of modules is full (${name})`,
      );
    }
    // A module's per-CPU template would be overwritten by nobody: the pristine copy is the template itself.
    this.perCpuTemplate = perCpuCursor;
  }

  /** Forgets every definition: the next one gets the first address again. */
  clear(): void {
    this.#dataCursor = this.dataStart;
    this.#perCpuCursor = this.perCpuStart;
  }

  get dataEnd(): Ptr {
    return this.#dataCursor;
  }

  /** First byte that its variables may not take. */
  get dataLimit(): Ptr {
    return this.#dataLimit;
  }

  get perCpuEnd(): Ptr {
    return this.#perCpuCursor;
  }

  #mayDefine(name: string): void {
    if (sealed && !this.#isOpen) broken(`DEFINE: ${name} is defined after the first machine was made`);
  }

  DEFINE<T extends AnyField>(name: string, type: T, initial?: Initial<T>): ViewOf<T> {
    this.#mayDefine(name);
    const address = alignUp(this.#dataCursor, type.align);
    this.#dataCursor = address + type.size;
    if (this.#dataCursor > this.#dataLimit) broken(`DEFINE: data of ${this.name} is full at ${name}`);
    definitions.push({ name, owner: this.name, address, size: type.size, perCpu: false, type });
    if (initial !== undefined) startValues.push({ owner: this.name, type, address, initial });
    return viewAt(type, address);
  }

  DEFINE_PER_CPU<T extends AnyField>(name: string, type: T, initial?: Initial<T>): PerCpu<T> {
    this.#mayDefine(name);
    const address = alignUp(this.#perCpuCursor, type.align);
    this.#perCpuCursor = address + type.size;
    if (this.#perCpuCursor > this.#perCpuLimit)
      broken(`DEFINE_PER_CPU: per-CPU data of ${this.name} is full at ${name}`);
    definitions.push({ name, owner: this.name, address, size: type.size, perCpu: true, type });
    if (initial !== undefined) startValues.push({ owner: this.name, type, address, initial });
    return { name, addr: address, type };
  }
}

/** Room a kernel object's variables may take. */
export interface ObjectRoom {
  readonly dataBytes?: number;
  readonly perCpuBytes?: number;
}

/**
 * Declares a loadable module's data. Its code is in the image from the start; loading it initialises the data.
 * @param name the module's name, as `insmod` takes it
 */
export function MODULE_IMAGE(name: string, room: ObjectRoom = {}): KernelObject {
  const image = new ObjectImage(name, false, room.dataBytes ?? 4096, room.perCpuBytes ?? 1024);
  objects.push(image);
  return image;
}

/** The kernel proper. */
export const vmlinux: KernelObject = new ObjectImage('vmlinux', true, 0x6000, PERCPU_KERNEL_BYTES);

/**
 * The variables of a scenario: defined when its file is loaded, on every thread in the same order, and forgotten with it.
 * Its place is fixed, so that nothing of the kernel's moves.
 */
export const scenarioImage: ObjectImage = new ObjectImage(SCENARIO, false, 0x8000, 0x400, true);

/** Forgets a scenario's variables. */
export function clearScenarioImage(): void {
  scenarioImage.clear();
  for (const list of [definitions, startValues] as { readonly owner: string }[][]) {
    for (let index = list.length - 1; index >= 0; index--)
      if (list[index]!.owner === SCENARIO) list.splice(index, 1);
  }
}

/** Writes the start values of a scenario's variables, with this thread attached to the machine. */
export function writeScenarioValues(): void {
  for (const { owner, type, address, initial } of startValues)
    if (owner === SCENARIO) writeStartValue(type, address, initial);
}

/** What a machine's memory starts as. */
export interface Image {
  /** First byte behind all static data. */
  readonly end: Ptr;
  readonly hash: number;
  readonly definitions: readonly Definition[];
}

/** Closes the image: from here on nothing may be defined. Idempotent. */
export function sealImage(): Image {
  sealed = true;
  return {
    end: pageAlign(staticCursor),
    get hash() {
      return (sealedHash ??= imageHash());
    },
    definitions,
  };
}

/** Over every name and address: equal in two threads exactly if their images are. */
function imageHash(): number {
  const kernels = definitions.filter(({ owner }) => owner !== SCENARIO);
  return hashText(kernels.map(({ name, address, size }) => `${name} ${address} ${size}`).join('\n'));
}

/** Writes every start value, with this thread attached to the new machine; modules' go to their templates too. */
export function writeStartValues(copy: (destination: Ptr, source: Ptr, length: number) => void): void {
  for (const { type, address, initial } of startValues) writeStartValue(type, address, initial);
  for (const object of objects) {
    copy(object.dataTemplate, object.dataStart, object.dataEnd - object.dataStart);
  }
}

/** The part of a variable that lies `offset` bytes into it: `.field`, `[2]`, `.lock.slock`, or `+6` inside a scalar. */
function partAt(type: AnyField, offset: number): string {
  if (type.form === 'struct') {
    const fields = Object.entries(type.fields as FieldTable);
    // A lock says what it is by its name alone: its first word is the lock.
    if (offset === 0 && type.name.endsWith('lock_t')) return '';
    for (const [name, field] of fields) {
      const start = type.offsetof(name);
      if (offset >= start && offset < start + field.size) return `.${name}${partAt(field, offset - start)}`;
    }
  } else if (type.form === 'array') {
    const stride = type.size / type.length;
    const index = Math.floor(offset / stride);
    return `[${index}]${partAt(type.element as AnyField, offset - index * stride)}`;
  }
  return offset === 0 ? '' : `+${offset}`;
}

/** Names of data as they are now, for reports that outlive what they are about: `online[1]`, `runqueues.nr_users`. */
export function dataNames(): (address: Ptr) => string | undefined {
  const known = [...definitions];
  return (address) => {
    const found = known.find(({ address: start, size }) => address >= start && address < start + size);
    return found === undefined ? undefined : `${found.name}${partAt(found.type, address - found.address)}`;
  };
}

/** What lives at an address: `name`, `name+8`; per-CPU variables by their template. Undefined for the heap and wild ones. */
export function symbolizeData(address: Ptr): string | undefined {
  for (const { name, address: start, size } of definitions) {
    if (address >= start && address < start + size)
      return address === start ? name : `${name}+${address - start}`;
  }
  return undefined;
}
