import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { startRedis, type PrivateRedis } from '../support/redis-server.js';
import { send, until } from './contract/harness.js';

const run = promisify(execFile);
const SHOP = fileURLToPath(new URL('../../examples/express-shop/', import.meta.url));
const readme = await readFile(`${SHOP}README.md`, 'utf8');

/** The first fenced block of a kind. */
const block = (kind: string): string =>
  new RegExp(`^\`\`\`${kind}\n([^]*?)^\`\`\``, 'm').exec(readme)?.[1] ?? '';

// The session is what a reader types: it is run as it stands there.
const hasCurl = spawnSync('curl', ['--version']).status === 0;
if (!hasCurl) {
  const sentence = 'NO CURL: run "npm run setup". The session of the example shop IS NOT TESTED';
  process.stderr.write(`\n${sentence}\n\n`);
  (process.env['CI'] ? test : test.skip)('curl is here', () => {
    throw new Error(sentence);
  });
}

let redis: PrivateRedis;
const children: ChildProcess[] = [];
beforeEach(async () => void (redis = await startRedis()));
afterEach(async () => {
  for (const child of children.splice(0)) await kill(child);
  await redis.stop();
});

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

async function startServer(file: string, env: Record<string, string> = {}) {
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), SHOP + file], {
    env: { ...process.env, NODE_OPTIONS: '', PORT: '0', REDIS_URL: redis.url, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const said = await lines.next();
  const port = /listening on (\d+)/.exec(String(said.value))?.[1];
  if (port === undefined) throw new Error(`${file} said ${String(said.value)}`);
  return { child, url: `http://localhost:${port}` };
}

describe.each(['express.ts', 'fastify.ts', 'hono.ts'])(
  'the shop of %s, two processes on one Redis',
  (file) => {
    (hasCurl ? test : test.skip)(
      'the session of its README prints what stands there',
      async () => {
        const [one, other] = await Promise.all([startServer(file), startServer(file)]);
        const env = { ...process.env, SHOP: one.url, OTHER: other.url };
        const { stdout, stderr } = await run('bash', ['-c', block('sh')], { env, timeout: 30_000 });
        expect(stderr).toBe('');
        expect(stdout).toBe(block('text'));
      },
      60_000,
    );

    test('killed between effect and record: the retry, at the other process, charges nothing', async () => {
      const [one, other] = await Promise.all([
        startServer(file, { LEASE: '1s' }),
        startServer(file, { LEASE: '1s' }),
      ]);
      const order = { key: 'k', body: { item: 'slow', amount: 9 }, headers: { 'x-api-key': 'ann' } };
      const first = send(one.url, order).catch((error: unknown) => error);
      const charges = async () => (await send(other.url, { method: 'GET', path: '/charges' })).text;
      await until(async () => (await charges()) !== '[]');
      await kill(one.child);
      expect(String(await first)).toContain('fetch failed');
      // It waits for the end of the lease, and takes over.
      expect(await send(other.url, order)).toMatchObject({ status: 201, isReplay: false });
      expect(await charges()).toBe('["ch_1 over 9"]');
    }, 60_000);

    test('killed after the record: the retry gets the recorded answer', async () => {
      const [one, other] = await Promise.all([startServer(file), startServer(file)]);
      const order = { key: 'k', body: { item: 'tea', amount: 9 }, headers: { 'x-api-key': 'ann' } };
      const { text } = await send(one.url, order);
      await kill(one.child);
      expect(await send(other.url, order)).toMatchObject({ status: 201, text, isReplay: true });
    }, 60_000);
  },
);
