import { describe, expect, it } from 'vitest';
import { smplab } from './run.ts';

/** Command line, and what its one line has to say. */
const UNUSABLE: readonly (readonly [string, RegExp])[] = [
  ['boot --cpus 0', /--cpus 0: expected a whole number from 1 to 256/],
  ['boot --cpus 257', /--cpus 257: expected a whole number from 1 to 256/],
  ['boot --cpus many', /--cpus many: expected a whole number/],
  ['boot --vendor via', /'via' is invalid.*amd, intel/],
  ['boot --wat', /unknown option '--wat'/],
  ['boot extra', /too many arguments/],
  ['explode', /unknown command explode: there are boot, shell, tour/],
  ['help explode', /unknown command explode/],
  ['boot --trace tree --trace-out /nonexistent/file', /\/nonexistent\/file: cannot be written \(ENOENT\)/],
  ['boot --trace-out /tmp/never', /--trace-out: needs --trace/],
  ['boot --trace tree --trace-below vmx_inti', /no kernel function is called that/],
  ['boot --fault nowhere', /--fault nowhere: expected nth=N, or one of alloc_pages/],
  ['boot --fault nth=0', /expected a whole number from 1/],
  ['boot --fault misc_register=EWHAT', /expected an error such as ENOMEM/],
  ['boot --fault nth=1 --fault nth=2', /can be given once/],
  ['boot --quirk svmdis --vendor intel', /--quirk svmdis: expected one of feature-control-locked/],
  ['boot --quirk svmdis@4', /there is no CPU 4, expected 0 to 3/],
  ['boot --seed 1', /--seed: needs --mode deterministic/],
  ['init', /missing required argument 'what'/],
  ['init race counter', /init race: expected init scenario NAME/],
  ['init scenario ../counter', /expected a name of letters, digits/],
  ['boot --possible 2', /--possible 2: expected at least as many as --cpus 4/],
];

describe('an unusable command line', () => {
  // All at once, in two rows: each is a process, and none of them starts a machine.
  it.concurrent.each(UNUSABLE)(
    'smplab %s: exit 2, one line on stderr, nothing on stdout',
    async (line, says) => {
      const { code, stdout, stderr } = await smplab(line.split(' '));
      expect(stdout).toBe('');
      expect(stderr.trimEnd().split('\n')).toHaveLength(1);
      expect(stderr).toMatch(/^smplab: /);
      expect(stderr).toMatch(says);
      expect(code).toBe(2);
    },
  );
});

/** Ends every thread but the first as soon as it is there. */
const NO_THREADS =
  "data:text/javascript,import{isMainThread}from'node:worker_threads';if(!isMainThread)process.exit(9)";

describe('a host that fails', () => {
  it.each([
    ['boot --cpus 2', /the host failed, nothing is claimed: CPU \d: /],
    ['tour', /the host failed, nothing is claimed: CPU \d: /],
    ['explore examples/counter.ts --executor threads', /the host failed, nothing is claimed: CPU \d: /],
  ])('smplab %s, where no thread starts: exit 3, one line on stderr', async (line, says) => {
    const env = { NODE_OPTIONS: `--import=${NO_THREADS}` };
    const { code, stderr } = await smplab(line.split(' '), { env });
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toMatch(says);
    expect(code).toBe(3);
  });
});

describe('help', () => {
  it.each(['--help', 'boot --help', 'tour --help'])('smplab %s: exit 0, on stdout', async (line) => {
    const { code, stdout, stderr } = await smplab(line.split(' '));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^Usage: smplab/);
  });

  it('smplab --version: the version and nothing else', async () => {
    const { code, stdout } = await smplab(['--version']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});
