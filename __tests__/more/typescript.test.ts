/** An app that uses every subpath, compiled strictly, library files too, from the packed tarball. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Workshop, type Project } from '../package/projects.js';
import { describeWith } from './sets.js';

const SLOW_MS = 120_000;
const NODE10 = ['--module', 'commonjs', '--moduleResolution', 'node10'];
const RESOLUTIONS = {
  node10: NODE10,
  // TypeScript 6 has it for the last time.
  'node10, deprecated': [...NODE10, '--ignoreDeprecations', '6.0'],
  node16: ['--module', 'node16', '--moduleResolution', 'node16'],
  bundler: ['--module', 'es2022', '--moduleResolution', 'bundler'],
};
type Resolution = keyof typeof RESOLUTIONS;

const COMPILERS: [set: 'oldest' | 'newest', name: string, resolutions: Resolution[]][] = [
  ['oldest', 'typescript', ['node10', 'node16', 'bundler']],
  ['newest', 'typescript5', ['node10', 'bundler']],
  ['newest', 'typescript6', ['node10, deprecated']],
  ['newest', 'typescript', ['node16', 'bundler']],
];

let workshop: Workshop;
beforeAll(async () => (workshop = await Workshop.open()), SLOW_MS);
afterAll(() => workshop.close());

for (const [set, name, resolutions] of COMPILERS) {
  describeWith(set, `the ${set} ${name}`, (modules) => {
    let project: Project;
    beforeAll(async () => {
      const folder = `consumer-${set}-${name}`;
      project = await workshop.project('consumer', { modules, folder });
    }, SLOW_MS);

    test.each(resolutions)(
      'compiles it under %s',
      async (resolution) => {
        const tsc = [join(modules, name, 'bin/tsc'), '-p', '.', ...RESOLUTIONS[resolution]];
        expect(await project.run(process.execPath, tsc)).toEqual({ code: 0, output: '' });
      },
      SLOW_MS,
    );
  });
}
