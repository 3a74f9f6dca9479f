/** All events as rows, of which only those in sight exist: twenty thousand scroll as twenty do. */
import { At } from '../data.ts';
import { cpuClass, h } from '../dom.ts';
import type { PictureModel } from './model.ts';
import type { Store } from './store.ts';

const ROW_HEIGHT = 22;
const MARGIN_ROWS = 8;
/** The tallest an element may be in every browser: beyond, rows are scrolled to in proportion. */
const HEIGHT_MAX = 8_000_000;

export class EventList {
  readonly element: HTMLElement;
  readonly #model: PictureModel;
  readonly #store: Store;
  readonly #scroller: HTMLElement;
  readonly #rows: HTMLElement;
  readonly #count: HTMLElement;
  #shown: readonly number[];

  constructor(model: PictureModel, store: Store) {
    this.#model = model;
    this.#store = store;
    this.#shown = Array.from({ length: model.length }, (_, index) => index);
    this.#rows = h('div', { class: 'rows' });
    this.#scroller = h(
      'div',
      { class: 'scroller', role: 'listbox', tabindex: 0, 'aria-label': 'All events, in order' },
      this.#rows,
    );
    this.#count = h('output', { class: 'count' });
    const search = h('input', {
      type: 'search',
      id: 'search',
      placeholder: 'Filter: a variable, a function, cpu1, class:store',
      'aria-label': 'Filter events',
    });
    search.addEventListener('input', () => this.#filter(search.value));
    this.element = h(
      'div',
      { class: 'events' },
      h('div', { class: 'bar' }, search, this.#count),
      this.#scroller,
    );
    this.#scroller.addEventListener('scroll', () => this.draw());
    this.#rows.addEventListener('click', ({ target }) => {
      const row = (target as Element).closest<HTMLElement>('[data-event]');
      if (row !== null) store.select(Number(row.dataset['event']), true);
    });
    store.onSelect(({ index }) => {
      this.#reveal(index);
      this.draw();
    });
    this.#filter('');
  }

  /** The next event in the list, as filtered. */
  step(by: number): void {
    const at = this.#position(this.#store.index);
    const isHere = this.#shown[at] === this.#store.index;
    const next = this.#shown[Math.max(0, Math.min(this.#shown.length - 1, by > 0 && !isHere ? at : at + by))];
    if (next !== undefined) this.#store.select(next);
  }

  /** Where an event is among those shown, or would be. */
  #position(index: number): number {
    let low = 0;
    let high = this.#shown.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#shown[middle]! < index) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #filter(text: string): void {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    this.#shown = Array.from({ length: this.#model.length }, (_, index) => index).filter((index) =>
      words.every((word) => this.#matches(index, word)),
    );
    this.#count.textContent =
      words.length === 0 ? `${this.#model.length} events` : `${this.#shown.length} of ${this.#model.length}`;
    this.#rows.style.height = `${Math.min(HEIGHT_MAX, this.#shown.length * ROW_HEIGHT)}px`;
    this.#reveal(this.#store.index);
    this.draw();
  }

  #matches(index: number, word: string): boolean {
    const cpu = /^cpu(\d+)$/.exec(word)?.[1];
    if (cpu !== undefined) return this.#model.cpu(index) === Number(cpu);
    if (word.startsWith('class:')) return this.#model.class(index).startsWith(word.slice('class:'.length));
    return (
      this.#model.text(index).toLowerCase().includes(word) ||
      this.#model.word(index, At.VARIABLE).toLowerCase().includes(word)
    );
  }

  #reveal(index: number): void {
    const { scrollTop, clientHeight } = this.#scroller;
    const top = this.#position(index) * ROW_HEIGHT;
    if (top < scrollTop + ROW_HEIGHT) this.#scroller.scrollTop = top - ROW_HEIGHT * 2;
    else if (top > scrollTop + clientHeight - ROW_HEIGHT * 2)
      this.#scroller.scrollTop = top - clientHeight + ROW_HEIGHT * 3;
  }

  draw(): void {
    const { scrollTop, clientHeight } = this.#scroller;
    const first = Math.max(0, Math.floor(scrollTop / ROW_HEIGHT) - MARGIN_ROWS);
    const last = Math.min(
      this.#shown.length,
      Math.ceil((scrollTop + clientHeight) / ROW_HEIGHT) + MARGIN_ROWS,
    );
    const rows: HTMLElement[] = [];
    for (let at = first; at < last; at++) rows.push(this.#row(at));
    this.#rows.replaceChildren(...rows);
    if (this.#shown[this.#position(this.#store.index)] === this.#store.index)
      this.#scroller.setAttribute('aria-activedescendant', `e${this.#store.index}`);
    else this.#scroller.removeAttribute('aria-activedescendant');
  }

  #row(at: number): HTMLElement {
    const model = this.#model;
    const index = this.#shown[at]!;
    const event = model.event(index);
    const isSelected = index === this.#store.index;
    const isFirstOfRun = at > 0 && model.runAt(index) !== model.runAt(this.#shown[at - 1]!);
    const letters = model.letters.get(index);
    const row = h(
      'div',
      {
        class: `row ${cpuClass(event[At.CPU]!)} k-${model.class(index)}${isFirstOfRun ? ' switch' : ''}${letters === undefined ? '' : ' decides'}`,
        id: `e${index}`,
        role: 'option',
        'aria-selected': String(isSelected),
        'aria-setsize': this.#shown.length,
        'aria-posinset': at + 1,
        'data-event': index,
      },
      h('span', { class: 'number' }, event[At.STEP]! < 0 ? '' : String(event[At.STEP])),
      h('span', { class: 'cpu' }, String(event[At.CPU])),
      h('span', { class: 'flags' }, model.flags(index)),
      h('span', { class: 'text' }, '\u00A0'.repeat(Math.min(event[At.LEVEL]!, 24) * 2) + model.text(index)),
      letters === undefined ? undefined : h('b', { class: 'letter' }, letters),
    );
    row.style.top = `${at * ROW_HEIGHT}px`;
    return row;
  }
}
