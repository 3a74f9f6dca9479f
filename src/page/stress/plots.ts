/** Plots over time, one below the other, with one cursor in all of them. */
import uPlot from 'uplot';
import { h } from '../dom.ts';
import type { StressPageData, StressPlot } from '../stress-data.ts';

const HEIGHT = 190;
const WIDTH_LEAST = 240;
const SYNC = 'time';

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** `12.3k`: as long as an axis has room for. */
function short(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e6) return `${rounded(value / 1e6)}M`;
  return size >= 1e3 ? `${rounded(value / 1e3)}k` : rounded(value);
}

function rounded(value: number): string {
  return String(Number(value.toPrecision(3)));
}

/** Microseconds as a reader says them. */
function latency(value: number): string {
  if (value >= 1e6) return `${rounded(value / 1e6)} s`;
  return value >= 1e3 ? `${rounded(value / 1e3)} ms` : `${rounded(value)} us`;
}

export class Plots {
  readonly element: HTMLElement;
  readonly #data: StressPageData;
  #plots: uPlot[] = [];
  #at = -1;

  constructor(data: StressPageData) {
    this.#data = data;
    this.element = h('section', { class: 'plots', 'aria-label': 'Over time' });
    new ResizeObserver(() => this.#resize()).observe(this.element);
    // Colours are the style's: drawn anew when that changes.
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.draw());
  }

  draw(): void {
    for (const plot of this.#plots) plot.destroy();
    this.#plots = [];
    const figures = this.#data.plots.map((plot) => {
      const place = h('div', {});
      return { plot, place, figure: h('figure', {}, h('figcaption', {}, plot.title), place) };
    });
    this.element.replaceChildren(...figures.map(({ figure }) => figure));
    for (const { plot, place } of figures) this.#plots.push(this.#plot(plot, place));
  }

  #width(): number {
    const figure = this.element.querySelector('figure');
    return Math.max(WIDTH_LEAST, (figure ?? this.element).clientWidth);
  }

  #resize(): void {
    const width = this.#width();
    for (const plot of this.#plots) if (plot.width !== width) plot.setSize({ width, height: HEIGHT });
  }

  /** The cursor, from interval to interval. */
  step(by: number): void {
    this.moveTo(Math.max(0, Math.min(this.#data.times.length - 1, this.#at + by)));
  }

  moveTo(at: number): void {
    this.#at = at < 0 ? this.#data.times.length - 1 : at;
    const time = this.#data.times[this.#at];
    if (time === undefined) return;
    for (const plot of this.#plots) plot.setCursor({ left: plot.valToPos(time, 'x'), top: 10 }, false);
    for (const plot of this.#plots) plot.setLegend({ idx: this.#at }, false);
  }

  #plot({ unit, isLogarithmic, lines }: StressPlot, place: HTMLElement): uPlot {
    const tell = (value: number): string => (unit === 'us' ? latency(value) : `${short(value)}${unit}`);
    const axis: uPlot.Axis = {
      stroke: colour('faint'),
      grid: { stroke: colour('line'), width: 1 },
      ticks: { stroke: colour('line'), width: 1 },
      font: '11px system-ui, sans-serif',
    };
    const options: uPlot.Options = {
      width: this.#width(),
      height: HEIGHT,
      cursor: { sync: { key: SYNC }, drag: { x: true, y: false } },
      scales: { x: { time: false }, y: isLogarithmic ? { distr: 3 } : { range: fromZero } },
      axes: [
        { ...axis, values: (_, ticks) => ticks.map((value) => `${rounded(value)} s`) },
        {
          ...axis,
          size: 62,
          values: (_, ticks) => ticks.map((value) => (value === null ? '' : tell(value))),
        },
      ],
      series: [
        { label: 'time', value: (_, value) => (value === null ? '-' : `${rounded(value)} s`) },
        ...lines.map(({ name, colour: number }): uPlot.Series => ({
          label: name,
          stroke: colour(`cpu${number}`),
          width: 1.5,
          points: { show: this.#data.times.length < 60 },
          value: (_, value) => (value === null ? '-' : tell(value)),
        })),
      ],
      hooks: {
        setCursor: [
          (plot) => {
            if (typeof plot.cursor.idx === 'number') this.#at = plot.cursor.idx;
          },
        ],
      },
    };
    const columns: uPlot.AlignedData = [[...this.#data.times], ...lines.map(({ values }) => [...values])];
    return new uPlot(options, columns, place);
  }
}

/** Rates are judged against nothing. */
function fromZero(_plot: uPlot, _least: number, most: number): uPlot.Range.MinMax {
  return [0, most > 0 ? most * 1.08 : 1];
}
