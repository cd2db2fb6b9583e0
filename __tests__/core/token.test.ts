import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { buildSync } from 'esbuild';
import { newToken, redrawTokens } from '../../src/core/token.js';

/** A copy of the library of its own, as a bundle or the other module format is one. */
let folder: string;
let copy: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'twiceshy-token-'));
  copy = join(folder, 'token.cjs');
  const entryPoints = [new URL('../../src/core/token.ts', import.meta.url).pathname];
  buildSync({ entryPoints, bundle: true, format: 'cjs', platform: 'node', outfile: copy });
});
afterAll(() => rmSync(folder, { recursive: true }));

const INSTANCE_LENGTH = 8;
const instanceOf = (token: string): string => token.slice(0, INSTANCE_LENGTH);

describe('G2: two attempts never hold the same owner token', () => {
  test('a token is 16 characters of A-Z a-z 0-9 - _, and each is another one', () => {
    const tokens = Array.from({ length: 50_000 }, newToken);
    expect(tokens.every((token) => /^[\w-]{16}$/.test(token))).toBe(true);
    expect(new Set(tokens).size).toBe(tokens.length);
  });

  test('after a redraw, as at a new connection, the random part is another one', () => {
    const before = instanceOf(newToken());
    expect(instanceOf(newToken())).toBe(before);
    redrawTokens();
    expect(instanceOf(newToken())).not.toBe(before);
  });

  test('processes that were started from one V8 snapshot have tokens of their own', () => {
    const blob = join(folder, 'snapshot.blob');
    const entry = join(folder, 'entry.js');
    // A snapshot takes one file, and a token is drawn before it is taken, as by an application that has warmed up.
    const outfile = entry;
    writeFileSync(
      join(folder, 'main.ts'),
      `import { newToken } from './token.cjs';
       const before = newToken();
       require('node:v8').startupSnapshot.setDeserializeMainFunction(() => console.log(before, newToken()));`,
    );
    buildSync({
      entryPoints: [join(folder, 'main.ts')],
      bundle: true,
      format: 'cjs',
      platform: 'node',
      outfile,
    });
    const node = (...args: string[]) =>
      execFileSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
    node('--snapshot-blob', blob, '--build-snapshot', entry);
    const clones = [1, 2, 3].map(() => node('--snapshot-blob', blob).trim().split(' '));
    const [before] = clones[0]!;
    const tokens = clones.map(([, token]) => token!);
    expect(tokens.every((token) => /^[\w-]{16}$/.test(token))).toBe(true);
    expect(new Set([before, ...tokens].map((token) => instanceOf(token!))).size).toBe(4);
  });

  test('worker threads and copies of the library have tokens of their own', async () => {
    const code = `const { parentPort } = require('node:worker_threads');
      parentPort.postMessage(require(${JSON.stringify(copy)}).newToken());`;
    const tokenOfWorker = (): Promise<string> =>
      new Promise((resolve, reject) => {
        const worker = new Worker(code, { eval: true });
        worker.once('message', (token: string) => void worker.terminate().then(() => resolve(token)));
        worker.once('error', reject);
      });
    const tokens = await Promise.all([tokenOfWorker(), tokenOfWorker()]);
    expect(new Set([...tokens, newToken()].map(instanceOf)).size).toBe(3);
  });
});
