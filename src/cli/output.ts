/** Where text goes: the result to stdout, everything about the making of it to stderr. */
import { pino } from 'pino';
import { type Paint, ansi, plain } from '#report/paint';

export type Logger = ReturnType<typeof pino>;

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Output {
  /** Colour for stdout, or none. */
  readonly paint: Paint;
  /** Columns of stdout; 100 where there is no terminal. */
  readonly width: number;
  /** One piece of the result. */
  line(text?: string): void;
  lines(texts: readonly string[]): void;
  /** Text as it is, without a newline of its own. */
  raw(text: string): void;
}

const WIDTH_DEFAULT = 100;
const WIDTH_LEAST = 60;

/** https://no-color.org: any value but the empty one. */
export function wantsColour(stream: NodeJS.WriteStream): boolean {
  const { NO_COLOR: refused, TERM: terminal } = process.env;
  return stream.isTTY && (refused === undefined || refused === '') && terminal !== 'dumb';
}

export function outputTo(stream: NodeJS.WriteStream): Output {
  // Whoever reads us may have had enough (`| head`): that is no failure of ours.
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  const line = (text = ''): void => {
    stream.write(`${text}\n`);
  };
  return {
    paint: wantsColour(stream) ? ansi : plain,
    width: Math.max(WIDTH_LEAST, stream.isTTY ? stream.columns : WIDTH_DEFAULT),
    line,
    lines: (texts) => {
      for (const text of texts) line(text);
    },
    raw: (text) => {
      stream.write(text);
    },
  };
}

/** The simulator's own log. Synchronous: what was logged before a crash is on the screen. */
export function makeLogger(level: LogLevel): Logger {
  return pino({ level, base: null, timestamp: false }, pino.destination({ fd: 2, sync: true }));
}

const BAR_WIDTH = 20;
const PATIENCE_MS = 1_000;

/** A bar on stderr, for a terminal that has waited longer than a second. */
export class Progress {
  readonly #steps: number;
  readonly #shows: boolean;
  #done = 0;
  #label = '';
  #timer: NodeJS.Timeout | undefined;
  #drawn = false;

  constructor(steps: number) {
    this.#steps = steps;
    this.#shows = process.stderr.isTTY;
  }

  /** The next step begins. */
  step(label: string): void {
    this.clear();
    this.#label = label;
    this.#done++;
    if (!this.#shows) return;
    this.#timer = setTimeout(() => {
      this.#draw();
    }, PATIENCE_MS);
    this.#timer.unref();
  }

  #draw(): void {
    const full = Math.round((BAR_WIDTH * (this.#done - 1)) / this.#steps);
    const bar = '#'.repeat(full).padEnd(BAR_WIDTH, '.');
    process.stderr.write(`\r[${bar}] ${this.#label} (${this.#done} of ${this.#steps})`);
    this.#drawn = true;
  }

  /** Takes the bar away, so that something else can be printed. */
  clear(): void {
    clearTimeout(this.#timer);
    if (this.#drawn) process.stderr.write('\r\u001B[K');
    this.#drawn = false;
  }
}
