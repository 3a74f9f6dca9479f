// @ts-check
/** Who imports whom, against the table in rooms.mjs. `node scripts/layers.mjs [--root FOLDER]` */
import { cruise } from 'dependency-cruiser';
import configuration from '../.dependency-cruiser.mjs';
import { report, rootArgument } from './sources.mjs';

/** @typedef {import('./sources.mjs').Fault} Fault */

/**
 * @param {string} root
 * @returns {Promise<{ modules: number, faults: Fault[] }>}
 */
export async function checkLayers(root) {
  const { forbidden = [], options = {} } = configuration;
  const { output } = await cruise(['src'], {
    ...options,
    baseDir: root,
    validate: true,
    ruleSet: { forbidden },
  });
  if (typeof output === 'string')
    throw new Error('layers: dependency-cruiser answered text where a result was asked for');
  const modules = output.modules.filter((module) => module.source.startsWith('src/')).length;
  const why = new Map(forbidden.map((rule) => [rule.name, rule.comment]));
  const faults = output.summary.violations.map((violation) => ({
    file: violation.from,
    line: 1,
    rule: violation.rule.name,
    message: `-> ${violation.cycle?.map((step) => step.name).join(' -> ') ?? violation.to}. ${why.get(violation.rule.name) ?? ''}`,
  }));
  // A cruiser that saw nothing has nothing to complain about.
  if (modules === 0)
    faults.push({
      file: 'src',
      line: 1,
      rule: 'saw-nothing',
      message: '0 modules cruised: parser or path is wrong.',
    });
  return { modules, faults };
}

if (process.argv[1] === import.meta.filename) {
  const { modules, faults } = await checkLayers(rootArgument(process.argv.slice(2)));
  process.exitCode = report('layers', faults, `${modules} modules`);
}
