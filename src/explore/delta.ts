/** Delta debugging: of many things that are enough together, the few that are needed. */

/** Parts that are tried by themselves, and not only left out. */
const ALONE_MAX = 8;

/**
 * Items that are enough, and of which none can be spared (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing
 * input", TSE 2002): parts by themselves, then all but a part, ever smaller parts.
 * @param suffices asked with ever fewer items, in their order; may refuse for lack of budget
 */
export function fewestOf<Item>(
  items: readonly Item[],
  suffices: (items: readonly Item[]) => boolean,
): readonly Item[] {
  let left = items;
  for (let parts = 2; left.length > 1;) {
    const bounds = Array.from({ length: parts + 1 }, (_, part) => Math.floor((part * left.length) / parts));
    const all = [...Array(parts).keys()];
    const inside = (part: number): readonly Item[] => left.slice(bounds[part], bounds[part + 1]);
    const outside = (part: number): readonly Item[] => [
      ...left.slice(0, bounds[part]),
      ...left.slice(bounds[part + 1]),
    ];
    const alone = parts > ALONE_MAX ? undefined : all.find((part) => suffices(inside(part)));
    if (alone !== undefined) {
      [left, parts] = [inside(alone), 2];
      continue;
    }
    const spared = parts === 2 ? undefined : all.find((part) => suffices(outside(part)));
    if (spared !== undefined) [left, parts] = [outside(spared), Math.max(parts - 1, 2)];
    else if (parts < left.length) parts = Math.min(parts * 2, left.length);
    else break;
  }
  return left;
}
