/** Which events are in sight, and where. One event is as wide as another: the axis is order, not time. */

const SCALE_MAX = 48;
/** Events around what is shown, so that it is seen among its surroundings. */
const SHOWN_LEAST = 64;

export class Viewport {
  /** First event in sight; may be a fraction. */
  start = 0;
  /** Pixels of an event. */
  scale = 1;
  width = 1;
  readonly #length: number;

  constructor(length: number) {
    this.#length = Math.max(1, length);
  }

  get least(): number {
    return Math.min(SCALE_MAX, this.width / this.#length);
  }

  get end(): number {
    return this.start + this.width / this.scale;
  }

  x(index: number): number {
    return (index - this.start) * this.scale;
  }

  index(x: number): number {
    return this.start + x / this.scale;
  }

  resize(width: number): void {
    const wasWhole = this.scale <= this.least * 1.001;
    this.width = Math.max(1, width);
    if (wasWhole) this.scale = this.least;
    this.#clamp();
  }

  /** @param x stays where it is */
  zoom(factor: number, x: number): void {
    const at = this.index(x);
    this.scale = Math.max(this.least, Math.min(SCALE_MAX, this.scale * factor));
    this.start = at - x / this.scale;
    this.#clamp();
  }

  pan(pixels: number): void {
    this.start += pixels / this.scale;
    this.#clamp();
  }

  fit(): void {
    this.scale = this.least;
    this.start = 0;
  }

  /** The range, with some room on both sides. */
  show(from: number, to: number): void {
    const room = Math.max((SHOWN_LEAST - (to - from)) / 2, (to - from) * 0.1);
    this.scale = Math.max(this.least, Math.min(SCALE_MAX, this.width / (to - from + 2 * room)));
    this.start = (from + to) / 2 - this.width / this.scale / 2;
    this.#clamp();
  }

  /** Moves as little as it takes to have an event in sight. */
  reveal(index: number): void {
    const room = Math.min(40, this.width / 4) / this.scale;
    if (index < this.start + room) this.start = index - room;
    else if (index + 1 > this.end - room) this.start = index + 1 + room - this.width / this.scale;
    this.#clamp();
  }

  #clamp(): void {
    const most = Math.max(0, this.#length - this.width / this.scale);
    this.start = Math.max(0, Math.min(most, this.start));
  }
}
