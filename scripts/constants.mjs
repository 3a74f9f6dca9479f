// @ts-check
/**
 * Tells V8 what never changes in a bundle. esbuild writes every module's `const` as a `var`, and V8 looks a `var` up each
 * time: the table of words, the number in it, the class that is made. A `const` it takes for what it is.
 *
 *     var CpuWord = {      ->      const CpuWord={
 *
 * Code that runs once, as most of starting a CPU thread does, is not helped by that: it makes the table and looks the number up. There
 * the number itself stands (inlineTables).
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

/** What no code is: comments and texts. A template counts as one, with the code in it: it is left alone. */
const NO_CODE = String.raw`\/\*[\s\S]*?\*\/|\/\/.*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|\`(?:[^\`\\]|\\[\s\S])*\``;

/** The numbers of a table by their names; undefined for one that holds anything else. @param {string} body between its brackets */
function numbersOf(body) {
  /** @type {Map<string, string>} */
  const numbers = new Map();
  const entries = body.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '').split(',');
  for (const entry of entries.map((one) => one.trim()).filter((one) => one !== '')) {
    const [, key, value] = new RegExp(`^(${NAME}): (\\d+)$`).exec(entry) ?? [];
    if (key === undefined || value === undefined) return undefined;
    numbers.set(key, value);
  }
  return numbers;
}

/**
 * Puts numbers where code looks them up in a table that is nothing but numbers, and takes the table away where nobody is left who
 * asks it.
 * @param {string} code a bundle that `settleConstants` has been over @returns {string} the same, as long
 */
export function inlineTables(code) {
  let inlined = code;
  for (const [, name = '', body = ''] of code.matchAll(
    new RegExp(`^const (${NAME})=\\{([^{}]*)\\};$`, 'gm'),
  )) {
    const numbers = numbersOf(body);
    if (numbers !== undefined) inlined = inlineTable(inlined, name, numbers);
  }
  return inlined;
}

/** @param {string} code @param {string} name @param {Map<string, string>} numbers */
function inlineTable(code, name, numbers) {
  const escaped = name.replaceAll('$', String.raw`\$`);
  const declaration = new RegExp(String.raw`^const ${escaped}=\{[^{}]*\};$`, 'm');
  const uses = new RegExp(
    String.raw`${NO_CODE}|(?<![\w$.#])${escaped}(?![\w$])(?:\.(${NAME})(?!${ASSIGNED}))?`,
    'g',
  );
  const isUse = (/** @type {string} */ found) => found === name || found.startsWith(`${name}.`);
  let others = 0;
  let inTemplate = false;
  const shorter = code.replace(uses, (found, /** @type {string | undefined} */ key) => {
    if (!isUse(found)) {
      if (found.startsWith('`') && found.includes(`${name}.`)) inTemplate = true;
      return found;
    }
    const number = key === undefined ? undefined : numbers.get(key);
    if (number !== undefined && number.length <= found.length) return number.padEnd(found.length);
    others += 1;
    return found;
  });
  // The declaration is one. Any other may be anything: a name of a block's own, or somebody who wants all of the table.
  const lists =
    code.match(new RegExp(String.raw`\bObject\.(?:keys|values|entries)\(${escaped}\)`, 'g')) ?? [];
  if (others !== 1 + lists.length) return code;
  if (lists.length > 0 || inTemplate) return shorter;
  return shorter.replace(declaration, (table) => table.replaceAll(/[^\n]/g, ' '));
}
