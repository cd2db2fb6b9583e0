import { Redis } from 'ioredis';
import { createIdempotency } from 'twiceshy';
import { RedisStore } from 'twiceshy/redis';
import { compare, type System } from './harness.js';

const DAY_MS = 86_400_000;
const LEASE_MS = 20_000;

export interface SpeedRow {
  readonly what: 'first run' | 'duplicate';
  readonly bytes: number;
  readonly inFlight: number;
  readonly ratio: number;
  readonly floorPerSecond: number;
}

/** First runs and duplicates against the commands that a lock and a cached result cost at the least. */
export async function speed(
  url: string,
  { rounds, count }: { rounds: number; count: number },
): Promise<SpeedRow[]> {
  const bare = new Redis(url);
  const store = new RedisStore(url);
  const idempotency = createIdempotency({ store, name: 'bench' });
  const rows: SpeedRow[] = [];
  const flush = async () => void (await bare.flushall());
  for (const bytes of [200, 4_096]) {
    // As text, and as a value whose JSON has that many bytes.
    const value = { id: 'x'.repeat(bytes - 9) };
    const text = JSON.stringify(value);
    for (const inFlight of [1, 64]) {
      const label = `${bytes}:${inFlight}`;
      const first: [System, System] = [
        {
          name: 'SET NX GET PX + SET PX',
          prepare: flush,
          async operation(round, i) {
            const key = `bare:bench:${label}:${round}:${i}`;
            await bare.set(key, 'lock', 'PX', LEASE_MS, 'NX', 'GET');
            await bare.set(key, text, 'PX', DAY_MS);
          },
        },
        {
          name: 'twiceshy',
          prepare: flush,
          operation: (round, i) => idempotency.run(`${label}:${round}:${i}`, async () => value),
        },
      ];
      const duplicate: [System, System] = [
        {
          name: 'GET',
          async prepare(_, n) {
            await bare.flushall();
            for (let i = 0; i < n; i++) void bare.set(`bare:bench:${label}:${i}`, text, 'PX', DAY_MS);
            await bare.ping();
          },
          operation: (_, i) => bare.get(`bare:bench:${label}:${i}`),
        },
        {
          name: 'twiceshy',
          async prepare(_, n) {
            await bare.flushall();
            await Promise.all(
              Array.from({ length: n }, (__, i) => idempotency.run(`dup:${label}:${i}`, () => value)),
            );
          },
          operation: (_, i) =>
            idempotency.run(`dup:${label}:${i}`, () => {
              throw new Error('a duplicate must not run');
            }),
        },
      ];
      for (const [what, [floor, ours]] of [
        ['first run', first],
        ['duplicate', duplicate],
      ] as const) {
        const [floorResult, result] = await compare(floor, [ours], { rounds, count, inFlight });
        rows.push({ what, bytes, inFlight, ratio: result!.ratio, floorPerSecond: floorResult!.perSecond });
      }
    }
  }
  await idempotency.close();
  await store.close();
  bare.disconnect();
  return rows;
}
