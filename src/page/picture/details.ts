/** What is selected, in words: the operation, where it is called from, who else used the variable, how each CPU stands. */
import { At } from '../data.ts';
import { cpuChip, h } from '../dom.ts';
import type { PictureModel } from './model.ts';
import type { Store } from './store.ts';

/** Accesses of a variable that are shown around the selected one. */
const HISTORY_SHOWN = 12;

export class Details {
  readonly element: HTMLElement;
  readonly #model: PictureModel;
  readonly #store: Store;

  constructor(model: PictureModel, store: Store) {
    this.#model = model;
    this.#store = store;
    this.element = h('section', { class: 'details', 'aria-label': 'Details', tabindex: -1 });
    store.onSelect(() => this.#draw());
  }

  #draw(): void {
    const index = this.#store.index;
    this.element.replaceChildren(
      this.#head(index),
      ...this.#decides(index),
      h('div', { class: 'facts' }, this.#operation(index), this.#stack(index)),
      ...this.#history(index),
      this.#state(index),
    );
  }

  #head(index: number): HTMLElement {
    const model = this.#model;
    return h(
      'header',
      { 'aria-live': 'polite' },
      cpuChip(model.cpu(index)),
      h('span', { class: 'place' }, model.place(index)),
      h('strong', {}, model.text(index)),
    );
  }

  #decides(index: number): HTMLElement[] {
    const pairs = (this.#model.picture.pairs ?? []).filter(
      ({ first, second }) => first === index || second === index,
    );
    return pairs.map(({ letter, first, second, firstText, secondText, outcome }) => {
      const other = first === index ? second : first;
      const text = first === index ? `comes before ${secondText}` : `comes after ${firstText}`;
      const end =
        outcome === 'passes'
          ? 'the other way round, nothing fails'
          : outcome === 'fails-otherwise'
            ? 'the other way round, something else fails'
            : 'the other way round cannot be had';
      return h(
        'p',
        { class: 'decides' },
        h('b', { class: 'letter' }, letter),
        ` decides: it ${text}; ${end}. `,
        this.#link(other, 'Go there'),
      );
    });
  }

  #link(index: number, text: string): HTMLElement {
    const element = h('button', { type: 'button', class: 'link' }, text);
    element.addEventListener('click', () => this.#store.select(index));
    return element;
  }

  #operation(index: number): HTMLElement {
    const model = this.#model;
    const flow = model.flowName(index);
    const [before, after] = [model.word(index, At.BEFORE), model.word(index, At.AFTER)];
    const rows: [string, string][] = [
      ['Variable', model.word(index, At.VARIABLE)],
      ['Access', model.word(index, At.ACCESS)],
      ['Value', after === '' ? before : `${before === '' ? '?' : before} → ${after}`],
      ['Context', `${model.contextWords(index)}${flow === '' ? '' : ` (${flow})`}`],
      ['Could also have gone', model.word(index, At.OTHERS)],
    ];
    return h(
      'dl',
      {},
      ...rows
        .filter(([, value]) => value !== '')
        .flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]),
    );
  }

  #stack(index: number): HTMLElement {
    const names = this.#model.stack(index);
    return h(
      'div',
      { class: 'stack' },
      h('h3', {}, 'Call trace'),
      names.length === 0
        ? h('p', { class: 'none' }, 'outside all kernel functions')
        : h('ol', {}, ...names.map((name) => h('li', {}, name))),
    );
  }

  /** Everybody who touched the same variable, in order. */
  #history(index: number): HTMLElement[] {
    const model = this.#model;
    const variable = model.event(index)[At.VARIABLE]!;
    const all = variable === 0 ? [] : (model.accesses.get(variable) ?? []);
    if (all.length < 2) return [];
    const here = all.indexOf(index);
    const from = Math.max(0, Math.min(here - HISTORY_SHOWN / 2, all.length - HISTORY_SHOWN));
    const part = all.slice(from, from + HISTORY_SHOWN);
    const more = all.length - part.length;
    const rows = part.map((at) => {
      const row = h(
        'button',
        { type: 'button', class: 'access', 'aria-current': at === index ? 'true' : undefined },
        cpuChip(model.cpu(at), String(model.cpu(at))),
        h('span', { class: 'number' }, model.place(at)),
        h('span', {}, model.text(at)),
      );
      row.addEventListener('click', () => this.#store.select(at));
      return h('li', {}, row);
    });
    const name = model.word(index, At.VARIABLE);
    return [
      h(
        'div',
        { class: 'history' },
        h(
          'h3',
          {},
          `All that touches ${name}${more === 0 ? '' : ` (${more} more: , and . go through them)`}`,
        ),
        h('ol', {}, ...rows),
      ),
    ];
  }

  /** How each CPU stands at this moment. */
  #state(index: number): HTMLElement {
    const model = this.#model;
    const { bands } = model.picture;
    const registers = new Map(model.cpus.map((cpu) => [cpu, model.registersAt(cpu, index)]));
    const names = [...new Set([...registers.values()].flatMap((found) => [...found.keys()]))];
    const head = ['CPU', 'in', ...bands.map(({ name }) => name), ...names, 'locks'];
    const row = (cpu: number): HTMLElement =>
      h(
        'tr',
        { class: cpu === model.cpu(index) ? 'here' : '' },
        h('th', { scope: 'row' }, cpuChip(cpu, String(cpu))),
        h('td', {}, model.functionAt(cpu, index)),
        ...bands.map((_, band) => stateCell(model.bandAt(band, cpu, index))),
        ...names.map((name) => h('td', {}, registers.get(cpu)!.get(name) ?? '')),
        h('td', {}, model.locksAt(cpu, index).join(', ')),
      );
    return h(
      'div',
      { class: 'state' },
      h('h3', {}, 'Every CPU at this moment'),
      h(
        'div',
        { class: 'wide', tabindex: 0, role: 'group', 'aria-label': 'Every CPU at this moment' },
        h(
          'table',
          {},
          h(
            'thead',
            {},
            h(
              'tr',
              {},
              ...head.map((name, at) => h('th', { scope: 'col', title: bands[at - 2]?.hint }, name)),
            ),
          ),
          h('tbody', {}, ...model.cpus.map(row)),
        ),
      ),
    );
  }
}

function stateCell(on: boolean | undefined): HTMLElement {
  if (on === undefined) return h('td', { class: 'unknown', title: 'the trace does not tell' }, '?');
  return h('td', { class: on ? 'yes' : 'no' }, on ? 'yes' : 'no');
}
