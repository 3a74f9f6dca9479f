/** Whole numbers as people write them, in tens or as 0x... */

/** @returns undefined for what is none, or not from `least` to `most` */
export function wholeNumberOf(text: string, least: number, most: number): number | undefined {
  const value = /^(?:\d+|0x[0-9a-f]+)$/i.test(text) ? Number(text) : NaN;
  return Number.isInteger(value) && value >= least && value <= most ? value : undefined;
}
