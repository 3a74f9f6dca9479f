/** One of several panels at a time, as the ARIA practices have it. */
import { h } from '../dom.ts';

export interface Tab {
  readonly name: string;
  readonly element: HTMLElement;
  /** Told when it comes into sight. */
  readonly shown?: () => void;
}

export class Tabs {
  readonly element: HTMLElement;
  readonly #tabs: readonly Tab[];
  readonly #buttons: readonly HTMLButtonElement[];
  readonly #panels: readonly HTMLElement[];
  #selected = 0;

  constructor(tabs: readonly Tab[]) {
    this.#tabs = tabs;
    this.#buttons = tabs.map(({ name }, at) =>
      h('button', { type: 'button', role: 'tab', id: `tab${at}`, 'aria-controls': `panel${at}` }, name),
    );
    this.#panels = tabs.map(({ element }, at) =>
      h(
        'div',
        { class: 'panel', role: 'tabpanel', id: `panel${at}`, 'aria-labelledby': `tab${at}` },
        element,
      ),
    );
    for (const [at, each] of this.#buttons.entries()) each.addEventListener('click', () => this.#show(at));
    const list = h('div', { role: 'tablist', class: 'tabs' }, ...this.#buttons);
    // On the tabs themselves the arrows go from tab to tab, and not through the run.
    list.addEventListener('keydown', (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (by === undefined) return;
      event.stopPropagation();
      this.#show((this.#selected + by + tabs.length) % tabs.length);
      this.#buttons[this.#selected]!.focus();
    });
    this.element = h('section', { class: 'left' }, list, ...this.#panels);
    this.#show(0);
  }

  get selected(): string {
    return this.#tabs[this.#selected]!.name;
  }

  get names(): readonly string[] {
    return this.#tabs.map(({ name }) => name);
  }

  select(name: string): void {
    const at = this.#tabs.findIndex((tab) => tab.name === name);
    if (at >= 0) this.#show(at);
  }

  #show(selected: number): void {
    this.#selected = selected;
    for (const [at, each] of this.#buttons.entries()) {
      each.setAttribute('aria-selected', String(at === selected));
      each.tabIndex = at === selected ? 0 : -1;
      this.#panels[at]!.hidden = at !== selected;
    }
    this.#tabs[selected]!.shown?.();
  }
}
