// @ts-check
/** The arrows of the house as rules: one for each row of scripts/rooms.mjs. */
import {
  everyones,
  instead,
  mayImport,
  outsiders,
  packageInstead,
  packageRooms,
  pureRooms,
  threadRooms,
} from './scripts/rooms.mjs';

/** @param {readonly string[]} names */
const either = (names) => `(?:${names.join('|')})`;
const rooms = Object.keys(mayImport);
const severity = /** @type {const} */ ('error');

/**
 * What a room may import without a row. A scenario is a user: it has the public door only, like anybody.
 * @param {string} room
 */
function commonTo(room) {
  if (room === 'base' || outsiders.includes(room)) return [];
  return room === 'trace' ? ['base'] : everyones;
}

/** One rule a room: it may import itself, its row, and what is everyone's. */
const roomRules = Object.entries(mayImport).map(([room, others]) => {
  const common = commonTo(room);
  const allowed = [room, ...common, ...others];
  return {
    name: `room-${room}`,
    severity,
    comment: `${room} may import ${allowed.slice(1).join(', ') || 'nobody'}. Instead: ${instead[/** @type {keyof typeof instead} */ (room)]}`,
    from: { path: `^src/${room}/` },
    to: { path: '^src/', pathNot: `^src/${either(allowed)}/` },
  };
});

/** One rule a package: only these rooms open it. */
const packageRules = Object.entries(packageRooms).map(([name, allowed]) => ({
  name: `package-${name.replace('@', '').replace('/', '-')}`,
  severity,
  comment: `${name} may be imported in ${allowed.join(', ')}. Instead: ${packageInstead[/** @type {keyof typeof packageInstead} */ (name)]}`,
  from: { path: '^src/', pathNot: `^src/${either(allowed)}/` },
  to: { path: `(^|/)node_modules/${name}/` },
}));

/** @type {import('dependency-cruiser').IConfiguration} */
const configuration = {
  forbidden: [
    {
      name: 'no-cycle',
      severity,
      comment:
        'A ring of imports has no first file. Instead: move what both need into a third file below them.',
      from: { path: '^src/' },
      // A type vanishes before anything runs, so a ring closed by `import type` is no ring.
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'resolves',
      severity,
      comment:
        'The import leads nowhere. Instead: check the path; between rooms it is `#room/file`, inside one `./file.ts`.',
      from: { path: '^src/' },
      // The package's own name resolves to dist, which need not be built yet.
      to: { couldNotResolve: true, pathNot: '^smplab$' },
    },
    {
      name: 'known-room',
      severity,
      comment:
        'A folder under src that scripts/rooms.mjs does not list. Instead: add its row, and its arrows, there.',
      from: { path: '^src/[^/]+/', pathNot: `^src/${either(rooms)}/` },
      to: {},
    },
    ...roomRules,
    ...packageRules,
    {
      name: 'known-package',
      severity,
      comment:
        'A package that scripts/rooms.mjs does not list. Instead: add its row and the one room that opens it.',
      from: { path: '^src/' },
      to: {
        dependencyTypes: ['npm', 'npm-dev', 'npm-optional', 'npm-peer', 'npm-no-pkg', 'npm-unknown'],
        pathNot: [`(^|/)node_modules/${either(Object.keys(packageRooms))}/`, '^smplab$', '^dist/'],
      },
    },
    {
      name: 'threads',
      severity,
      comment: `node:worker_threads belongs to ${threadRooms.join(' and ')}. Instead: ask machine for a CPU.`,
      from: { path: '^src/', pathNot: `^src/${either(threadRooms)}/` },
      to: { path: '^(node:)?worker_threads$' },
    },
    {
      name: 'pure-rooms',
      severity,
      comment: 'A pure room touches no host: no node: module. Instead: let the host pass in the value.',
      from: { path: `^src/${either(pureRooms)}/` },
      to: { dependencyTypes: ['core'] },
    },
  ],
  options: {
    // With TypeScript 7 there is no compiler API: without swc the cruiser sees no .ts file and passes.
    parser: 'swc',
    doNotFollow: { path: ['(^|/)node_modules/', '^dist/'] },
    enhancedResolveOptions: {
      conditionNames: ['smplab-source', 'import', 'node', 'default'],
      exportsFields: ['exports'],
      extensions: ['.ts', '.mjs', '.js', '.json'],
    },
    skipAnalysisNotInRules: false,
  },
};

// dependency-cruiser reads its configuration from the default export.
export default configuration;
