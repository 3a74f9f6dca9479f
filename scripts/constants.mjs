// @ts-check
/**
 * Tells V8 what never changes in a bundle. esbuild writes every module's `const` as a `var`, and V8 looks a `var` up each
 * time: the table of words, the number in it, the class that is made. A `const` it takes for what it is.
 *
 *     var CpuWord = {      ->      const CpuWord={
 *
 * Lines and columns stay what they are, and with them the source map. It works on text, in the form esbuild prints it, and
 * leaves alone whatever might be written again.
 */

/** Behind a name: it is given a value. */
const ASSIGNED = String.raw`\s*(?:(?:[-+*/%&|^]|\*\*|<<|>>>?|&&|\|\||\?\?)?=(?![=>])|\+\+|--)`;
/** Neither a property, nor a name of a block's own. */
const BEFORE_NAME = String.raw`(?<![\w$.#]|(?:const|let) )`;
const NAME = String.raw`[A-Za-z_$][\w$]*`;

/** How often each name is written, its declaration counted in, wherever in the bundle and whatever it means there. */
function writesIn(/** @type {string} */ code) {
  /** @type {Map<string, number>} */
  const writes = new Map();
  const each = (/** @type {string} */ text, /** @type {RegExp} */ pattern) => {
    for (const [, name = ''] of text.matchAll(pattern)) writes.set(name, (writes.get(name) ?? 0) + 1);
  };
  each(code, new RegExp(`${BEFORE_NAME}(${NAME})${ASSIGNED}`, 'g'));
  each(code, new RegExp(String.raw`(?:\+\+|--)(${NAME})`, 'g'));
  each(code, new RegExp(String.raw`for (?:await )?\((${NAME}) (?:of|in) `, 'g'));
  // `[a, b] = ...`, `({ a, b: c } = ...)`; what stands behind a name is an index.
  for (const [, names = ''] of code.matchAll(
    /(?<![\w$\])]|(?:const|let) )[[{]([\w$\s,:.]*)[\]}]\s*=(?![=>])/g,
  ))
    each(names, new RegExp(`(${NAME})`, 'g'));
  return writes;
}

/** @param {string} code a bundle @returns {string} the same, as long, with `const` where it can be */
export function settleConstants(code) {
  const writes = writesIn(code);
  return code.replace(/^var ([A-Za-z_$][\w$]*) = /gm, (found, /** @type {string} */ name) =>
    writes.get(name) === 1 ? `const ${name}=` : found,
  );
}
