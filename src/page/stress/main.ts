/** The page of `smplab stress --report html`: puts the parts together. */
import '../theme.css';
import 'uplot/dist/uPlot.min.css';
import './stress.css';
import { h } from '../dom.ts';
import type { StressFindingData, StressPageData, StressTable } from '../stress-data.ts';
import { Plots } from './plots.ts';

function header({ title, verdict, isBad, facts }: StressPageData): HTMLElement {
  return h(
    'header',
    { class: 'top' },
    h(
      'div',
      { class: 'title' },
      h('h1', {}, title),
      h('span', { class: isBad ? 'kind bad' : 'kind' }, verdict),
    ),
    h('dl', {}, ...facts.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value)))),
  );
}

function finding({ kind, title, isKnown, place, text }: StressFindingData): HTMLElement {
  return h(
    'li',
    { class: isKnown ? 'known' : 'new' },
    h('strong', {}, title),
    ' ',
    h('span', { class: 'place' }, `${kind}, ${place}`),
    text === ''
      ? undefined
      : h('details', { open: !isKnown }, h('summary', {}, 'Report'), h('pre', { tabindex: 0 }, text)),
  );
}

function table({ title, hint, head, rows }: StressTable): HTMLElement {
  return h(
    'section',
    { class: 'table' },
    h('h2', {}, title),
    h('p', { class: 'hint' }, hint),
    h(
      'div',
      { class: 'wide', tabindex: 0, role: 'group', 'aria-label': title },
      h(
        'table',
        {},
        h('thead', {}, h('tr', {}, ...head.map((name) => h('th', { scope: 'col' }, name)))),
        h(
          'tbody',
          {},
          ...rows.map(({ cells, mark }) =>
            h(
              'tr',
              { class: mark },
              ...cells.map((cell, at) =>
                at === 0 ? h('th', { scope: 'row' }, String(cell)) : h('td', {}, String(cell)),
              ),
            ),
          ),
        ),
      ),
    ),
  );
}

function start(data: StressPageData): void {
  const plots = new Plots(data);
  document.body.append(
    header(data),
    h(
      'main',
      {},
      data.findings.length === 0
        ? undefined
        : h(
            'section',
            { class: 'findings' },
            h('h2', {}, 'Findings'),
            h('ul', {}, ...data.findings.map(finding)),
          ),
      h('h2', {}, 'Over time'),
      h(
        'p',
        { class: 'hint' },
        'Left and right go from interval to interval; drag to zoom in, double click for all.',
      ),
      data.times.length === 0
        ? h('p', { class: 'hint' }, 'The run was shorter than one interval.')
        : plots.element,
      ...data.tables.map(table),
    ),
  );
  if (data.times.length > 0) plots.draw();
  const actions: ReadonlyMap<string, () => void> = new Map([
    ['ArrowRight', () => plots.step(1)],
    ['l', () => plots.step(1)],
    ['ArrowLeft', () => plots.step(-1)],
    ['h', () => plots.step(-1)],
    ['Home', () => plots.moveTo(0)],
    ['End', () => plots.moveTo(-1)],
  ]);
  document.addEventListener('keydown', (event) => {
    const action = actions.get(event.key);
    if (action === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  });
}

start(JSON.parse(document.querySelector('#data')!.textContent) as StressPageData);
