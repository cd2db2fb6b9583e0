import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Workshop, type Project } from '../package/projects.js';
import { startPostgres, type PrivatePostgres } from '../support/postgres-server.js';
import { startRedis, type PrivateRedis } from '../support/redis-server.js';
import { describeWith } from './sets.js';

const SLOW_MS = 240_000;

/** Each runtime: its binary in the set's node_modules, and how it runs a test file. */
const RUNTIMES: [name: string, binary: string, args: string[]][] = [
  ['Node 22', 'node22/bin/node', ['--test', '--test-reporter=tap']],
  ['Node 24', 'node24/bin/node', ['--test', '--test-reporter=tap']],
  ['Bun', 'bun/bin/bun.exe', ['test']],
  ['Deno', 'deno/deno', ['test', '--allow-all', '--no-check']],
];

describeWith('runtimes', 'the packed library', (modules) => {
  let workshop: Workshop;
  let project: Project;
  let redis: PrivateRedis;
  let postgres: PrivatePostgres;
  beforeAll(async () => {
    workshop = await Workshop.open();
    project = await workshop.project('contract', { links: ['fast-check', 'ioredis', 'pg'] });
    [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
  }, SLOW_MS);
  afterAll(async () => {
    await Promise.all([redis?.stop(), postgres?.stop(), workshop?.close()]);
  });

  test.each(RUNTIMES)(
    '%s: the contract holds on memory, Redis and Postgres (G1-G5)',
    async (name, binary, args) => {
      const command = join(modules, binary);
      if (!existsSync(command))
        throw new Error(`${name} is not in ${command}: npm may not run install scripts`);
      const env = { REDIS: redis.url, POSTGRES: postgres.url };
      const { code, output } = await project.run(command, [...args, './contract.test.mjs'], env);
      const told = /passed (\{.*\})/.exec(output)?.[1];
      if (code !== 0 || told === undefined)
        throw new Error(`${name} ended with ${code}:\n${failures(output)}`);
      const counts = JSON.parse(told) as Record<string, number>;
      expect(Object.keys(counts)).toEqual(['InMemoryStore', 'RedisStore', 'PostgresStore']);
      // Each test counts itself when it has ended well: a runner that leaves some out fails here.
      for (const count of Object.values(counts)) expect(count).toBeGreaterThan(110);
      expect(new Set(Object.values(counts)).size).toBe(1);
    },
    SLOW_MS,
  );
});

/** The lines of a failure, and what is around them: the rest are hundreds of tests that passed. */
function failures(output: string): string {
  const lines = output.split('\n');
  const found = lines.flatMap((line, at) =>
    /not ok|\(fail\)|FAILED|error:|Error/.test(line) ? lines.slice(Math.max(0, at - 2), at + 12) : [],
  );
  return (found.length > 0 ? found : lines).slice(-120).join('\n');
}
