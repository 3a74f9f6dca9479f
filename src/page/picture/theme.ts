/** The colours of the style, for what is drawn and not laid out. */

export interface Theme {
  readonly cpus: readonly string[];
  readonly text: string;
  readonly faint: string;
  readonly line: string;
  readonly back: string;
  readonly panel: string;
  readonly accent: string;
  readonly irq: string;
  readonly lock: string;
  readonly on: string;
  readonly off: string;
}

const CPU_COLOURS = 8;

export function readTheme(): Theme {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return {
    cpus: Array.from({ length: CPU_COLOURS }, (_, cpu) => colour(`cpu${cpu}`)),
    text: colour('text'),
    faint: colour('faint'),
    line: colour('line'),
    back: colour('back'),
    panel: colour('panel'),
    accent: colour('accent'),
    irq: colour('irq'),
    lock: colour('lock'),
    on: colour('on'),
    off: colour('off'),
  };
}
