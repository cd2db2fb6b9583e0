import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Workshop, type Project } from '../package/projects.js';
import { describeWith } from './sets.js';

const SLOW_MS = 120_000;

describeWith('workerd', 'Cloudflare Workers (workerd)', (modules) => {
  let workshop: Workshop;
  let project: Project;
  beforeAll(async () => {
    workshop = await Workshop.open();
    project = await workshop.project('worker', { modules, links: ['esbuild'] });
  }, SLOW_MS);
  afterAll(() => workshop?.close());

  test.each([
    ['2023-10-01', 'which has neither Buffer nor process as a global'],
    ['2025-09-01', 'which has both'],
  ])(
    'nodejs_compat as of %s, %s: the handler runs once, and every answer is its own',
    async (date) => {
      const args = ['main.mjs', date, '["nodejs_compat"]'];
      const { code, output } = await project.run(process.execPath, args);
      if (code !== 0) throw new Error(output);
      const told = output.split('\n').find((line) => line.startsWith('{')) ?? output;
      const answer = { status: 201, body: '{"run":1,"body":{"a":1},"bytes":[0,255]}' };
      const bytes = { status: 200, body: [0, 255, 128] };
      expect(JSON.parse(told)).toEqual({
        first: { ...answer, replayed: null },
        again: { ...answer, replayed: 'true' },
        other: 422,
        bytes: { ...bytes, replayed: null },
        bytesAgain: { ...bytes, replayed: 'true' },
        unread: 415,
        runs: 1,
      });
    },
    SLOW_MS,
  );
});
