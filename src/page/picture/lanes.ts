/** The lanes: a canvas that is as big as what is in sight, however long the trace. */
import { button, h } from '../dom.ts';
import { AXIS, CALL, type Lane, MAP, laneAt, lanesOf } from './layout.ts';
import { type PictureModel, callAt } from './model.ts';
import { paintLanes } from './paint.ts';
import type { Store } from './store.ts';
import { type Theme, readTheme } from './theme.ts';
import { Viewport } from './viewport.ts';

const GUTTER = 76;
/** Pixels a pointer may move and still have clicked. */
const CLICK_SLOP = 4;
/** Pixels around a mark that count as it. */
const NEAR = 6;

export class Lanes {
  readonly element: HTMLElement;
  readonly #model: PictureModel;
  readonly #store: Store;
  readonly #lanes: readonly Lane[];
  readonly #view: Viewport;
  readonly #scroller: HTMLElement;
  readonly #canvas: HTMLCanvasElement;
  readonly #map: HTMLCanvasElement;
  readonly #tip: HTMLElement;
  readonly #pointers = new Map<number, { x: number; y: number }>();
  #theme: Theme = readTheme();
  #strip: HTMLCanvasElement | undefined;
  /** As last told: asking the browser would have it lay the page out in the middle of a step. */
  #size = { width: 0, height: 0, scrollTop: 0 };
  #moved = 0;
  #isAsked = false;

  constructor(model: PictureModel, store: Store) {
    this.#model = model;
    this.#store = store;
    this.#lanes = lanesOf(model);
    this.#view = new Viewport(model.length);
    this.#canvas = h('canvas', { 'aria-hidden': 'true' });
    this.#map = h('canvas', { class: 'map', 'aria-hidden': 'true' });
    this.#tip = h('div', { class: 'tip', hidden: true });
    const last = this.#lanes.at(-1);
    const space = h('div', { class: 'space' }, this.#canvas);
    space.style.height = `${(last === undefined ? 0 : last.top + last.height) + AXIS}px`;
    this.#scroller = h(
      'div',
      {
        class: 'lanes-scroller',
        tabindex: 0,
        role: 'group',
        'aria-label': `Lanes of ${this.#lanes.length} CPUs over ${model.length} events. Left and right step through them; what is selected is said under Details.`,
      },
      space,
    );
    this.element = h('div', { class: 'lanes' }, this.#bar(), this.#scroller, this.#map, this.#tip);
    this.#listen();
    store.onSelect(({ index, reveal }) => {
      if (reveal) this.#reveal(index);
      this.#ask();
    });
  }

  #bar(): HTMLElement {
    const middle = (): number => this.#view.x(this.#store.index + 0.5);
    const { pairs } = this.#model.picture;
    return h(
      'div',
      { class: 'bar' },
      button('−', 'Zoom out (-)', () => this.zoom(1 / 1.6, middle())),
      button('+', 'Zoom in (+)', () => this.zoom(1.6, middle())),
      button('All', 'The whole run (0)', () => this.fit()),
      pairs === undefined || pairs.length === 0
        ? undefined
        : button('Decisive', 'What decides (f)', () => this.showPairs()),
      h('span', { class: 'key' }, h('i', { class: 'k-load' }), 'load'),
      h('span', { class: 'key' }, h('i', { class: 'k-store' }), 'store'),
      h('span', { class: 'key' }, h('i', { class: 'k-rmw' }), 'atomic, lock'),
      h('span', { class: 'key' }, h('i', { class: 'k-irq' }), 'interrupt, IPI'),
    );
  }

