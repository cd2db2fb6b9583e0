import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startDynamo, type PrivateDynamo } from '../support/dynalite.js';
import { startPostgres, type PrivatePostgres } from '../support/postgres-server.js';
import { describeOnRabbitMq, makeVirtualHost, type VirtualHost } from '../support/rabbitmq.js';
import { startRedis, type PrivateRedis } from '../support/redis-server.js';
import {
  fileOf,
  programsInParts,
  ROOT,
  snippets,
  wordsPrintedBy,
  type Snippet,
} from '../support/snippets.js';

const run = promisify(execFile);
const TSX = import.meta.resolve('tsx');
const programs = await snippets('ts');
const inParts = await programsInParts();
const inJest = await snippets('ts jest');
const inVitest = await snippets('ts vitest');
const inMocha = await snippets('ts mocha');
const onRabbitMq = await snippets('ts rabbitmq');

let redis: PrivateRedis;
let dynamo: PrivateDynamo;
let postgres: PrivatePostgres;
let folder: string;
beforeAll(async () => {
  [redis, dynamo, postgres] = await Promise.all([startRedis(), startDynamo(), startPostgres()]);
  await dynamo.createTable('idempotency');
  // Inside the repo, so that `twiceshy` means the sources.
  folder = await mkdtemp(join(ROOT, '__tests__', 'tmp-readme-'));
});
afterAll(async () => {
  await Promise.all([redis.stop(), dynamo.stop(), postgres.stop(), rm(folder, { recursive: true })]);
});

test('README shows the naive code and the right one before all else, and has at most 900 words of prose', async () => {
  const readme = await readFile(join(ROOT, 'README.md'), 'utf8');
  const [naive, right] = await snippets('ts', ['README.md']);
  expect(naive!.code).toContain("'NX'");
  expect(right!.code).toContain("from 'twiceshy'");
  expect(right!.line + right!.code.split('\n').length).toBeLessThanOrEqual(70);
  const prose = readme.replace(/^```[\s\S]*?^```$/gm, '');
  expect(prose.split(/\s+/).filter(Boolean).length).toBeLessThanOrEqual(900);
});

describe('every program in the README and in docs/', () => {
  test.each(programs)('$page at line $line runs, and prints what its comments say', (program) =>
    works(program),
  );
});

test.each(inParts)('the parts of $page are one program that runs', (program) => works(program));

await describeOnRabbitMq('every program in docs/ that needs a RabbitMQ', () => {
  let host: VirtualHost;
  beforeAll(async () => void (host = await makeVirtualHost()), 60_000);
  afterAll(() => host.remove(), 60_000);

  test.each(onRabbitMq)('$page at line $line runs, and prints what its comments say', (snippet) =>
    works(snippet, { AMQP_URL: host.url }),
  );
});

async function works(snippet: Snippet, more: Record<string, string> = {}) {
  const { code } = snippet;
  const file = join(folder, fileOf(snippet));
  await writeFile(file, `${code}\nexport {};\n`);
  const env = {
    ...process.env,
    NODE_OPTIONS: '',
    REDIS_URL: redis.url,
    DATABASE_URL: postgres.url,
    AWS_ENDPOINT_URL_DYNAMODB: `http://127.0.0.1:${dynamo.port}`,
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
    ...more,
  };
  const command = ['--import', TSX, file];
  const { stdout, stderr } = await run(process.execPath, command, { env, cwd: ROOT, timeout: 30_000 });
  expect(stderr).toBe('');
  for (const word of wordsPrintedBy(code)) expect(stdout).toContain(word);
}

describe('every test file in docs/ passes in its runner', () => {
  test.each(inJest)(
    '$page at line $line, in jest',
    async (snippet) => {
      const file = join(folder, fileOf(snippet, '.test.ts'));
      await writeFile(file, snippet.code);
      const flags = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];
      const jest = [join(ROOT, 'node_modules/jest/bin/jest.js'), '-w', '1', '--runTestsByPath', file];
      const { stderr } = await run(process.execPath, [...flags, ...jest], { cwd: ROOT, timeout: 60_000 });
      expect(stderr).toMatch(/Tests: +1 passed, 1 total/);
    },
    60_000,
  );

  // These runners are not installed here: what their files do is run by others, and only how they are named differs.
  test.each(inVitest)('$page at line $line, for vitest, is the one for jest', ({ page, code }) => {
    const ofJest = code.replace("'vitest'", "'@jest/globals'").replace(', test, vi }', ', jest, test }');
    expect(inJest).toContainEqual(expect.objectContaining({ page, code: ofJest.replaceAll('vi.', 'jest.') }));
  });
  test.each(inMocha)('$page at line $line, for mocha, in node:test', (snippet) =>
    works({ ...snippet, code: snippet.code.replace("'mocha'", "'node:test'") }),
  );
});

test('the lines about jest stand in the example that jest runs', async () => {
  const example = await readFile(join(ROOT, 'examples/unit-test-with-mock.test.ts'), 'utf8');
  for (const { code } of await snippets('ts test'))
    for (const line of code.split('\n')) expect(example).toContain(line);
});
