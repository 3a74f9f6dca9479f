/** What stands for an event in a lane. A load is hollow, a store is full, what does both is a diamond; a lock closes and opens. */
import type { EventClass } from '../data.ts';

type Shape = (c: CanvasRenderingContext2D, x: number, y: number, r: number) => void;

const FULL_TURN = 2 * Math.PI;

const ring: Shape = (c, x, y, r) => {
  c.arc(x, y, r - 0.4, 0, FULL_TURN);
  c.stroke();
};
const dot: Shape = (c, x, y, r) => {
  c.arc(x, y, r, 0, FULL_TURN);
  c.fill();
};
const rhomb: Shape = (c, x, y, r) => {
  c.moveTo(x, y - r - 1);
  c.lineTo(x + r + 1, y);
  c.lineTo(x, y + r + 1);
  c.lineTo(x - r - 1, y);
  c.closePath();
};
const diamond: Shape = (c, x, y, r) => {
  rhomb(c, x, y, r);
  c.fill();
};
const hollowDiamond: Shape = (c, x, y, r) => {
  rhomb(c, x, y, r);
  c.stroke();
};
const arrow: Shape = (c, x, y, r) => {
  c.moveTo(x - r, y - r);
  c.lineTo(x + r, y);
  c.lineTo(x - r, y + r);
  c.closePath();
  c.fill();
};
const cross: Shape = (c, x, y, r) => {
  c.moveTo(x - r, y - r);
  c.lineTo(x + r, y + r);
  c.moveTo(x + r, y - r);
  c.lineTo(x - r, y + r);
  c.lineWidth = 2;
  c.stroke();
};
const speck: Shape = (c, x, y) => c.fillRect(x - 0.5, y - 2, 1, 4);
const square: Shape = (c, x, y, r) => c.fillRect(x - r + 0.5, y - r + 0.5, 2 * r - 1, 2 * r - 1);

const SHAPES: Readonly<Record<EventClass, Shape>> = {
  call: speck,
  return: speck,
  load: ring,
  store: dot,
  rmw: diamond,
  lock: diamond,
  unlock: hollowDiamond,
  wait: ring,
  fence: square,
  flag: square,
  ipi: arrow,
  irq: arrow,
  'irq-end': square,
  msr: square,
  instruction: square,
  hotplug: square,
  printk: square,
  flow: speck,
  allocation: square,
  finding: cross,
  never: cross,
};

/** With the colours that are set. @param r how big */
export function paintMark(
  context: CanvasRenderingContext2D,
  kind: EventClass,
  x: number,
  y: number,
  r: number,
): void {
  context.beginPath();
  SHAPES[kind](context, x, y, r);
}

const LOUD: ReadonlySet<EventClass> = new Set<EventClass>(['ipi', 'irq', 'finding', 'hotplug', 'never']);

/** What is drawn even where it must stand over something else. */
export function isLoud(kind: EventClass): boolean {
  return LOUD.has(kind);
}
