import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { build } from 'esbuild';
import type { Pool } from 'pg';
import { PostgresStore } from '../../src/stores/postgres/store.js';
import { startPostgres, type PrivatePostgres } from '../support/postgres-server.js';

const KILLS = 320;
const AT_ONCE = 4;
/** More than it lives for. */
const KEYS_OF_WORKER = 80;
/** How many keys further the next worker begins: each key is met by several. */
const STRIDE = 4;
/** From its first sign of life on. */
const LONGEST_LIFE_MS = 60;
const TIMEOUT_MS = 300_000;

let server: PrivatePostgres;
let pool: Pool;
let folder: string;
let program: string;
beforeAll(async () => {
  server = await startPostgres();
  pool = server.pool();
  await new PostgresStore(pool).createSchema();
  // Nothing in the table of the user stops a second row.
  await pool.query('CREATE TABLE charges (key text NOT NULL, fence bigint NOT NULL)');
  folder = mkdtempSync(join(tmpdir(), 'twiceshy-kill-'));
  program = join(folder, 'worker.mjs');
  const worker = fileURLToPath(new URL('../stores/postgres-worker.ts', import.meta.url));
  // In one file, since starting it is most of what a worker does in its life.
  const banner =
    "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";
  await build({
    ...{ entryPoints: [worker], outfile: program, bundle: true, format: 'esm', platform: 'node' },
    ...{ target: 'node20', external: ['pg-native'], banner: { js: banner } },
  });
});
afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});

/** Starts a worker, and kills it at a random moment: how many transactions were open then, if it was killed at all. */
async function killOne(first: number): Promise<number | undefined> {
  const child = spawn(process.execPath, [program, String(first), String(KEYS_OF_WORKER)], {
    env: { ...process.env, NODE_OPTIONS: '', DATABASE_URL: server.url },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const gone = once(child, 'close');
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await Promise.race([once(child.stdout, 'data'), gone]);
  await new Promise((resolve) => setTimeout(resolve, Math.random() * LONGEST_LIFE_MS));
  child.kill('SIGKILL');
  await gone;
  const count = (sign: string): number => said.split(sign).length - 1;
  return child.signalCode === 'SIGKILL' ? count('+') - count('-') : undefined;
}

test(
  `a SIGKILL at ${KILLS} random moments leaves exactly one row for each key`,
  async () => {
    const open: number[] = [];
    let started = 0;
    const lane = async (): Promise<void> => {
      while (open.length < KILLS) {
        const found = await killOne(STRIDE * started++);
        if (found !== undefined) open.push(found);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));

    const keyCount = STRIDE * (started - 1) + KEYS_OF_WORKER;
    const keys = Array.from({ length: keyCount }, (_, index) => `order-${index}`);
    const countBefore = await pool.query<{ rows: string; keys: string }>(
      'SELECT count(*) AS rows, count(DISTINCT key) AS keys FROM charges',
    );
    const store = new PostgresStore(pool, { transactions: { name: 'run' } });
    const fences = new Map<string, number | undefined>();
    for (const key of keys) {
      const work = async (tx: {
        fence: number | undefined;
        query: (sql: string, values: unknown[]) => unknown;
      }) => {
        await tx.query('INSERT INTO charges (key, fence) VALUES ($1, $2)', [key, tx.fence]);
        fences.set(key, tx.fence);
        return { charges: 1 };
      };
      expect(await store.transaction(key, work, { name: 'charge' })).toEqual({ charges: 1 });
    }
    await store.close();

    const { rows } = await pool.query<{ key: string; count: string }>(
      'SELECT key, count(*) FROM charges GROUP BY key',
    );
    const perKey = rows.map(({ key, count }) => `${key}: ${count}`).sort();
    expect(perKey).toEqual(keys.map((key) => `${key}: 1`).sort());
    const unlike = await pool.query(
      `SELECT r.key, r.status, r.fence, c.fence FROM idempotency_records r FULL JOIN charges c ON r.key = 'idempotency:charge:' || c.key
       WHERE r.status IS DISTINCT FROM 'COMPLETED' OR r.fence IS DISTINCT FROM c.fence`,
    );
    expect(unlike.rows).toEqual([]);
    const before = countBefore.rows[0];
    const inside = open.filter((transactions) => transactions > 0).length;
    process.stderr.write(
      `kill test: ${open.length} SIGKILLs, ${inside} of them inside of an open transaction; ${keyCount} keys, ` +
        `${before?.keys ?? ''} of them done by then and ${fences.size} left to the end; ${rows.length} rows, exactly one per key\n`,
    );
    // Else the kills would have come too late, or too early, to show anything.
    expect(inside).toBeGreaterThan(KILLS / 4);
    expect(fences.size).toBeGreaterThan(0);
    expect(Number(before?.keys)).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);
