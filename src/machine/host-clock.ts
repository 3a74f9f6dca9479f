/**
 * How slow the host is: the part of the time in which it kept the machine's threads waiting for a core. What watches over a
 * machine by the host's clock takes that off, so that a busy host is not taken for a hung machine; and a report says it apart.
 */
import { readFileSync, readdirSync } from 'node:fs';

/** /proc/self/task/N/schedstat: time on a core and time waiting for one, in nanoseconds. */
const TASKS = '/proc/self/task';

function waited(): Map<string, number> | undefined {
  try {
    const delays = new Map<string, number>();
    for (const thread of readdirSync(TASKS)) {
      try {
        delays.set(thread, Number(readFileSync(`${TASKS}/${thread}/schedstat`, 'utf8').split(' ')[1]));
      } catch {
        // It has just ended.
      }
    }
    return delays.size === 0 ? undefined : delays;
  } catch {
    return undefined;
  }
}

export class HostClock {
  #last = performance.now();
  #delays = waited();
  #slow = 0;
  #fair = 0;
  readonly #periodMs: number;

  /** @param periodMs how often `tick` is meant to be called */
  constructor(periodMs: number) {
    this.#periodMs = periodMs;
  }

  /** Looks at the clock; answers the milliseconds since the last look in which every thread could have run. */
  tick(): number {
    const now = performance.now();
    const elapsed = now - this.#last;
    this.#last = now;
    let kept = Math.max(0, elapsed - 2 * this.#periodMs);
    const delays = waited();
    if (delays !== undefined && this.#delays !== undefined) {
      // The thread that was kept longest: whoever waits for it was kept as long.
      for (const [thread, delay] of delays)
        kept = Math.max(kept, (delay - (this.#delays.get(thread) ?? delay)) / 1e6);
    }
    this.#delays = delays;
    const fair = Math.max(0, elapsed - kept);
    this.#slow += elapsed - fair;
    this.#fair += fair;
    return fair;
  }

  /** Milliseconds so far in which some thread waited for a core. */
  get slowMs(): number {
    return this.#slow;
  }

  /** Milliseconds so far in which none did: what a watchdog counts. */
  get fairMs(): number {
    return this.#fair;
  }
}
