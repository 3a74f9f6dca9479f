/**
 * The file system that just-bash sees: where the kernel has something mounted, every access is a system call of the process whose
 * turn it is; the rest is user space's own, a root in the host's memory.
 */
import type {
  BufferEncoding,
  ByteString,
  CpOptions,
  FileContent,
  FsStat,
  IFileSystem,
  InMemoryFs,
  MkdirOptions,
  RmOptions,
} from 'just-bash';
import { DT_CHR, DT_DIR, type FileStatus, NoReturn, SystemCallError } from '#machine/user-space';
import { type Caller, KILLED } from './caller.ts';
import { justBash } from './just-bash.ts';
import { CONSOLE_ERR, CONSOLE_OUT } from './rewrite.ts';

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFCHR = 0o020000;
const ENOENT = 2;
const EPERM = 1;
const EACCES = 13;
const EISDIR = 21;
const ENOTDIR = 20;
const O_WRONLY = 1;

/** An access that failed. just-bash goes by the message, our own commands by the number. */
export class FileError extends Error {
  readonly errno: number;
  readonly code: string;

  constructor(errno: number, code: string, path: string) {
    super(`${code}: ${path}`);
    this.name = 'FileError';
    this.errno = errno;
    this.code = code;
  }
}

/** The number behind an error of a file access; just-bash's own file system says it at the start of a message. */
export function errnoOf(error: unknown): number {
  if (error instanceof SystemCallError || error instanceof FileError) return error.errno;
  if (error instanceof NoReturn && error.outcome.kind === 'killed') return KILLED;
  const text = error instanceof Error ? error.message : '';
  if (text.startsWith('EISDIR')) return EISDIR;
  if (text.startsWith('ENOTDIR')) return ENOTDIR;
  if (text.startsWith('EACCES')) return EACCES;
  if (text.startsWith('ENOTEMPTY')) return 39;
  if (text.startsWith('EEXIST')) return 17;
  return ENOENT;
}

/** Where a process has a file open for a redirection. */
interface OpenFile {
  readonly fd: number;
  count: number;
}

export interface ConsoleSink {
  out(text: string): void;
  err(text: string): void;
}

function bytesOf(content: FileContent, encoding: BufferEncoding | undefined): Uint8Array {
  if (typeof content !== 'string') return content;
  return Buffer.from(content, encoding === 'binary' ? 'latin1' : 'utf8');
}

export class KernelFs implements IFileSystem {
  /** User space's root. */
  readonly base: InMemoryFs;
  readonly #caller: Caller;
  readonly #sink: ConsoleSink;
  /** Files that redirections hold open, by path. */
  readonly #open = new Map<string, OpenFile>();
  /** Writes that failed and that nobody has been told of, by path. */
  readonly #failed = new Map<string, number>();

  constructor(base: InMemoryFs, caller: Caller, sink: ConsoleSink) {
    this.base = base;
    this.#caller = caller;
    this.#sink = sink;
  }

  /** Whether a path leads into a file system of the kernel's. */
  isKernel(path: string): boolean {
    const point = this.#caller.mounts.covering(path);
    return point !== undefined && point !== '/dev';
  }

  /** In /dev the kernel's nodes lie among user space's own. */
  async #isNode(path: string): Promise<boolean> {
    if (this.#caller.mounts.covering(path) !== '/dev' || path === '/dev') return false;
    try {
      await this.#caller.process.stat(path);
      return true;
    } catch (error) {
      if (error instanceof SystemCallError) return false;
      throw error;
    }
  }

