/** Draws the lanes: what each CPU is, does and is inside of, event by event. Only what is in sight is looked at. */
import type { BandSpan, EventClass, PictureCall } from '../data.ts';
import { AXIS, BAND, CALL, type Lane, MARKS } from './layout.ts';
import { type PictureModel, firstBehind, firstCall } from './model.ts';
import { isLoud, paintMark } from './marks.ts';
import type { Theme } from './theme.ts';
import type { Viewport } from './viewport.ts';

export interface Scene {
  readonly model: PictureModel;
  readonly lanes: readonly Lane[];
  readonly view: Viewport;
  readonly theme: Theme;
  /** Pixels on the left for names. */
  readonly gutter: number;
  readonly width: number;
  readonly height: number;
  readonly scrollTop: number;
  readonly selected: number;
}

const FONT = '11px ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';
const SMALL = '9.5px system-ui, sans-serif';
/** Pixels of the shortest thing, so that it is seen. */
const LEAST = 0.75;
/** Bands that say something where they are on. */
const FLAGS: ReadonlySet<string> = new Set(['irqs off', 'no preempt']);
/** Pixels below which a text is no text. */
const TEXT_MIN = 22;
/** Pixels of an event from which on a mark has a shape. */
const SHAPE_MIN = 5;

export function paintLanes(context: CanvasRenderingContext2D, scene: Scene): void {
  new Painter(context, scene).paint();
}

class Painter {
  readonly #c: CanvasRenderingContext2D;
  readonly #s: Scene;

  constructor(context: CanvasRenderingContext2D, scene: Scene) {
    this.#c = context;
    this.#s = scene;
  }

  paint(): void {
    const { width, height, theme, lanes, scrollTop, gutter } = this.#s;
    const c = this.#c;
    c.clearRect(0, 0, width, height);
    c.textBaseline = 'middle';
    const inSight = lanes.filter(
      (lane) => lane.top + lane.height > scrollTop && lane.top < scrollTop + height - AXIS,
    );
    c.save();
    c.beginPath();
    c.rect(0, AXIS, width, height - AXIS);
    c.clip();
    for (const lane of inSight) this.#lane(lane);
    c.save();
    c.beginPath();
    c.rect(gutter, AXIS, width - gutter, height - AXIS);
    c.clip();
    this.#pairLines();
    this.#arrows();
    this.#cursor();
    c.restore();
    for (const lane of inSight) this.#labels(lane);
    c.restore();
    this.#axis();
    c.fillStyle = theme.line;
    c.fillRect(gutter - 1, 0, 1, height);
  }

