/** The kernel's watchdogs, for whoever sits at the console of a parallel machine: a CPU that locks up says so there. */
import { HostClock } from '#machine/host-clock';
import type { Machine } from '#machine/machine';
import { type Bark, Watchdog } from '#machine/watchdog';

const LOOK_MS = 250;

/** As the kernel prints it: what is wrong, and where that CPU is. */
export function barkLines({ title, stack }: Bark): string[] {
  return [title, 'Call Trace:', ...stack.map((symbol) => ` ${symbol}`)];
}

export class ConsoleWatch {
  readonly #timer: NodeJS.Timeout | undefined;
  /** How often one of them has barked. */
  barks = 0;

  constructor(machine: Machine, print: (line: string) => void) {
    if (machine.config.mode === 'deterministic') return;
    const clock = new HostClock(LOOK_MS);
    const watchdog = new Watchdog(machine);
    this.#timer = setInterval(() => {
      for (const bark of watchdog.look(clock.tick())) {
        this.barks += 1;
        for (const line of barkLines(bark)) print(line);
      }
    }, LOOK_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
