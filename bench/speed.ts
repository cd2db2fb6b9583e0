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
  /** Of the floor's own commands, each in a script that does nothing else: what any lock in Lua stays below. */
  readonly scripted: number;
}

const GET = "return redis.call('GET',KEYS[1])";
const LOCK = "return redis.call('SET',KEYS[1],ARGV[1],'PX',ARGV[2],'NX','GET')";
const KEEP = "return redis.call('SET',KEYS[1],ARGV[1],'PX',ARGV[2])";

/** First runs and duplicates against the commands that a lock and a cached result cost at the least. */
export async function speed(
  url: string,
  { rounds, count }: { rounds: number; count: number },
): Promise<SpeedRow[]> {
  const bare = new Redis(url);
  const store = new RedisStore(url);
  const idempotency = createIdempotency({ store, name: 'bench' });
  const load = async (text: string) => (await bare.script('LOAD', text)) as string;
  const [get, lock, keep] = [await load(GET), await load(LOCK), await load(KEEP)];
  const rows: SpeedRow[] = [];
  const flush = async () => void (await bare.flushall());
  for (const bytes of [200, 4_096]) {
    // As text, and as a value whose JSON has that many bytes.
    const value = { id: 'x'.repeat(bytes - 9) };
    const text = JSON.stringify(value);
    for (const inFlight of [1, 64]) {
      const label = `${bytes}:${inFlight}`;
      const first: [System, System, System] = [
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
          name: 'the same in scripts',
          prepare: flush,
          async operation(round, i) {
            const key = `bare:bench:${label}:${round}:${i}`;
            await bare.evalsha(lock, 1, key, 'lock', LEASE_MS);
            await bare.evalsha(keep, 1, key, text, DAY_MS);
          },
        },
        {
          name: 'twiceshy',
          prepare: flush,
          operation: (round, i) => idempotency.run(`${label}:${round}:${i}`, async () => value),
        },
      ];
      const fill = async (_: number, n: number) => {
        await bare.flushall();
        for (let i = 0; i < n; i++) void bare.set(`bare:bench:${label}:${i}`, text, 'PX', DAY_MS);
        await bare.ping();
      };
      const duplicate: [System, System, System] = [
        { name: 'GET', prepare: fill, operation: (_, i) => bare.get(`bare:bench:${label}:${i}`) },
        {
          name: 'the same in a script',
          prepare: fill,
          operation: (_, i) => bare.evalsha(get, 1, `bare:bench:${label}:${i}`),
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
      for (const [what, [floor, ...others]] of [
        ['first run', first],
        ['duplicate', duplicate],
      ] as const) {
        const [, scripted, ours] = await compare(floor, others, { rounds, count, inFlight });
        rows.push({ what, bytes, inFlight, ratio: ours!.ratio, scripted: scripted!.ratio });
      }
    }
  }
  await idempotency.close();
  await store.close();
  bare.disconnect();
  return rows;
}