  #y(y: number): number {
    return y - this.#s.scrollTop + AXIS;
  }

  #x(index: number): number {
    return this.#s.gutter + this.#s.view.x(index);
  }

  #colour(cpu: number): string {
    return this.#s.theme.cpus[cpu % this.#s.theme.cpus.length]!;
  }

  #lane(lane: Lane): void {
    const { width, gutter, theme } = this.#s;
    const c = this.#c;
    c.save();
    c.beginPath();
    c.rect(gutter, AXIS, width - gutter, this.#s.height);
    c.clip();
    this.#runs(lane);
    this.#bands(lane);
    this.#calls(lane);
    this.#marks(lane);
    c.restore();
    c.fillStyle = theme.line;
    c.fillRect(0, this.#y(lane.top + lane.height) - 1, width, 1);
  }

  /** Where this CPU is the one that goes on. */
  #runs(lane: Lane): void {
    const { model, view, width } = this.#s;
    const c = this.#c;
    c.fillStyle = this.#colour(lane.cpu);
    c.globalAlpha = 0.09;
    const runs = model.runsOf[lane.cpu]!;
    let done = -1;
    for (let at = firstBehind(runs, view.start, ({ to }) => to); at < runs.length; at++) {
      const { from, to } = runs[at]!;
      const x1 = this.#x(from);
      if (x1 > width) break;
      const x2 = Math.max(this.#x(to), x1 + LEAST);
      if (x2 <= done) continue;
      c.fillRect(Math.max(x1, done), this.#y(lane.top), x2 - Math.max(x1, done), lane.height - 1);
      done = x2;
    }
    c.globalAlpha = 1;
  }

  #bands(lane: Lane): void {
    const { model, theme } = this.#s;
    let top = lane.bandsTop;
    for (const band of lane.bands) {
      const isFlag = FLAGS.has(model.picture.bands[band]!.name);
      this.#band(model.spans[band]![lane.cpu]!, top, isFlag ? theme.irq : theme.on, isFlag);
      top += BAND;
    }
    const locks = model.locks[lane.cpu]!;
    let done = -1;
    for (const [, from, to, name] of locks) {
      if (from > this.#s.view.end) break;
      const x2 = this.#x(to);
      if (x2 <= done) continue;
      const room = this.#bar(from, to, top + 1, BAND - 2, theme.lock);
      done = Math.max(done, x2, this.#x(from) + LEAST);
      if (room !== undefined && room[1] - room[0] > 60)
        this.#label(
          model.picture.strings[name]!,
          room[0] + 3,
          room[1] - 2,
          top + BAND / 2,
          theme.back,
          SMALL,
        );
    }
  }

  #band(spans: readonly BandSpan[], top: number, colour: string, isFlag: boolean): void {
    const { view, theme } = this.#s;
    let done = -1;
    for (let at = firstBehind(spans, view.start, ([, , to]) => to); at < spans.length; at++) {
      const [, from, to, on] = spans[at]!;
      if (from > view.end) break;
      // A flag that is off leaves no trace; what is known to be off has a thin line.
      if (on === 0 && isFlag) continue;
      const x2 = Math.max(this.#x(to), this.#x(from) + LEAST);
      if (x2 <= done + 0.5) continue;
      if (on === 1) this.#bar(from, to, top + 2, BAND - 4, colour);
      else this.#bar(from, to, top + BAND / 2 - 0.5, 1, theme.off);
      done = x2;
    }
  }

  /** Answers where it came to be in sight. */
  #bar(from: number, to: number, y: number, height: number, colour: string): [number, number] | undefined {
    const { width, gutter } = this.#s;
    const x1 = Math.max(gutter, this.#x(from));
    const x2 = Math.min(width, this.#x(to));
    if (x2 <= gutter || x1 >= width) return undefined;
    this.#c.fillStyle = colour;
    this.#c.fillRect(x1, this.#y(y), Math.max(LEAST, x2 - x1), height);
    return [x1, x2];
  }

  #label(text: string, x1: number, x2: number, y: number, colour: string, font = FONT): void {
    if (x2 - x1 < TEXT_MIN) return;
    const c = this.#c;
    c.font = font;
    c.fillStyle = colour;
    const each = c.measureText('m').width;
    const fits = Math.floor((x2 - x1) / each);
    if (fits < 2) return;
    c.fillText(text.length <= fits ? text : `${text.slice(0, fits - 1)}…`, x1, this.#y(y));
  }

  #calls(lane: Lane): void {
    const { model, view, width } = this.#s;
    const levels = model.calls[lane.cpu] ?? [];
    for (let level = 0; level < lane.levels; level++) {
      const calls = levels[level]!;
      let done = -1;
      for (let at = firstCall(calls, Math.floor(view.start)); at < calls.length; at++) {
        const call = calls[at]!;
        const x1 = this.#x(call[2]);
        if (x1 > width) break;
        const x2 = Math.max(this.#x(call[3]) - (view.scale > 3 ? 1 : 0), x1 + LEAST);
        // Where many calls share a pixel, one stands for them.
        if (x2 <= done) continue;
        this.#call(call, x1, x2, lane.callsTop + level * CALL, lane.cpu);
        done = x2;
      }
    }
  }

  #call(call: PictureCall, x1: number, x2: number, y: number, cpu: number): void {
    const { theme, model, selected, gutter, width } = this.#s;
    const c = this.#c;
    const isInterrupt = call[5] === 1;
    const isAround = call[2] <= selected && selected < call[3] && model.cpu(selected) === cpu;
    c.fillStyle = isInterrupt ? theme.irq : this.#colour(cpu);
    c.globalAlpha = isAround ? 0.62 : 0.3 + (call[1] % 2) * 0.09;
    c.fillRect(x1, this.#y(y), x2 - x1, CALL - 1);
    c.globalAlpha = 1;
    const left = Math.max(x1, gutter) + 3;
    this.#label(model.picture.strings[call[4]]!, left, Math.min(x2, width) - 2, y + CALL / 2, theme.text);
  }

  /** What the CPU does, one mark for an event. */
  #marks(lane: Lane): void {
    const { model, view } = this.#s;
    const events = model.eventsOf[lane.cpu]!;
    const y = this.#y(lane.marksTop) + MARKS / 2;
    let done = -1;
    for (let at = firstBehind(events, view.start - 1, (index) => index); at < events.length; at++) {
      const index = events[at]!;
      if (index > view.end + 1) break;
      const x = this.#x(index + 0.5);
      if (view.scale < SHAPE_MIN) {
        // Too close for shapes: what is worth a look still stands out.
        const kind = model.class(index);
        if (kind === 'call' || kind === 'return') continue;
        if (x < done + (isLoud(kind) ? 0 : 0.9)) continue;
        this.#tick(kind, x, y, lane.cpu);
        done = isLoud(kind) ? x + 0.6 : x;
      } else this.#shape(index, x, y, lane.cpu);
    }
  }

  #tick(kind: EventClass, x: number, y: number, cpu: number): void {
    const c = this.#c;
    const isTall = isLoud(kind);
    c.fillStyle = isTall ? this.#markColour(kind, cpu) : this.#colour(cpu);
    c.globalAlpha = isTall ? 1 : 0.6;
    c.fillRect(x - 0.5, y - (isTall ? 7 : 4), isTall ? 1.5 : 1, isTall ? 14 : 8);
    c.globalAlpha = 1;
  }

  #markColour(kind: EventClass, cpu: number): string {
    const { theme } = this.#s;
    if (kind === 'finding' || kind === 'never') return theme.accent;
    if (kind === 'ipi' || kind === 'irq' || kind === 'irq-end') return theme.irq;
    if (kind === 'lock' || kind === 'unlock') return theme.lock;
    return kind === 'hotplug' || kind === 'msr' || kind === 'instruction' ? theme.on : this.#colour(cpu);
  }

  #shape(index: number, x: number, y: number, cpu: number): void {
    const { model, view } = this.#s;
    const kind = model.class(index);
    const c = this.#c;
    c.fillStyle = c.strokeStyle = this.#markColour(kind, cpu);
    c.lineWidth = 1.3;
    paintMark(c, kind, x, y, Math.min(4.5, Math.max(2, view.scale * 0.36)));
  }

  #middleOf(index: number): number | undefined {
    const lane = this.#s.lanes.find(({ cpu }) => cpu === this.#s.model.cpu(index));
    return lane === undefined ? undefined : this.#y(lane.marksTop + MARKS / 2);
  }

  /** IPIs, from who sends to who takes. */
  #arrows(): void {
    const { model, view, theme, selected } = this.#s;
    for (const [from, to] of model.picture.arrows) {
      if (to < view.start - 1 || from > view.end + 1) continue;
      const isLit = from === selected || to === selected;
      // From afar they are many: there they only hint.
      this.#arc(from, to, theme.irq, isLit ? 2.2 : 1.1, isLit ? 1 : Math.min(0.75, 0.3 + view.scale / 6));
    }
  }

  #arc(from: number, to: number, colour: string, width: number, alpha: number): void {
    const y1 = this.#middleOf(from);
    const y2 = this.#middleOf(to);
    if (y1 === undefined || y2 === undefined) return;
    const c = this.#c;
    const x1 = this.#x(from + 0.5);
    const x2 = this.#x(to + 0.5);
    const bend = Math.min(70, Math.max(12, (x2 - x1) / 2));
    c.globalAlpha = alpha;
    c.strokeStyle = c.fillStyle = colour;
    c.lineWidth = width;
    c.beginPath();
    c.moveTo(x1, y1);
    if (y1 === y2) c.quadraticCurveTo((x1 + x2) / 2, y1 - bend, x2, y2);
    else c.bezierCurveTo(x1 + bend * 0.4, y1 + (y2 - y1) * 0.2, x2 - bend, y2, x2 - 4, y2);
    c.stroke();
    c.beginPath();
    c.moveTo(x2 - 1, y2);
    c.lineTo(x2 - 7, y2 - 3.5);
    c.lineTo(x2 - 7, y2 + 3.5);
    c.fill();
    c.globalAlpha = 1;
  }

  #pairLines(): void {
    const { model, view, theme, selected } = this.#s;
    for (const { first, second } of model.picture.pairs ?? []) {
      if (second < view.start - 1 || first > view.end + 1) continue;
      const isLit = first === selected || second === selected;
      this.#arc(first, second, theme.accent, isLit ? 2.6 : 1.6, isLit ? 1 : 0.7);
      for (const index of [first, second]) this.#ring(index, isLit);
    }
  }

  #ring(index: number, isLit: boolean): void {
    const y = this.#middleOf(index);
    if (y === undefined) return;
    const c = this.#c;
    c.strokeStyle = this.#s.theme.accent;
    c.lineWidth = isLit ? 2.4 : 1.6;
    c.beginPath();
    c.arc(this.#x(index + 0.5), y, 7, 0, 7);
    c.stroke();
  }

  #cursor(): void {
    const { selected, theme, height, view } = this.#s;
    const c = this.#c;
    const x = this.#x(selected);
    c.fillStyle = theme.text;
    c.globalAlpha = 0.1;
    c.fillRect(x, AXIS, Math.max(1, view.scale), height);
    c.globalAlpha = 0.9;
    c.fillRect(Math.round(x + view.scale / 2), AXIS, 1, height);
    const y = this.#middleOf(selected);
    if (y !== undefined) {
      c.strokeStyle = theme.text;
      c.lineWidth = 1.5;
      c.strokeRect(x + view.scale / 2 - 8, y - 8, 16, 16);
    }
    c.globalAlpha = 1;
  }

  #labels(lane: Lane): void {
    const { model, theme, gutter } = this.#s;
    const c = this.#c;
    c.fillStyle = theme.panel;
    c.fillRect(0, this.#y(lane.top), gutter - 1, lane.height - 1);
    c.font = '600 12px system-ui, sans-serif';
    c.fillStyle = this.#colour(lane.cpu);
    c.fillText(`CPU ${lane.cpu}`, 8, this.#y(lane.marksTop + MARKS / 2));
    c.font = SMALL;
    c.fillStyle = theme.faint;
    const names = [
      ...lane.bands.map((band) => model.picture.bands[band]!.name),
      ...(lane.hasLocks ? ['locks'] : []),
    ];
    for (const [at, name] of names.entries()) c.fillText(name, 8, this.#y(lane.bandsTop + (at + 0.5) * BAND));
    if (lane.levels > 0) c.fillText('calls', 8, this.#y(lane.callsTop + CALL / 2));
  }

  #axis(): void {
    const { view, theme, width, gutter, model } = this.#s;
    const c = this.#c;
    c.fillStyle = theme.panel;
    c.fillRect(0, 0, width, AXIS);
    c.fillStyle = theme.line;
    c.fillRect(0, AXIS - 1, width, 1);
    c.font = SMALL;
    c.fillStyle = theme.faint;
    c.fillText(model.picture.unit === 'step' ? 'steps' : 'events', 8, AXIS / 2);
    const every = niceStep(70 / view.scale);
    for (let at = Math.ceil(view.start / every) * every; at < Math.min(view.end, model.length); at += every) {
      const x = this.#x(at);
      if (x < gutter) continue;
      c.fillStyle = theme.line;
      c.fillRect(x, AXIS - 6, 1, 6);
      c.fillStyle = theme.faint;
      c.fillText(String(model.stepBefore(at)), x + 3, AXIS / 2);
    }
    this.#pairLetters();
  }

  #pairLetters(): void {
    const { model, theme, gutter, width } = this.#s;
    const c = this.#c;
    c.font = '600 10px system-ui, sans-serif';
    c.textAlign = 'center';
    for (const [index, letters] of model.letters) {
      const x = this.#x(index + 0.5);
      if (x < gutter || x > width) continue;
      c.fillStyle = theme.accent;
      c.beginPath();
      c.arc(x, AXIS / 2, 7.5, 0, 7);
      c.fill();
      c.fillStyle = theme.back;
      c.fillText(letters.length > 1 ? '+' : letters, x, AXIS / 2 + 0.5);
    }
    c.textAlign = 'left';
  }
}

/** 1, 2, 5, 10, 20, ... : the least that is not less. */
export function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, least)));
  return [1, 2, 5, 10].map((digit) => digit * power).find((step) => step >= least) ?? power;
}
