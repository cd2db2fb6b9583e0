/** What the tests stand on: where it is not there they say so in one sentence. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { databaseUrl, whyNoDatabase } from '../../scripts/find-postgres.mjs';
import { startPostgres } from '../support/postgres-server.js';
import { whyNoVirtualHosts } from '../support/rabbitmq.js';
import { freePort } from '../support/redis-server.js';

const run = promisify(execFile);
const REQUIRE = fileURLToPath(new URL('../../scripts/require-redis.mjs', import.meta.url));

describe('DATABASE_URL', () => {
  const sentence = /^DATABASE_URL is no address of a PostgreSQL server: give postgres:/;

  test.each(['yes', 'localhost:5432', 'mysql://secret@localhost/db', 'postgres://', 'postgres:///db'])(
    '%s is no server: it says so, and not what stands there',
    async (given) => {
      expect(() => databaseUrl(given)).toThrow(sentence);
      const said = await whyNoDatabase(given);
      expect(said).toMatch(sentence);
      expect(said).not.toContain('secret');
    },
  );

  test('npm test ends with that sentence, before any test runs', async () => {
    const env = { ...process.env, DATABASE_URL: 'yes' };
    const ended = await run(process.execPath, [REQUIRE], { env }).catch((error: unknown) => error);
    expect(ended).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^twiceshy: DATABASE_URL is no address of .*\n$/),
    });
  });

  test('a server that does not answer is told by its address, without the password', async () => {
    const port = await freePort();
    const said = await whyNoDatabase(`postgres://ann:secret@127.0.0.1:${port}/db`);
    expect(said).toBe(
      `no PostgreSQL answers at DATABASE_URL, 127.0.0.1:${port} (ECONNREFUSED): start it, or unset the variable`,
    );
  });

  test('one that is not set, or answers, is no fault', async () => {
    expect(await whyNoDatabase('')).toBeUndefined();
    const server = await startPostgres();
    expect(await whyNoDatabase(server.url)).toBeUndefined();
    await server.stop();
  });
});

test('a RabbitMQ whose management plugin does not answer is one sentence that names the command', async () => {
  const fault = await whyNoVirtualHosts(new URL('amqp://guest:secret@rabbitmq.invalid:5672'));
  expect(fault?.message).toMatch(
    /RABBITMQ at rabbitmq\.invalid:5672 .* "rabbitmq-plugins enable rabbitmq_management"$/,
  );
  expect(fault?.message).not.toContain('secret');
});
