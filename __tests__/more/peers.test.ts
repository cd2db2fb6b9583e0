/** Each optional peer, in the oldest and the newest version that package.json states, from the packed tarball. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Workshop, type Project } from '../package/projects.js';
import { startDynamo, type PrivateDynamo } from '../support/dynalite.js';
import { startPostgres, type PrivatePostgres } from '../support/postgres-server.js';
import { describeOnRabbitMq, makeVirtualHost } from '../support/rabbitmq.js';
import { startRedis, type PrivateRedis } from '../support/redis-server.js';
import { describeWith } from './sets.js';

const SLOW_MS = 120_000;
const SETS = ['oldest', 'newest'] as const;

const versionOf = async (file: string) =>
  (JSON.parse(await readFile(file, 'utf8')) as { version: string }).version;
const { peerDependencies } = JSON.parse(await readFile('package.json', 'utf8')) as {
  peerDependencies: Record<string, string>;
};

/** Whether a version is in a range of the only two kinds that we use: `^a.b.c`, several with `||`, and `>=a.b.c`. */
function isWithin(version: string, range: string): boolean {
  const parts = (text: string) => text.split('.').map(Number) as [number, number, number];
  const notLess = (a: number[], b: number[]) => {
    const at = a.findIndex((part, index) => part !== b[index]);
    return at === -1 || a[at]! > b[at]!;
  };
  return range.split(' || ').some((each) => {
    const [least, given] = [parts(each.replace(/^\D+/, '')), parts(version)];
    if (!notLess(given, least)) return false;
    return each.startsWith('>=') || (given[0] === least[0] && (least[0] > 0 || given[1] === least[1]));
  });
}

let workshop: Workshop;
let redis: PrivateRedis;
let postgres: PrivatePostgres;
let dynamo: PrivateDynamo;
beforeAll(async () => {
  workshop = await Workshop.open();
  [redis, postgres, dynamo] = await Promise.all([startRedis(), startPostgres(), startDynamo()]);
}, SLOW_MS);
afterAll(async () => {
  await Promise.all([redis?.stop(), postgres?.stop(), dynamo?.stop(), workshop?.close()]);
});

const answers = [1, 2, 3].map(() => [1, 5, ['a']]);
const order = '{"run":1,"id":"1","key":"k-1"}';
const http = {
  order: [
    [201, null, '/orders/1', order],
    [201, 'true', '/orders/1', order],
  ],
  ...{ other: 422, keyless: 400, busy: 409, slow: [200, null, null, 'slow'] },
  bytes: [
    [200, null, null, '\0\xff'],
    [200, 'true', null, '\0\xff'],
  ],
  throws: [500, null, null, 'handled: declined'],
};
const EXPECTED: [peer: string, file: string, prints: object][] = [
  ['ioredis', 'ioredis.mjs', { byUrl: answers, byClient: answers, isLeftOpen: true }],
  ['pg', 'pg.mjs', { answers, transaction: Array(3).fill('inserted'), rows: [{ id: 'o-1' }] }],
  ['@aws-sdk/lib-dynamodb', 'dynamodb.mjs', { answers }],
  [
    'bullmq',
    'bullmq.mjs',
    { id: 'd-1', once: 'dedup 1', again: 'dedup 1', slow: ['slow 2', 'slow 2'], runs: 2 },
  ],
  ['express', 'express.mjs', http],
  ['fastify', 'fastify.mjs', http],
];

for (const set of SETS) {
  describeWith(set, `the ${set} of each peer`, (modules) => {
    let project: Project;
    beforeAll(async () => {
      project = await workshop.project('smoke', { modules, folder: `smoke-${set}` });
    }, SLOW_MS);

    const run = async (file: string, more: Record<string, string> = {}) => {
      const env = {
        ...{ REDIS: `${redis.url}/${SETS.indexOf(set)}`, POSTGRES: postgres.url, SCHEMA: set, QUEUE: set },
        ...{ DYNAMODB: `http://127.0.0.1:${dynamo.port}`, TABLE: set },
        ...{ AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true', ...more },
      };
      const { code, output } = await project.run(process.execPath, [file], env);
      if (code !== 0) throw new Error(`${file} ended with ${code}:\n${output}`);
      return output;
    };
    /** The last line: a client library may print warnings of its own. */
    const said = (output: string): unknown =>
      JSON.parse(
        output
          .split('\n')
          .filter((line) => line.startsWith('{'))
          .at(-1) ?? output,
      );

    test('what is installed is what package.json states', async () => {
      for (const [name, range] of Object.entries(peerDependencies)) {
        const version = await versionOf(join(modules, name, 'package.json'));
        expect({ name, version, isWithin: isWithin(version, range) }).toMatchObject({ isWithin: true });
        if (set === 'oldest') expect(range).toMatch(new RegExp(`^\\D*${version}\\b`));
      }
    });

    test.each(EXPECTED)(
      '%s',
      async (_, file, prints) => expect(said(await run(file))).toEqual(prints),
      SLOW_MS,
    );

    test('fast-check: the random histories of the contract', async () => {
      expect(await run('fast-check.mjs')).toMatch(/# pass 1\n# fail 0/);
    });
  });
}

await describeOnRabbitMq('amqplib', () => {
  for (const set of SETS) {
    describeWith(set, `the ${set}`, (modules) => {
      test(
        'charges once for a message that comes four times',
        async () => {
          const project = await workshop.project('smoke', { modules, folder: `amqp-${set}` });
          const host = await makeVirtualHost();
          try {
            const { output } = await project.run(process.execPath, ['amqplib.mjs'], { AMQP: host.url });
            expect(output).toBe('{"ran":["charge","fails once","last"],"messageCount":0}\n');
          } finally {
            await host.remove();
          }
        },
        SLOW_MS,
      );
    });
  }
});
