/**
 * How often a failover loses what was acknowledged: the master of a replicated pair is killed (SIGKILL) while many calls
 * are acknowledged, its replica is promoted, and every acknowledged record is looked for there.
 */
import { Redis } from 'ioredis';
import { grantedLease } from '../../src/core/record.js';
import type { ClaimRequest } from '../../src/core/store.js';
import { newToken } from '../../src/core/token.js';
import { RedisStore, type RedisStoreOptions } from '../../src/stores/redis/store.js';
import { placeOf } from '../support/instances.js';
import { startReplicated, until } from '../support/redis-cluster.js';
import { Link } from '../support/replication-link.js';

export interface LinkTerms {
  readonly delayMs: number;
  readonly failsFirst: boolean;
}

export interface Loss {
  readonly failovers: number;
  /** Failovers that lost something. */
  readonly lossy: number;
  readonly acknowledged: { readonly claims: number; readonly settles: number };
  readonly lost: { readonly claims: number; readonly settles: number };
}

const TERMS: Omit<ClaimRequest, 'token'> = {
  ...{ replacing: undefined, leaseMs: 60_000, unsettledRetentionMs: 60_000 },
  ...{ onAbandoned: 'retry', fingerprint: undefined },
};
const DONE = {
  status: 'COMPLETED',
  final: true,
  failures: 0,
  payload: '"done"',
  retentionMs: 60_000,
} as const;
const IN_FLIGHT = 16;

/**
 * @param link what lies between master and replica: its delay, and whether it fails a moment before the master dies. What
 * is on its way when the master dies is lost, as with a machine that dies.
 */
export async function measureLoss(
  failovers: number,
  options: Pick<RedisStoreOptions, 'waitForReplicas'>,
  link: LinkTerms,
): Promise<Loss> {
  const total = { claims: 0, settles: 0 };
  const lost = { claims: 0, settles: 0 };
  let lossy = 0;
  for (let round = 0; round < failovers; round++) {
    const gone = await failOver(options, link, total);
    lost.claims += gone.claims;
    lost.settles += gone.settles;
    if (gone.claims + gone.settles > 0) lossy++;
  }
  return { failovers, lossy, acknowledged: total, lost };
}

async function failOver(
  options: Pick<RedisStoreOptions, 'waitForReplicas'>,
  terms: LinkTerms,
  total: { claims: number; settles: number },
): Promise<{ claims: number; settles: number }> {
  const link = new Link(terms.delayMs);
  const group = await startReplicated({ replicas: 1, sentinels: 0, link });
  const store = new RedisStore({
    url: `redis://127.0.0.1:${group.master.port}`,
    timeoutMs: 1_000,
    ...options,
  });
  const claims: { key: string; token: string }[] = [];
  const settles: string[] = [];
  try {
    let stopped = false;
    const callers = Array.from({ length: IN_FLIGHT }, async (_, caller) => {
      for (let i = 0; !stopped; i++) {
        const key = `${caller}-${i}`;
        const request = { ...TERMS, token: newToken() };
        try {
          const answer = await store.claim(placeOf(key), request);
          if (answer.kind !== 'acquired') throw new Error('a key of nobody else was taken');
          claims.push({ key, token: request.token });
          const lease = grantedLease(request, answer.grant);
          if (await store.settle(placeOf(key), lease, DONE)) settles.push(key);
        } catch {
          // Not acknowledged: nobody relies on it.
          if (!stopped) await new Promise((resolve) => setTimeout(resolve, 5));
        }
      }
    });
    await until('there is load', async () => settles.length > 300);
    if (terms.failsFirst) {
      link.fail();
      const before = settles.length;
      // As long as somebody is acknowledged, or long enough to see that nobody is.
      await until('more was acknowledged', async () => settles.length > before + 50, 600).catch(
        () => undefined,
      );
    }
    link.fail();
    await group.master.kill();
    stopped = true;
    await Promise.all(callers);
    return await missing(group.replicas[0]!.port, claims, settles, total);
  } finally {
    await store.close();
    await group.stop();
    await link.close();
  }
}

async function missing(
  port: number,
  claims: readonly { key: string; token: string }[],
  settles: readonly string[],
  total: { claims: number; settles: number },
): Promise<{ claims: number; settles: number }> {
  const admin = new Redis(port, '127.0.0.1');
  await admin.replicaof('NO', 'ONE');
  admin.disconnect();
  const promoted = new RedisStore(`redis://127.0.0.1:${port}`);
  const records = await Promise.all(claims.map(({ key }) => promoted.read(placeOf(key))));
  const done = new Set(settles);
  const found = new Map(claims.map(({ key }, index) => [key, records[index]]));
  await promoted.close();
  total.claims += claims.length;
  total.settles += settles.length;
  return {
    claims: claims.filter(({ key, token }) => found.get(key)?.token !== token).length,
    settles: [...done].filter((key) => found.get(key)?.status !== 'COMPLETED').length,
  };
}
