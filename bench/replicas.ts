/** npx tsx bench/replicas.ts: what `waitForReplicas` costs, on a master and a replica of this machine, and one 1 ms away each way. */
import { createIdempotency } from 'twiceshy';
import { RedisStore } from 'twiceshy/redis';
import { startReplicated } from '../__tests__/support/redis-cluster.js';
import { Link } from '../__tests__/support/replication-link.js';
import { median } from './harness.js';

const ROUNDS = 5;
console.log('| first runs a second (claim, work, settle) | 1 in flight | 64 in flight |\n|---|---|---|');
for (const [where, link] of [
  ['replica on this machine', undefined],
  ['replica 1 ms away each way', new Link(1)],
] as const) {
  const group = await startReplicated({ replicas: 1, sentinels: 0, ...(link && { link }) });
  const url = `redis://127.0.0.1:${group.master.port}`;
  for (const waitForReplicas of [undefined, 1]) {
    const store = new RedisStore({ url, ...(waitForReplicas !== undefined && { waitForReplicas }) });
    const idempotency = createIdempotency({ store, name: 'bench', logger: {} });
    const cells: string[] = [];
    for (const inFlight of [1, 64]) {
      const speeds: number[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        const count = inFlight === 1 ? 300 : 3_000;
        let next = 0;
        const startedMs = performance.now();
        const caller = async () => {
          while (next < count)
            await idempotency.run(`${waitForReplicas}-${inFlight}-${round}-${next++}`, () => 'done');
        };
        await Promise.all(Array.from({ length: inFlight }, caller));
        speeds.push((count / (performance.now() - startedMs)) * 1_000);
      }
      cells.push(String(Math.round(median(speeds))));
    }
    console.log(`| ${where}, ${waitForReplicas ? 'waitForReplicas: 1' : 'without'} | ${cells.join(' | ')} |`);
    await idempotency.close();
    await store.close();
  }
  await group.stop();
  await link?.close();
}
