// @ts-check
/** One row of a bench, and how it is printed. */

/**
 * @typedef {object} Row
 * @property {string} name what/against-what, or what alone
 * @property {number} value
 * @property {string} unit
 * @property {number | null} baseline the other's value, in the same unit
 * @property {number | null} ratio our time over the other's, median of pairs; below 1 ours is faster
 * @property {string} note
 */

/** @param {number} value */
const short = (value) =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);

/** @param {Row} row */
export function lineOf({ name, value, unit, baseline, ratio, note }) {
  const beside = baseline === null ? '' : `beside ${short(baseline)}`;
  const times = ratio === null ? '' : `${short(ratio)}x its time`;
  const figures = `${short(value).padStart(8)} ${unit.padEnd(16)} ${beside.padEnd(15)} ${times.padEnd(15)}`;
  return `${name.padEnd(28)} ${figures} ${note}`.trimEnd();
}
