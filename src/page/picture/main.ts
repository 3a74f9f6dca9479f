/** The page of `--view html`: puts the parts together. */
import '../theme.css';
import './picture.css';
import { At, type Picture } from '../data.ts';
import { Details } from './details.ts';
import { button, h } from '../dom.ts';
import { DrawingView } from './drawing.ts';
import { Keys } from './keys.ts';
import { Lanes } from './lanes.ts';
import { EventList } from './list.ts';
import { PictureModel } from './model.ts';
import { Store } from './store.ts';
import { Tabs } from './tabs.ts';

/** What is worth a look first: where the failure is decided, or ends; of a trace its beginning. */
function firstSelected({ pairs, events, isBad }: Picture): number {
  const decisive = pairs?.[0];
  if (decisive !== undefined) return decisive.first;
  return isBad ? events.length - 1 : 0;
}

function copyButton(text: string): HTMLElement {
  const copy = button('Copy', 'Copy the command', () => {
    navigator.clipboard.writeText(text).then(
      () => (copy.textContent = 'Copied'),
      () => getSelection()?.selectAllChildren(copy.previousElementSibling ?? copy),
    );
  });
  return copy;
}

function header({ title, kind, isBad, facts, command }: Picture): HTMLElement {
  return h(
    'header',
    { class: 'top' },
    h('div', { class: 'title' }, h('span', { class: isBad ? 'kind bad' : 'kind' }, kind), h('h1', {}, title)),
    h('dl', {}, ...facts.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value)))),
    command === undefined
      ? undefined
      : h('div', { class: 'command' }, h('code', {}, command), copyButton(command)),
  );
}

function start(picture: Picture): void {
  const model = new PictureModel(picture);
  if (model.length === 0) {
    document.body.append(header(picture), h('p', { class: 'nothing' }, 'This trace has no events.'));
    return;
  }
  const store = new Store(model.length, firstSelected(picture));
  const list = new EventList(model, store);
  const drawing = picture.drawings.length === 0 ? undefined : new DrawingView(model, store);
  const lanes = new Lanes(model, store);
  const details = new Details(model, store);
  const tabs = new Tabs([
    ...(drawing === undefined ? [] : [{ name: 'Interleaving', element: drawing.element }]),
    { name: 'All events', element: list.element, shown: () => store.select(store.index) },
    ...(picture.report.length === 0
      ? []
      : [{ name: 'Report', element: h('pre', { class: 'report', tabindex: 0 }, picture.report.join('\n')) }]),
  ]);

  const inList = (by: number): void => {
    if (tabs.selected === 'Interleaving') drawing?.step(by);
    else list.step(by);
  };
  const toSwitch = (by: number): void => {
    const at = model.runAt(store.index);
    const run = model.runs[Math.max(0, Math.min(model.runs.length - 1, at + by))];
    if (run !== undefined) store.select(run.from);
  };
  const toAccess = (by: number): void => {
    const accesses = model.accesses.get(model.event(store.index)[At.VARIABLE]!) ?? [];
    const next = accesses[accesses.indexOf(store.index) + by];
    if (next !== undefined) store.select(next);
  };
  const toDecisive = (): void => {
    const marked = [...model.letters.keys()].toSorted((a, b) => a - b);
    const next = marked.find((index) => index > store.index) ?? marked[0];
    if (next !== undefined) store.select(next);
  };
  const toEnd = (isLast: boolean): void => {
    if (tabs.selected === 'Interleaving') drawing?.toEnd(isLast);
    else store.select(isLast ? model.length - 1 : 0);
  };
  const keys = new Keys([
    { keys: ['j', 'ArrowDown'], help: 'next row of the list', run: () => inList(1) },
    { keys: ['k', 'ArrowUp'], help: 'row before', run: () => inList(-1) },
    { keys: ['l', 'ArrowRight'], help: 'next event of the run', run: () => store.step(1) },
    { keys: ['h', 'ArrowLeft'], help: 'event before', run: () => store.step(-1) },
    { keys: ['Home'], help: 'first', run: () => toEnd(false) },
    { keys: ['End'], help: 'last', run: () => toEnd(true) },
    { keys: [']'], help: 'next switch to another CPU or interrupt', run: () => toSwitch(1) },
    { keys: ['['], help: 'switch before', run: () => toSwitch(-1) },
    { keys: ['n'], help: 'next step that decides', run: toDecisive },
    { keys: ['.'], help: 'next access to the same variable', run: () => toAccess(1) },
    { keys: [','], help: 'access before', run: () => toAccess(-1) },
    { keys: ['+', '=', 'w'], help: 'zoom in', run: () => lanes.zoom(1.6) },
    { keys: ['-', 's'], help: 'zoom out', run: () => lanes.zoom(1 / 1.6) },
    { keys: ['a'], help: 'pan left', run: () => lanes.pan(-0.25) },
    { keys: ['d'], help: 'pan right', run: () => lanes.pan(0.25) },
    { keys: ['0'], help: 'the whole run', run: () => lanes.fit() },
    { keys: ['f'], help: 'what decides', run: () => lanes.showPairs() },
    ...tabs.names.map((name, at) => ({
      keys: [String(at + 1)],
      help: name.toLowerCase(),
      run: () => tabs.select(name),
    })),
    {
      keys: ['/'],
      help: 'filter events',
      run: () => {
        tabs.select('All events');
        document.querySelector<HTMLInputElement>('#search')?.focus();
      },
    },
  ]);
  document.body.append(
    header(picture),
    h(
      'main',
      { class: 'board' },
      tabs.element,
      h('section', { class: 'lanes-panel', 'aria-label': 'Lanes' }, lanes.element),
      details.element,
    ),
    h(
      'footer',
      { class: 'steps' },
      button('⟨', 'Switch before ([)', () => toSwitch(-1)),
      button('←', 'Event before (h)', () => store.step(-1)),
      h('output', { id: 'position' }),
      button('→', 'Next event (l)', () => store.step(1)),
      button('⟩', 'Next switch (])', () => toSwitch(1)),
      button('?', 'Keys (?)', () => keys.toggleHelp()),
    ),
    keys.dialog,
  );
  store.onSelect(({ index }) => {
    document.querySelector('#position')!.textContent = `${index + 1} of ${model.length}`;
  });
  store.select(store.index);
}

start(JSON.parse(document.querySelector('#data')!.textContent) as Picture);
