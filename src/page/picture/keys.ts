/** The keyboard. One table: what a key does, and what the help says of it. */
import { h } from '../dom.ts';

export interface KeyAction {
  readonly keys: readonly string[];
  readonly help: string;
  readonly run: () => void;
}

const KEY_NAMES: Readonly<Record<string, string>> = {
  ArrowDown: '↓',
  ArrowUp: '↑',
  ArrowLeft: '←',
  ArrowRight: '→',
};

export class Keys {
  readonly dialog: HTMLDialogElement;
  readonly #byKey: ReadonlyMap<string, KeyAction>;

  constructor(actions: readonly KeyAction[]) {
    const help: KeyAction = { keys: ['?'], help: 'this help', run: () => this.toggleHelp() };
    const all = [...actions, help];
    this.#byKey = new Map(all.flatMap((action) => action.keys.map((key) => [key, action] as const)));
    this.dialog = h(
      'dialog',
      { class: 'help', 'aria-label': 'Keys' },
      h('h2', {}, 'Keys'),
      h(
        'dl',
        {},
        ...all.flatMap(({ keys, help: text }) => [
          h('dt', {}, ...keys.map((key) => h('kbd', {}, KEY_NAMES[key] ?? key))),
          h('dd', {}, text),
        ]),
      ),
      h('p', {}, 'In the lanes: drag pans, ctrl and wheel or two fingers zoom, a double click zooms in.'),
      h('form', { method: 'dialog' }, h('button', {}, 'Close')),
    );
    document.addEventListener('keydown', (event) => this.#down(event));
  }

  toggleHelp(): void {
    if (this.dialog.open) this.dialog.close();
    else this.dialog.showModal();
  }

  #down(event: KeyboardEvent): void {
    const { key, ctrlKey, metaKey, altKey, target } = event;
    if (ctrlKey || metaKey || altKey) return;
    if (target instanceof HTMLInputElement) {
      if (key === 'Escape' || key === 'Enter') target.blur();
      return;
    }
    if (this.dialog.open && key !== '?') return;
    const action = this.#byKey.get(key);
    if (action === undefined) return;
    event.preventDefault();
    action.run();
  }
}
