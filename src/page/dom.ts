/** Elements in one expression. */

type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;
type Child = Node | string | undefined;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children) if (child !== undefined) element.append(child);
  return element;
}

/** A button that does one thing. */
export function button(label: string, title: string, action: () => void): HTMLButtonElement {
  const element = h('button', { type: 'button', title, 'aria-label': title }, label);
  element.addEventListener('click', action);
  return element;
}

/** Colours repeat after so many CPUs. */
const CPU_COLOURS = 8;

export function cpuClass(cpu: number): string {
  return `c${cpu % CPU_COLOURS}`;
}

export function cpuChip(cpu: number, text = `CPU ${cpu}`): HTMLElement {
  return h('span', { class: `chip ${cpuClass(cpu)}` }, text);
}

/** A text of long names, which may be broken behind each part of one. */
export function breakable(text: string): Node[] {
  return text
    .split(/(?<=[_(.\]])/)
    .flatMap((part, at) => [...(at === 0 ? [] : [h('wbr')]), document.createTextNode(part)]);
}
