/** A shell with a person at it: a prompt, a line editor with history and completion, Ctrl-C and Ctrl-D as in bash. */
import { type Interface, createInterface } from 'node:readline';
import { complete } from './completion.ts';
import { isUnfinished } from './complete-input.ts';
import type { Computer } from './computer.ts';
import { Session } from './session.ts';

/** Where a person types and reads. */
export interface Streams {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
}

const HISTORY_MAX = 1000;

/** Lines as they are typed, to be taken one at a time. */
class Lines {
  readonly #waiting: string[] = [];
  #taker: ((line: string | undefined) => void) | undefined;
  #isClosed = false;

  push(line: string): void {
    const taker = this.#taker;
    this.#taker = undefined;
    if (taker === undefined) this.#waiting.push(line);
    else taker(line);
  }

  close(): void {
    this.#isClosed = true;
    this.#taker?.(undefined);
    this.#taker = undefined;
  }

  /** Undefined at the end of input. */
  async next(): Promise<string | undefined> {
    const line = this.#waiting.shift();
    if (line !== undefined || this.#isClosed) return line;
    return new Promise((resolve) => {
      this.#taker = resolve;
    });
  }
}

export class Interactive {
  readonly #computer: Computer;
  readonly #editor: Interface;
  readonly #lines = new Lines();
  readonly #streams: Streams;
  #session: Session;
  /** The lines of a command that is not whole yet. */
  #begun = '';
  #isRunning = false;

  constructor(computer: Computer, streams: Streams) {
    this.#computer = computer;
    this.#streams = streams;
    this.#session = new Session(computer);
    this.#editor = createInterface({
      ...streams,
      terminal: true,
      historySize: HISTORY_MAX,
      removeHistoryDuplicates: true,
      completer: (line: string, done: (error: Error | null, result?: [string[], string]) => void) => {
        void this.#complete(line, done);
      },
    });
    this.#editor.on('line', (line) => {
      this.#lines.push(line);
    });
    this.#editor.on('close', () => {
      this.#lines.close();
    });
    this.#editor.on('SIGINT', () => {
      this.#interrupt();
    });
  }

  /** Until the person leaves, or there is no machine any more. @returns the status of the last command, or of `exit` */
  async run(): Promise<number> {
    let status = 0;
    try {
      for (;;) {
        const text = await this.#command();
        if (text === undefined) {
          this.#streams.output.write('exit\n');
          await this.#lastWords();
          return status;
        }
        if (text.trim() === '') continue;
        status = await this.#run(text);
        if (await this.#hasLeft()) return this.#computer.request === undefined ? status : 0;
      }
    } finally {
      await this.#session.jobs.killAll();
      this.#editor.close();
    }
  }

  async #run(text: string): Promise<number> {
    this.#isRunning = true;
    try {
      return await this.#session.run(text, { live: true, keep: true });
    } finally {
      this.#isRunning = false;
    }
  }

  /** Whether the shell has come to its end. A machine that was restarted gets a new one. */
  async #hasLeft(): Promise<boolean> {
    if (this.#computer.request === 'reboot') {
      await this.#session.jobs.killAll();
      await this.#computer.reboot();
      this.#session = new Session(this.#computer);
      return this.#computer.end !== undefined;
    }
    if (this.#computer.end !== undefined) return true;
    if (!this.#session.hasLeft) return false;
    await this.#lastWords();
    return true;
  }

  /** What was trapped for the end, where `exit` has not run it. */
  async #lastWords(): Promise<void> {
    const action = this.#session.traps.get('EXIT');
    if (action !== undefined) await this.#session.run(action, { live: true, keep: true });
  }

  /** A whole command, of one line or more. */
  async #command(): Promise<string | undefined> {
    this.#begun = '';
    for (;;) {
      this.#prompt();
      const line = await this.#lines.next();
      if (line === undefined) return undefined;
      const text = this.#begun === '' ? line : `${this.#begun}\n${line}`;
      if (!isUnfinished(text)) return text;
      this.#begun = text;
    }
  }

  #prompt(): void {
    const { cwd } = this.#session;
    const shown = cwd === '/root' || cwd.startsWith('/root/') ? `~${cwd.slice('/root'.length)}` : cwd;
    this.#editor.setPrompt(this.#begun === '' ? `root@smplab:${shown}# ` : '> ');
    this.#editor.prompt();
  }

  /** What runs is ended; what is being typed is thrown away. */
  #interrupt(): void {
    this.#streams.output.write('^C\n');
    if (this.#isRunning) {
      this.#session.interrupt();
      return;
    }
    this.#begun = '';
    // The line editor has no way to empty its line but this.
    this.#editor.write(null, { ctrl: true, name: 'e' });
    this.#editor.write(null, { ctrl: true, name: 'u' });
    this.#prompt();
  }

  async #complete(
    line: string,
    done: (error: Error | null, result?: [string[], string]) => void,
  ): Promise<void> {
    try {
      done(null, this.#isRunning ? [[], line] : await complete(this.#session, line));
    } catch {
      done(null, [[], line]);
    }
  }
}
