/** What the page of `smplab stress --report html` is given. */

/** A table with a head, whose cells are texts and numbers; a row that is bad stands out. */
export interface StressTable {
  readonly title: string;
  readonly hint: string;
  readonly head: readonly string[];
  readonly rows: readonly {
    readonly cells: readonly (string | number)[];
    readonly mark?: 'bad' | 'known';
  }[];
}

/** One line in a plot: a value for each interval, null where there is none. */
export interface StressLine {
  readonly name: string;
  readonly values: readonly (number | null)[];
  /** Which of the page's colours: 0 to 7. */
  readonly colour: number;
}

export interface StressPlot {
  readonly title: string;
  readonly unit: string;
  readonly isLogarithmic: boolean;
  readonly lines: readonly StressLine[];
}

export interface StressFindingData {
  readonly title: string;
  readonly kind: string;
  readonly isKnown: boolean;
  /** Where and how often, in words. */
  readonly place: string;
  readonly text: string;
}

export interface StressPageData {
  readonly schema: 'smplab.stress-page/1';
  readonly title: string;
  readonly verdict: string;
  readonly isBad: boolean;
  readonly facts: readonly (readonly [name: string, value: string])[];
  /** Seconds from the start, at the end of each interval. */
  readonly times: readonly number[];
  readonly plots: readonly StressPlot[];
  readonly findings: readonly StressFindingData[];
  readonly tables: readonly StressTable[];
}