  #listen(): void {
    const canvas = this.#canvas;
    this.#scroller.addEventListener('scroll', () => {
      this.#size = { ...this.#size, scrollTop: this.#scroller.scrollTop };
      this.#ask();
    });
    canvas.addEventListener('pointerdown', (event) => this.#down(event));
    canvas.addEventListener('pointermove', (event) => this.#move(event));
    canvas.addEventListener('pointerup', (event) => this.#up(event));
    canvas.addEventListener('pointercancel', ({ pointerId }) => this.#pointers.delete(pointerId));
    canvas.addEventListener('pointerleave', () => (this.#tip.hidden = true));
    canvas.addEventListener('dblclick', ({ offsetX }) => this.zoom(2.5, offsetX - GUTTER));
    canvas.addEventListener('wheel', (event) => this.#wheel(event), { passive: false });
    for (const type of ['pointerdown', 'pointermove'] as const)
      this.#map.addEventListener(type, (event) => {
        if (event.buttons === 0) return;
        const at = (event.offsetX / this.#map.clientWidth) * this.#model.length;
        this.#view.pan((at - (this.#view.start + this.#view.end) / 2) * this.#view.scale);
        this.#ask();
      });
    new ResizeObserver(() => this.#resize()).observe(this.#scroller);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.#theme = readTheme();
      this.#strip = undefined;
      this.#ask();
    });
  }

  #resize(): void {
    const { clientWidth, clientHeight, scrollTop } = this.#scroller;
    this.#size = { width: clientWidth, height: clientHeight, scrollTop };
    const isFirst = this.#view.width === 1;
    this.#view.resize(clientWidth - GUTTER);
    if (isFirst) this.#begin();
    this.#ask();
  }

  /** First in sight: what decides, with its surroundings; without, the whole, or the beginning of a long trace. */
  #begin(): void {
    this.#view.fit();
    if ((this.#model.picture.pairs?.length ?? 0) > 0) this.showPairs();
  }

  zoom(factor: number, x = this.#view.x(this.#store.index + 0.5)): void {
    this.#view.zoom(factor, Math.max(0, Math.min(this.#view.width, x)));
    this.#ask();
  }

  fit(): void {
    this.#view.fit();
    this.#ask();
  }

  showPairs(): void {
    const ends = (this.#model.picture.pairs ?? []).flatMap(({ first, second }) => [first, second]);
    if (ends.length > 0) this.#view.show(Math.min(...ends), Math.max(...ends) + 1);
    this.#ask();
  }

  pan(parts: number): void {
    this.#view.pan(this.#view.width * parts);
    this.#ask();
  }

  #reveal(index: number): void {
    this.#view.reveal(index);
    const lane = this.#lanes.find(({ cpu }) => cpu === this.#model.cpu(index));
    if (lane === undefined) return;
    const { scrollTop, clientHeight } = this.#scroller;
    const bottom = Math.min(lane.top + lane.height, lane.callsTop + 3 * CALL);
    if (lane.top < scrollTop) this.#scroller.scrollTop = lane.top;
    else if (bottom > scrollTop + clientHeight - AXIS)
      this.#scroller.scrollTop = bottom - clientHeight + AXIS;
  }

  #wheel(event: WheelEvent): void {
    const { deltaX, deltaY, ctrlKey, metaKey, shiftKey, offsetX } = event;
    if (ctrlKey || metaKey) {
      event.preventDefault();
      this.zoom(Math.exp(-deltaY / 240), offsetX - GUTTER);
    } else if (shiftKey || Math.abs(deltaX) > Math.abs(deltaY)) {
      event.preventDefault();
      this.#view.pan(shiftKey ? deltaY + deltaX : deltaX);
      this.#ask();
    }
  }

  #down(event: PointerEvent): void {
    this.#pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    this.#moved = 0;
    this.#canvas.setPointerCapture(event.pointerId);
  }

  #move(event: PointerEvent): void {
    const { pointerId, offsetX: x, offsetY: y } = event;
    const before = this.#pointers.get(pointerId);
    if (before === undefined) {
      this.#hover(x, y);
      return;
    }
    const other = [...this.#pointers].find(([id]) => id !== pointerId)?.[1];
    this.#moved += Math.abs(x - before.x) + Math.abs(y - before.y);
    if (other !== undefined) {
      const spread = Math.abs(x - other.x) / Math.max(10, Math.abs(before.x - other.x));
      this.#view.zoom(spread, (x + other.x) / 2 - GUTTER);
    } else if (this.#moved > CLICK_SLOP) {
      this.#view.pan(before.x - x);
      this.#scroller.scrollTop += before.y - y;
    }
    this.#pointers.set(pointerId, { x, y });
    this.#ask();
  }

  #up({ pointerId, offsetX, offsetY }: PointerEvent): void {
    this.#pointers.delete(pointerId);
    if (this.#moved > CLICK_SLOP) return;
    const hit = this.#hit(offsetX, offsetY);
    if (hit !== undefined) this.#store.select(hit, true);
    this.#scroller.focus({ preventScroll: true });
  }

  /** The event under a point: of a call its beginning, else the nearest of the lane. */
  #hit(x: number, y: number): number | undefined {
    const lane = laneAt(this.#lanes, y - AXIS + this.#scroller.scrollTop);
    const at = Math.floor(this.#view.index(x - GUTTER));
    if (at < 0 || at >= this.#model.length || lane === undefined || y < AXIS) return undefined;
    const call = this.#callUnder(lane, at, y);
    if (call !== undefined) return call;
    const reach = Math.max(1, Math.ceil(NEAR / this.#view.scale));
    for (let off = 0; off <= Math.max(reach, this.#model.length); off++) {
      for (const index of [at - off, at + off])
        if (index >= 0 && index < this.#model.length && this.#model.cpu(index) === lane.cpu) return index;
    }
    return undefined;
  }

  #callUnder(lane: Lane, at: number, y: number): number | undefined {
    const level = Math.floor((y - AXIS + this.#scroller.scrollTop - lane.callsTop) / CALL);
    if (level < 0 || level >= lane.levels) return undefined;
    return callAt(this.#model.calls[lane.cpu]![level]!, at)?.[2];
  }

  #hover(x: number, y: number): void {
    const hit = this.#hit(x, y);
    this.#tip.hidden = hit === undefined;
    if (hit === undefined) return;
    this.#tip.textContent = `CPU ${this.#model.cpu(hit)}, ${this.#model.place(hit)}: ${this.#model.text(hit)}`;
    const { clientWidth } = this.#scroller;
    this.#tip.style.left = `${Math.max(4, Math.min(x + 12, clientWidth - 320))}px`;
    this.#tip.style.top = `${this.#scroller.offsetTop + y + 16}px`;
  }

  /** Drawn once for all that happens before the next frame. */
  #ask(): void {
    if (this.#isAsked) return;
    this.#isAsked = true;
    requestAnimationFrame(() => {
      this.#isAsked = false;
      this.#draw();
    });
  }

  #draw(): void {
    const { width, height, scrollTop } = this.#size;
    const context = sized(this.#canvas, width, height);
    if (context === undefined) return;
    paintLanes(context, {
      model: this.#model,
      lanes: this.#lanes,
      view: this.#view,
      theme: this.#theme,
      gutter: GUTTER,
      width,
      height,
      scrollTop,
      selected: this.#store.index,
    });
    this.#drawMap();
  }

  /** The whole run in a strip, with what is in sight. The run itself is drawn once for each width. */
  #drawMap(): void {
    const { width } = this.#size;
    const c = sized(this.#map, width, MAP);
    if (c === undefined) return;
    if (this.#strip?.width !== this.#map.width) this.#strip = this.#drawStrip(width);
    const theme = this.#theme;
    const x = (index: number): number => (index / this.#model.length) * width;
    c.clearRect(0, 0, width, MAP);
    if (this.#strip !== undefined) c.drawImage(this.#strip, 0, 0, width, MAP);
    c.fillStyle = theme.text;
    c.fillRect(x(this.#store.index), 0, 1.5, MAP);
    c.globalAlpha = 0.55;
    c.fillStyle = theme.back;
    c.fillRect(0, 0, x(this.#view.start), MAP);
    c.fillRect(x(this.#view.end), 0, width, MAP);
    c.globalAlpha = 1;
  }

  #drawStrip(width: number): HTMLCanvasElement | undefined {
    const { runs, length, letters } = this.#model;
    const strip = h('canvas');
    const c = sized(strip, width, MAP);
    if (c === undefined) return undefined;
    const { cpus, accent } = this.#theme;
    const x = (index: number): number => (index / length) * width;
    for (const { cpu, from, to } of runs) {
      c.fillStyle = cpus[cpu % cpus.length]!;
      c.fillRect(x(from), 3, Math.max(0.5, x(to) - x(from)), MAP - 6);
    }
    c.fillStyle = accent;
    for (const index of letters.keys()) c.fillRect(x(index) - 0.5, 0, 2, MAP);
    return strip;
  }
}

/** The canvas at the screen's own resolution. */
function sized(
  canvas: HTMLCanvasElement,
  width: number,
  height: number,
): CanvasRenderingContext2D | undefined {
  const ratio = devicePixelRatio;
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (wide === 0 || high === 0) return undefined;
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext('2d') ?? undefined;
  context?.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}
