/**
 * npm run soak [-- seconds]: high concurrency with duplicates, failures and takeovers mixed, for ten minutes. Fails unless
 * heap, connections and Redis memory are flat at the end, and every operation ran as often as it should.
 */
import { Redis } from 'ioredis';
import { createIdempotency } from 'twiceshy';
import { RedisStore } from 'twiceshy/redis';
import { startRedis } from '../__tests__/support/redis-server.js';
import { newToken } from '../src/core/token.js';
import { composeNamespace, storeKey } from '../src/keys/index.js';
import { percentile } from './harness.js';

const seconds = Number(process.argv[2] ?? 600);
if (!(seconds >= 20)) throw new Error('give at least 20 seconds');
/** Operations at a time, each with up to three callers. */
const OPERATIONS = 128;
const PROCESSES = 3;
const TTL_MS = 4_000;
const LEASE_MS = 500;
const SAMPLES = 12;
const MB = 1024 * 1024;

const collect = (globalThis as { gc?: () => void }).gc;
if (!collect) throw new Error('run it with --expose-gc: npm run soak');

const server = await startRedis();
const admin = new Redis(server.url);
// Each with connections and a join table of its own, as a process has.
const stores = Array.from({ length: PROCESSES }, () => new RedisStore(server.url));
const engines = stores.map((store) =>
  createIdempotency({
    store,
    name: 'soak',
    logger: {},
    ttl: TTL_MS,
    lease: LEASE_MS,
    waitTimeout: '60s',
    storeTimeout: '20s',
  }),
);
const namespace = composeNamespace({ prefix: 'idempotency', scope: undefined, name: 'soak' });

const counts = { calls: 0, effects: 0, duplicates: 0, failures: 0, takeovers: 0, errors: 0, wrong: 0 };
let latencies: number[] = [];
let serial = 0;
let stopped = false;
const pick = <T>(list: readonly T[]): T => list[Math.floor(Math.random() * list.length)]!;
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** One key, by several callers of several processes; whatever the mix, all get the one answer. */
async function operation(): Promise<void> {
  const key = `order-${++serial}`;
  const kind = Math.random();
  let effects = 0;
  let failures = kind < 0.15 ? 1 : 0;
  if (kind > 0.97) await crash(key);
  const work = async () => {
    if (Math.random() < 0.3) await pause(Math.random() * 20);
    if (failures-- > 0) throw new Error('declined');
    effects++;
    return { order: key, note: 'x'.repeat(kind > 0.9 && kind < 0.92 ? 20_000 : 100) };
  };
  const callers = Array.from({ length: kind < 0.5 ? 1 : 3 }, () => pick(engines));
  const answers = await Promise.all(callers.map((engine) => call(engine, key, work)));
  // Whoever saw the failure comes again, and so does a late duplicate.
  answers.push(await call(pick(engines), key, work), await call(pick(engines), key, work));
  counts.effects += effects;
  if (effects !== 1 || new Set(answers.filter((answer) => answer !== undefined)).size !== 1) counts.wrong++;
}

async function call(engine: (typeof engines)[number], key: string, work: () => Promise<{ order: string }>) {
  const startedMs = performance.now();
  counts.calls++;
  try {
    const { order } = await engine.run(key, work);
    return order;
  } catch (error) {
    if (error instanceof Error && error.message === 'declined') counts.failures++;
    else counts.errors++;
    return undefined;
  } finally {
    latencies.push(performance.now() - startedMs);
  }
}

/** An owner that claims and dies. */
async function crash(key: string): Promise<void> {
  await pick(stores).claim(storeKey(namespace, key), {
    ...{ token: newToken(), replacing: undefined, leaseMs: 100, unsettledRetentionMs: TTL_MS },
    ...{ onAbandoned: 'retry', fingerprint: undefined },
  });
}

const info = async (section: string, field: string): Promise<number> =>
  Number(new RegExp(`${field}:(\\d+)`).exec(await admin.info(section))?.[1]);

async function sample() {
  collect!();
  return {
    heap: process.memoryUsage().heapUsed / MB,
    rss: process.memoryUsage().rss / MB,
    redis: (await info('memory', 'used_memory')) / MB,
    connections: await info('clients', 'connected_clients'),
    records: await admin.dbsize(),
    resources: process.getActiveResourcesInfo().length,
  };
}

type Sample = Awaited<ReturnType<typeof sample>>;
const show = (
  label: string,
  { heap, rss, redis, connections, records, resources }: Sample,
  rate: string,
  slow: string,
) =>
  console.log(
    `| ${[label, rate, slow, heap.toFixed(1), rss.toFixed(0), redis.toFixed(1), records, connections, resources].join(' | ')} |`,
  );

const idle = await (async () => {
  await Promise.all(engines.map((engine, i) => engine.run(`warm-${i}`, () => 'warm')));
  return sample();
})();
console.log(
  '| after | calls/s | p99 ms | heap MB | rss MB | Redis MB | records | connections | handles and timers |',
);
console.log('|---|---|---|---|---|---|---|---|---|');
show('0 s', idle, '', '');

const startedMs = performance.now();
const callers = Array.from({ length: OPERATIONS }, async () => {
  while (!stopped) await operation();
});
const samples: Sample[] = [];
for (let i = 1; i <= SAMPLES; i++) {
  const before = counts.calls;
  const sinceMs = performance.now();
  await pause((seconds * 1_000) / SAMPLES);
  const rate = ((counts.calls - before) / (performance.now() - sinceMs)) * 1_000;
  const slow = percentile(latencies, 0.99).toFixed(0);
  latencies = [];
  samples.push(await sample());
  show(`${Math.round((performance.now() - startedMs) / 1_000)} s`, samples.at(-1)!, rate.toFixed(0), slow);
}
stopped = true;
await Promise.all(callers);
counts.duplicates = engines.reduce((sum, engine) => sum + engine.stats().hits + engine.stats().joins, 0);
counts.takeovers = engines.reduce((sum, engine) => sum + engine.stats().takeovers, 0);
latencies = [];
while ((await admin.dbsize()) > 0) await pause(100);
await pause(1_000);
const end = await sample();
show('all over', end, '', '');
console.log(JSON.stringify(counts));

// The load itself swings: its halves are compared by their lowest samples.
const lowest = (of: readonly Sample[], field: keyof Sample) => Math.min(...of.map((each) => each[field]));
const [early, late] = [samples.slice(SAMPLES / 3, (SAMPLES * 2) / 3), samples.slice((SAMPLES * 2) / 3)];
const faults = [
  counts.wrong > 0 && `${counts.wrong} operations ran more or less than once, or disagreed`,
  counts.errors > 0 && `${counts.errors} calls ended with an error of ours`,
  lowest(late, 'heap') > lowest(early, 'heap') * 1.15 + 5 && 'the heap grew under load',
  end.heap > idle.heap + 8 && 'the heap did not shrink again',
  lowest(late, 'connections') > lowest(early, 'connections') && 'connections grew',
  end.connections > 1 + 2 * PROCESSES && 'connections were left',
  end.redis > idle.redis + 2 && 'Redis memory did not shrink again',
  end.resources > idle.resources + PROCESSES && 'handles or timers were left',
].filter((fault) => fault !== false);
console.log(faults.length === 0 ? 'flat' : faults.join('\n'));

await Promise.all(engines.map((engine) => engine.close()));
await Promise.all(stores.map((store) => store.close()));
admin.disconnect();
await server.stop();
process.exitCode = faults.length === 0 ? 0 : 1;
