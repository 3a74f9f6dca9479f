/** What is selected, and who wants to know. */

export interface Selection {
  readonly index: number;
  /** Whether the selection should be brought into view: not where it was just clicked. */
  readonly reveal: boolean;
}

type Listener = (selection: Selection) => void;

export class Store {
  readonly #listeners: Listener[] = [];
  readonly #length: number;
  #index: number;

  constructor(length: number, index: number) {
    this.#length = length;
    this.#index = index;
  }

  get index(): number {
    return this.#index;
  }

  onSelect(listener: Listener): void {
    this.#listeners.push(listener);
  }

  select(index: number, reveal = true): void {
    this.#index = Math.max(0, Math.min(this.#length - 1, index));
    for (const listener of this.#listeners) listener({ index: this.#index, reveal });
  }

  step(by: number): void {
    this.select(this.#index + by);
  }
}
