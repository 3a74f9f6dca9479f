/** `smplab shell` as a person has it: through a pseudo terminal. */
import { spawn } from '@lydell/node-pty';
import { describe, expect, it } from 'vitest';
import { MAIN } from './run.ts';

const PATIENCE_MS = 20_000;
const POLL_MS = 10;
const PROMPT = /root@smplab:\S*# $/;

/** Puts what a terminal would show into plain text. */
// oxlint-disable-next-line no-control-regex -- that is what terminals are driven by
const plain = (text: string): string => text.replaceAll(/\u001B\[[0-9;]*[A-Za-z]/g, '').replaceAll('\r', '');

class Person {
  readonly #terminal = spawn(process.execPath, [MAIN, 'shell', '--cpus', '3'], {
    cols: 120,
    rows: 40,
    env: { ...process.env, TERM: 'xterm' },
  });
  #shown = '';
  #mark = 0;
  readonly exit: Promise<number>;

  constructor() {
    this.#terminal.onData((text) => {
      this.#shown += text;
    });
    this.exit = new Promise((resolve) => {
      this.#terminal.onExit(({ exitCode }) => {
        resolve(exitCode);
      });
    });
  }

  keys(text: string): void {
    this.#terminal.write(text);
  }

  /** What appears from the last time on, until it ends as is expected. */
  async see(end: RegExp): Promise<string> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const text = plain(this.#shown.slice(this.#mark));
      if (end.test(text)) {
        this.#mark = this.#shown.length;
        return text;
      }
      if (performance.now() > deadline)
        throw new Error(`expected ${String(end)}, the terminal shows: ${text}`);
      await new Promise((resolve) => {
        setTimeout(resolve, POLL_MS);
      });
    }
  }

  /** Types a command; what it says. */
  async type(command: string): Promise<string> {
    this.keys(`${command}\r`);
    const text = await this.see(new RegExp(`\\n(?:[^]*\\n)?${PROMPT.source}`));
    return text.slice(text.indexOf('\n') + 1, text.lastIndexOf('root@'));
  }
}

describe('smplab shell at a terminal', () => {
  it('prompt, state from line to line, completion, history, Ctrl-C, reboot, Ctrl-D', async () => {
    const person = new Person();
    await person.see(PROMPT);

    await person.type('x=5; list=(a "b c"); f() { echo "f $1 $x"; }');
    expect(await person.type('f 1; echo "${list[1]}"; cd /sys/devices/system/cpu; false')).toBe(
      'f 1 5\nb c\n',
    );
    expect(await person.type('echo $? $PWD')).toBe('1 /sys/devices/system/cpu\n');
    expect(await person.type('echo 0 > cpu2/online; cat online')).toBe('0-1\n');
    expect(await person.type('echo 0 > cpu2/online')).toBe('bash: echo: write error: Invalid argument\n');

    // A command of several lines, and one that is thrown away while it is typed.
    person.keys('for i in 1 2; do\r');
    await person.see(/> $/);
    expect(await person.type('echo "l$i"; done')).toBe('l1\nl2\n');
    person.keys('this is not run');
    await person.see(/not run$/);
    person.keys('\u0003');
    await person.see(PROMPT);

    // Tab, and the line before once more.
    person.keys('cat /sys/devices/system/cpu/poss');
    await person.see(/poss$/);
    person.keys('\t');
    await person.see(/ible $/);
    expect(await person.type('')).toBe('0-2\n');
    person.keys('\u001B[A');
    await person.see(/possible ?$/);
    expect(await person.type('')).toBe('0-2\n');

    // Ctrl-C ends what runs, and not the shell: a pause, and a loop that never waits.
    for (const busy of ['echo begun; sleep 1000', 'echo begun; while true; do :; done']) {
      person.keys(`${busy}\r`);
      await person.see(/\nbegun\n$/);
      person.keys('\u0003');
      await person.see(PROMPT);
    }
    expect(await person.type('echo "$? $x"')).toBe('130 5\n');

    expect(await person.type('reboot')).toContain('Restarting system.\n');
    expect(await person.type('cat /sys/devices/system/cpu/online; (exit 3)')).toBe('0-2\n');
    person.keys('\u0004');
    expect(await person.exit).toBe(3);
  });

  it('exit N ends the shell, but not in a subshell; what was trapped runs', async () => {
    const person = new Person();
    await person.see(PROMPT);
    expect(await person.type("trap 'echo bye' EXIT; (exit 4); echo $?")).toBe('4\n');
    person.keys('exit 7\r');
    await person.see(/bye/);
    expect(await person.exit).toBe(7);
  });
});
