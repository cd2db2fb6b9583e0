import { Redis } from 'ioredis';
import { createIdempotency } from 'twiceshy';
import { RedisStore } from 'twiceshy/redis';
import { compare, type System } from './harness.js';

const DAY_MS = 86_400_000;
const DAY_SECONDS = 86_400;
const LEASE_MS = 20_000;
const LOCK_SECONDS = 60;

/** Who is measured against the floor, in the order of the table's columns. */
export const MEASURED = ['twiceshy', 'the plain recipe', "the floor's commands in scripts"] as const;

export interface SpeedRow {
  readonly what: 'first run' | 'duplicate';
  readonly floor: string;
  readonly bytes: number;
  readonly inFlight: number;
  /** Of the floor's speed, in the order of {@link MEASURED}. */
  readonly ratios: readonly number[];
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

  /** What many run: a lock beside the record, and no owner. */
  const recipe = async (key: string, work: () => Promise<unknown>): Promise<unknown> => {
    if ((await bare.set(`${key}:lock`, '1', 'EX', LOCK_SECONDS, 'NX')) === null) throw new Error('locked');
    try {
      const cached = await bare.get(key);
      if (cached !== null) return JSON.parse(cached) as unknown;
      const value = await work();
      await bare.setex(key, DAY_SECONDS, JSON.stringify(value));
      return value;
    } finally {
      await bare.del(`${key}:lock`);
    }
  };

  for (const bytes of [200, 4_096]) {
    // As text, and as a value whose JSON has that many bytes.
    const value = { id: 'x'.repeat(bytes - 9) };
    const text = JSON.stringify(value);
    const work = async () => value;
    const never = () => {
      throw new Error('a duplicate must not run');
    };
    for (const inFlight of [1, 64]) {
      const label = `${bytes}:${inFlight}`;
      const bareKey = (round: number, i: number) => `bare:bench:${label}:${round}:${i}`;
      const first = (name: string, operation: System['operation']): System => ({
        name,
        prepare: flush,
        operation,
      });
      const again = (
        name: string,
        fill: (i: number) => Promise<unknown>,
        operation: System['operation'],
      ) => ({
        name,
        operation,
        async prepare(_: number, n: number) {
          await flush();
          await Promise.all(Array.from({ length: n }, (__, i) => fill(i)));
        },
      });
      const fillBare = (i: number) => bare.set(bareKey(0, i), text, 'PX', DAY_MS);
      const suites = {
        'first run': [
          first('`SET NX GET PX` + `SET PX`', async (round, i) => {
            await bare.set(bareKey(round, i), 'lock', 'PX', LEASE_MS, 'NX', 'GET');
            await bare.set(bareKey(round, i), text, 'PX', DAY_MS);
          }),
          first('twiceshy', (round, i) => idempotency.run(`${label}:${round}:${i}`, work)),
          first('recipe', (round, i) => recipe(bareKey(round, i), work)),
          first('scripts', async (round, i) => {
            await bare.evalsha(lock, 1, bareKey(round, i), 'lock', LEASE_MS);
            await bare.evalsha(keep, 1, bareKey(round, i), text, DAY_MS);
          }),
        ],
        duplicate: [
          again('`GET`', fillBare, (_, i) => bare.get(bareKey(0, i))),
          again(
            'twiceshy',
            (i) => idempotency.run(`dup:${label}:${i}`, work),
            (_, i) => idempotency.run(`dup:${label}:${i}`, never),
          ),
          again('recipe', fillBare, (_, i) => recipe(bareKey(0, i), never)),
          again('scripts', fillBare, (_, i) => bare.evalsha(get, 1, bareKey(0, i))),
        ],
      } as const;
      for (const what of ['first run', 'duplicate'] as const) {
        const [floor, ...others] = suites[what];
        const [, ...results] = await compare(floor, others, { rounds, count, inFlight });
        rows.push({ what, floor: floor.name, bytes, inFlight, ratios: results.map(({ ratio }) => ratio) });
      }
    }
  }
  await idempotency.close();
  await store.close();
  bare.disconnect();
  return rows;
}