  async #isTheirs(path: string): Promise<boolean> {
    return this.isKernel(path) || this.#isNode(path);
  }

  /** Opens a file for a redirection, and keeps it so until closeRedirection. @returns 0 or an errno */
  async openRedirection(path: string): Promise<number> {
    if (path === CONSOLE_OUT || path === CONSOLE_ERR) return 0;
    const held = this.#open.get(path);
    if (held !== undefined) {
      held.count += 1;
      return 0;
    }
    try {
      if (await this.#isTheirs(path)) {
        const fd = await this.#caller.process.open(path, O_WRONLY);
        this.#open.set(path, { fd, count: 1 });
        return 0;
      }
      return await this.#ownWritable(path);
    } catch (error) {
      return this.#caller.errnoOrEnd(error);
    }
  }

  async #ownWritable(path: string): Promise<number> {
    if (await this.base.exists(path)) return (await this.base.stat(path)).isDirectory ? EISDIR : 0;
    const parent = path.slice(0, path.lastIndexOf('/'));
    if (parent === '') return 0;
    if (this.isKernel(parent)) return ENOENT;
    if (!(await this.base.exists(parent))) return ENOENT;
    return (await this.base.stat(parent)).isDirectory ? 0 : ENOTDIR;
  }

  /** @returns the errno of a write that failed meanwhile, or 0 */
  async closeRedirection(path: string): Promise<number> {
    const held = this.#open.get(path);
    if (held !== undefined && --held.count === 0) {
      this.#open.delete(path);
      await this.#caller.process.close(held.fd);
    }
    return this.takeFailure(path);
  }

  /** The errno of a write to a path that failed, once; 0 for none. */
  takeFailure(path: string): number {
    const errno = this.#failed.get(path) ?? 0;
    this.#failed.delete(path);
    return errno;
  }

  /** What failed and was in no redirection that would have told. */
  takeFailures(): { readonly path: string; readonly errno: number }[] {
    const all = [...this.#failed].map(([path, errno]) => ({ path, errno }));
    this.#failed.clear();
    return all;
  }

  async #writeTheirs(path: string, bytes: Uint8Array): Promise<void> {
    const process = this.#caller.process;
    const held = this.#open.get(path);
    // Truncating an attribute means nothing, and opening it has been tried before.
    if (bytes.length === 0) return;
    const fd = held?.fd ?? (await process.open(path, O_WRONLY));
    try {
      await process.write(fd, bytes);
    } finally {
      if (held === undefined) await process.close(fd);
    }
  }

  /** just-bash ends the script for what a write throws: the failure is kept for who asks (closeRedirection). */
  async #write(
    path: string,
    content: FileContent,
    encoding: BufferEncoding | undefined,
    append: boolean,
  ): Promise<void> {
    if (path === CONSOLE_OUT || path === CONSOLE_ERR) {
      const text = Buffer.from(bytesOf(content, encoding)).toString('utf8');
      if (text !== '') this.#sink[path === CONSOLE_OUT ? 'out' : 'err'](text);
      return;
    }
    try {
      if (await this.#isTheirs(path)) {
        await this.#writeTheirs(path, bytesOf(content, encoding));
        return;
      }
      const errno = await this.#ownWritable(path);
      if (errno !== 0) throw new FileError(errno, 'ENOENT', path);
      if (append) await this.base.appendFile(path, content, encoding);
      else await this.base.writeFile(path, content, encoding);
    } catch (error) {
      this.#failed.set(path, this.#caller.errnoOrEnd(error));
    }
  }

  async writeFile(
    path: string,
    content: FileContent,
    options?: { encoding?: BufferEncoding } | BufferEncoding,
  ): Promise<void> {
    await this.#write(path, content, typeof options === 'string' ? options : options?.encoding, false);
  }

  async appendFile(
    path: string,
    content: FileContent,
    options?: { encoding?: BufferEncoding } | BufferEncoding,
  ): Promise<void> {
    await this.#write(path, content, typeof options === 'string' ? options : options?.encoding, true);
  }

  async readFileBuffer(path: string): Promise<Uint8Array> {
    if (await this.#isTheirs(path)) return this.#caller.process.readFile(path);
    return this.base.readFileBuffer(path);
  }

  async readFile(
    path: string,
    options?: { encoding?: BufferEncoding | null } | BufferEncoding,
  ): Promise<string> {
    if (!(await this.#isTheirs(path))) return this.base.readFile(path, options);
    const encoding = typeof options === 'string' ? options : options?.encoding;
    const bytes = Buffer.from(await this.#caller.process.readFile(path));
    return bytes.toString(encoding === 'binary' || encoding === 'latin1' ? 'latin1' : 'utf8');
  }

  async readFileBytes(path: string): Promise<ByteString> {
    return justBash().unsafeBytesFromLatin1(Buffer.from(await this.readFileBuffer(path)).toString('latin1'));
  }

  async exists(path: string): Promise<boolean> {
    if (path === CONSOLE_OUT || path === CONSOLE_ERR) return false;
    try {
      await this.stat(path);
      return true;
    } catch {
      return false;
    }
  }

  async stat(path: string): Promise<FsStat> {
    if (!(await this.#isTheirs(path))) return this.base.stat(path);
    return statOf(await this.#caller.process.stat(path));
  }

  async lstat(path: string): Promise<FsStat> {
    if (!(await this.#isTheirs(path))) return this.base.lstat(path);
    return statOf(await this.#caller.process.stat(path));
  }

  async readdir(path: string): Promise<string[]> {
    return (await this.readdirWithFileTypes(path)).map(({ name }) => name);
  }

  async readdirWithFileTypes(
    path: string,
  ): Promise<{ name: string; isFile: boolean; isDirectory: boolean; isSymbolicLink: boolean }[]> {
    const theirs = async (): Promise<
      { name: string; isFile: boolean; isDirectory: boolean; isSymbolicLink: boolean }[]
    > =>
      (await this.#caller.process.readdir(path)).map(({ name, type }) => ({
        name,
        isFile: type !== DT_DIR && type !== DT_CHR,
        isDirectory: type === DT_DIR,
        isSymbolicLink: false,
      }));
    if (this.isKernel(path)) return sorted(await theirs());
    const own = (await this.base.readdirWithFileTypes(path)).filter(
      ({ name }) => !name.startsWith('__smplab'),
    );
    if (this.#caller.mounts.covering(path) !== '/dev' || path !== '/dev') return own;
    const nodes = await theirs();
    const names = new Set(nodes.map(({ name }) => name));
    return sorted([...own.filter(({ name }) => !names.has(name) && !name.startsWith('.')), ...nodes]);
  }

  async mkdir(path: string, options?: MkdirOptions): Promise<void> {
    if (await this.#isTheirs(path)) {
      if (options?.recursive === true && (await this.exists(path))) return;
      throw new FileError(EPERM, 'EPERM', `operation not permitted, mkdir '${path}'`);
    }
    await this.base.mkdir(path, options);
  }

  async rm(path: string, options?: RmOptions): Promise<void> {
    await this.#refuseKernel(path, 'rm');
    await this.base.rm(path, options);
  }

  async cp(source: string, destination: string, options?: CpOptions): Promise<void> {
    if (!(await this.#isTheirs(source)) && !(await this.#isTheirs(destination))) {
      await this.base.cp(source, destination, options);
      return;
    }
    if ((await this.stat(source)).isDirectory) throw new FileError(EISDIR, 'EISDIR', source);
    const bytes = await this.readFileBuffer(source);
    await this.writeFile(destination, bytes);
    const errno = this.takeFailure(destination);
    if (errno !== 0) throw new FileError(errno, 'EACCES', destination);
  }

  async mv(source: string, destination: string): Promise<void> {
    await this.#refuseKernel(source, 'mv');
    await this.#refuseKernel(destination, 'mv');
    await this.base.mv(source, destination);
  }

  async chmod(path: string, mode: number): Promise<void> {
    await this.#refuseKernel(path, 'chmod');
    await this.base.chmod(path, mode);
  }

  async symlink(target: string, path: string): Promise<void> {
    await this.#refuseKernel(path, 'symlink');
    await this.base.symlink(target, path);
  }

  async link(existing: string, path: string): Promise<void> {
    await this.#refuseKernel(existing, 'link');
    await this.#refuseKernel(path, 'link');
    await this.base.link(existing, path);
  }

  async readlink(path: string): Promise<string> {
    await this.#refuseKernel(path, 'readlink');
    return this.base.readlink(path);
  }

  async realpath(path: string): Promise<string> {
    if (!(await this.#isTheirs(path))) return this.base.realpath(path);
    await this.stat(path);
    return path;
  }

  async utimes(path: string, atime: Date, mtime: Date): Promise<void> {
    if (await this.#isTheirs(path)) return;
    await this.base.utimes(path, atime, mtime);
  }

  /** just-bash puts a file where a command can be found by its path, and the files of /dev that it serves itself. */
  writeFileSync(path: string, content: FileContent): void {
    this.base.writeFileSync(path, content);
  }

  mkdirSync(path: string, options?: MkdirOptions): void {
    this.base.mkdirSync(path, options);
  }

  resolvePath(base: string, path: string): string {
    return this.base.resolvePath(base, path);
  }

  getAllPaths(): string[] {
    return this.base.getAllPaths();
  }

  async #refuseKernel(path: string, what: string): Promise<void> {
    if (await this.#isTheirs(path))
      throw new FileError(EPERM, 'EPERM', `operation not permitted, ${what} '${path}'`);
  }
}

function sorted<T extends { readonly name: string }>(entries: readonly T[]): T[] {
  return entries.toSorted((one, other) => (one.name < other.name ? -1 : Number(one.name > other.name)));
}

/** When the machine was switched on is not known in it. */
const EPOCH = new Date(0);

function statOf({ mode, size, device }: FileStatus): FsStat {
  const type = mode & S_IFMT;
  return {
    isFile: type !== S_IFDIR && type !== S_IFCHR,
    isDirectory: type === S_IFDIR,
    isSymbolicLink: false,
    mode,
    size,
    mtime: EPOCH,
    dev: device,
  };
}
