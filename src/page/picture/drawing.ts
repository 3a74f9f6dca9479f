/** The interleaving: a column for each CPU, time downwards, and arrows between the steps whose order decides. */
import type { PictureDrawing, PicturePair, PictureRow } from '../data.ts';
import { breakable, button, cpuClass, h } from '../dom.ts';
import type { PictureModel } from './model.ts';
import type { Store } from './store.ts';

const SVG = 'http://www.w3.org/2000/svg';
/** Of the names of the CPUs, which stay on top. */
const HEAD_HEIGHT = 32;

export class DrawingView {
  readonly element: HTMLElement;
  readonly #model: PictureModel;
  readonly #store: Store;
  readonly #grid: HTMLElement;
  readonly #body: HTMLElement;
  readonly #arrows: SVGSVGElement;
  readonly #fold: HTMLElement;
  #number: number;
  #rows: HTMLElement[] = [];
  /** The row that is selected: several may stand for one event. */
  #at = -1;
  #isRevealed = false;

  constructor(model: PictureModel, store: Store) {
    this.#model = model;
    this.#store = store;
    this.#number = model.picture.drawing;
    this.#grid = h('div', {
      class: 'columns',
      role: 'listbox',
      tabindex: 0,
      'aria-label': 'The interleaving',
    });
    this.#arrows = document.createElementNS(SVG, 'svg');
    this.#arrows.setAttribute('class', 'pairs');
    this.#arrows.setAttribute('aria-hidden', 'true');
    this.#body = h('div', { class: 'drawing-body' }, this.#grid, this.#arrows);
    this.#fold = h('output', {});
    this.element = h('div', { class: 'drawing' }, this.#bar(), this.#body, this.#legend());
    this.#grid.addEventListener('click', ({ target }) => {
      const row = (target as Element).closest<HTMLElement>('[data-row]');
      if (row !== null) this.#choose(Number(row.dataset['row']), false);
    });
    store.onSelect(({ index, reveal }) => this.#select(index, reveal));
    new ResizeObserver(() => this.#drawArrows()).observe(this.#body);
    this.#draw();
  }

  #bar(): HTMLElement {
    const { drawings } = this.#model.picture;
    if (drawings.length < 2) return h('div', { class: 'bar' }, this.#fold);
    const turn = (by: number): void => {
      this.#number = Math.max(0, Math.min(drawings.length - 1, this.#number + by));
      this.#draw();
      this.#select(this.#store.index, true);
    };
    return h(
      'div',
      { class: 'bar' },
      button('Less', 'Fold more away', () => turn(1)),
      button('More', 'Show more of the run', () => turn(-1)),
      this.#fold,
    );
  }

  get #drawing(): PictureDrawing {
    return this.#model.drawing(this.#number) ?? { cpus: [], rows: [] };
  }

  #draw(): void {
    const { cpus, rows } = this.#drawing;
    this.#fold.textContent = `${rows.length} rows of ${this.#model.length} events`;
    this.#grid.style.setProperty('--columns', String(cpus.length));
    const heads = cpus.map((cpu, column) => {
      const head = h('div', { class: `head ${cpuClass(cpu)}`, role: 'presentation' }, `CPU ${cpu}`);
      head.style.gridColumn = String(column + 1);
      return head;
    });
    const backs = cpus.map((cpu, column) => {
      const back = h('div', { class: `back ${cpuClass(cpu)}`, role: 'presentation' });
      back.style.gridColumn = String(column + 1);
      back.style.gridRow = `1 / ${rows.length + 3}`;
      return back;
    });
    this.#rows = rows.map((row, at) => this.#row(row, at, cpus));
    this.#grid.replaceChildren(...backs, ...heads, ...this.#rows, ...this.#end(cpus, rows));
    requestAnimationFrame(() => this.#drawArrows());
  }

  #row(row: PictureRow, at: number, cpus: readonly number[]): HTMLElement {
    const before = this.#drawing.rows[at - 1];
    const isSwitch = before !== undefined && before.cpu !== row.cpu;
    const element = h(
      'div',
      {
        class: `step ${cpuClass(row.cpu)} r-${row.kind}${isSwitch ? ' switch' : ''}${row.letters === undefined ? '' : ' decides'}`,
        role: 'option',
        id: `r${at}`,
        'aria-selected': 'false',
        'aria-label': `CPU ${row.cpu}: ${row.text}${row.letters === undefined ? '' : `, decides ${row.letters}`}`,
        'data-row': at,
      },
      h('span', { class: 'text' }, ...breakable(row.text)),
      row.letters === undefined ? undefined : h('b', { class: 'letter' }, row.letters),
    );
    element.style.gridColumn = String(cpus.indexOf(row.cpu) + 1);
    element.style.gridRow = String(at + 2);
    element.style.setProperty('--indent', String(row.indent));
    return element;
  }

  /** What it came to, below it all. */
  #end(cpus: readonly number[], rows: readonly PictureRow[]): HTMLElement[] {
    const { isBad, title } = this.#model.picture;
    if (!isBad) return [];
    const end = h('div', { class: 'end', role: 'presentation' }, title);
    end.style.gridColumn = `1 / ${cpus.length + 1}`;
    end.style.gridRow = String(rows.length + 2);
    return [end];
  }

  #legend(): HTMLElement {
    const { pairs } = this.#model.picture;
    if (pairs === undefined) return h('div', {});
    if (pairs.length === 0)
      return h('p', { class: 'legend' }, 'Whichever one pair of steps is turned round, it still fails.');
    return h(
      'div',
      { class: 'legend' },
      h('p', {}, 'Decides: with one of these pairs turned round, the failure goes.'),
      h('ul', {}, ...pairs.map((pair) => this.#pair(pair))),
    );
  }

  #pair({ letter, first, second, firstText, secondText, outcome }: PicturePair): HTMLElement {
    const go = (event: number, text: string): HTMLElement => {
      const element = h('button', { type: 'button', class: cpuClass(this.#model.cpu(event)) }, text);
      element.addEventListener('click', () => this.#store.select(event));
      return element;
    };
    const how = outcome === 'fails-otherwise' ? '; turned round, it fails in another way' : '';
    return h(
      'li',
      {},
      h('b', { class: 'letter' }, letter),
      ' ',
      go(first, firstText),
      ' before ',
      go(second, secondText),
      how,
    );
  }

  step(by: number): void {
    this.#choose(Math.max(0, Math.min(this.#rows.length - 1, this.#at + by)), true);
  }

  toEnd(isLast: boolean): void {
    this.#choose(isLast ? this.#rows.length - 1 : 0, true);
  }

  #choose(at: number, reveal: boolean): void {
    const row = this.#drawing.rows[at];
    if (row === undefined) return;
    this.#at = at;
    this.#store.select(row.event, reveal);
  }

  /** The row that stands for an event: the chosen one if it does, else the last one that is not later. */
  #select(index: number, reveal: boolean): void {
    const { rows } = this.#drawing;
    if (rows[this.#at]?.event !== index) {
      const same = rows.findLastIndex(({ event }) => event === index);
      this.#at =
        same >= 0
          ? same
          : Math.max(
              0,
              rows.findLastIndex(({ event }) => event <= index),
            );
    }
    for (const [at, row] of this.#rows.entries()) row.setAttribute('aria-selected', String(at === this.#at));
    const row = this.#rows[this.#at];
    row?.classList.toggle('near', rows[this.#at]?.event !== index);
    if (row !== undefined) this.#grid.setAttribute('aria-activedescendant', row.id);
    if (reveal && row !== undefined) this.#reveal(row);
    this.#light();
  }

  /** Within the drawing: the page stays where its reader is. The first time in the middle, with what leads there. */
  #reveal(row: HTMLElement): void {
    const { clientHeight, clientWidth, scrollTop, scrollLeft } = this.#body;
    const { offsetTop: top, offsetHeight: height, offsetLeft: left, offsetWidth: width } = row;
    const isAbove = top - HEAD_HEIGHT < scrollTop;
    const isBelow = top + height > scrollTop + clientHeight;
    if (!this.#isRevealed) this.#body.scrollTop = top - clientHeight / 2;
    else if (isAbove) this.#body.scrollTop = top - HEAD_HEIGHT - height;
    else if (isBelow) this.#body.scrollTop = top + 2 * height - clientHeight;
    if (left < scrollLeft) this.#body.scrollLeft = left;
    else if (left + width > scrollLeft + clientWidth) this.#body.scrollLeft = left + width - clientWidth;
    this.#isRevealed ||= clientHeight > 0;
  }

  /** Arrows of the selected row's pairs stand out. */
  #light(): void {
    const letters = this.#drawing.rows[this.#at]?.letters?.split(',') ?? [];
    for (const arrow of this.#arrows.querySelectorAll('g'))
      arrow.classList.toggle('lit', letters.includes(arrow.dataset['letter'] ?? ''));
  }

  #drawArrows(): void {
    const { width, height, left, top } = this.#grid.getBoundingClientRect();
    if (width === 0) return;
    this.#arrows.setAttribute('width', String(this.#grid.scrollWidth));
    this.#arrows.setAttribute('height', String(height));
    const arrows = (this.#model.picture.pairs ?? []).flatMap(({ letter }, number) => {
      const ends = this.#drawing.rows.flatMap((row, at) =>
        row.letters?.split(',').includes(letter) === true ? [at] : [],
      );
      const [first, second] = [ends[0], ends.at(-1)];
      if (first === undefined || second === undefined || first === second) return [];
      return [this.#arrow(letter, number, this.#rows[first]!, this.#rows[second]!, left, top)];
    });
    this.#arrows.replaceChildren(...arrows);
    this.#light();
  }

  /** From the inner side of one step's text to that of the other. */
  #arrow(
    letter: string,
    number: number,
    from: HTMLElement,
    to: HTMLElement,
    left: number,
    top: number,
  ): SVGGElement {
    const a = from.getBoundingClientRect();
    const b = to.getBoundingClientRect();
    const textOf = (row: HTMLElement): DOMRect =>
      (row.querySelector('.letter') ?? row).getBoundingClientRect();
    const isRight = b.left >= a.left;
    const x1 = (isRight ? textOf(from).right + 2 : a.left + 2) - left;
    const y1 = a.top + a.height / 2 - top;
    const x2 = (isRight && b.left > a.left ? b.left : textOf(to).right + 4) - left;
    const y2 = b.top + b.height / 2 - top;
    const bend = Math.max(24, Math.abs(x2 - x1) / 2) + (number % 4) * 6;
    const isSame = a.left === b.left;
    const c1 = isRight ? x1 + bend : x1 - bend;
    const c2 = isRight && !isSame ? x2 - bend : x2 + bend;
    const group = document.createElementNS(SVG, 'g');
    group.dataset['letter'] = letter;
    const path = document.createElementNS(SVG, 'path');
    path.setAttribute('d', `M${x1},${y1} C${c1},${y1} ${c2},${y2} ${x2},${y2}`);
    const head = document.createElementNS(SVG, 'path');
    const side = isRight && !isSame ? -7 : 7;
    head.setAttribute('class', 'tip');
    head.setAttribute('d', `M${x2},${y2} l${side},-4 l0,8 z`);
    group.append(path, head);
    return group;
  }
}
