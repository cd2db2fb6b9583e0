import { describe, expect, jest, test } from '@jest/globals';
import { createIdempotency } from '../../src/index.js';
import type { Lease } from '../../src/core/record.js';
import { KeyValueStore, type IdempotencyStore } from '../../src/stores/keyvalue/store.js';
import { Bench } from '../../src/testing/bench.js';
import { checkOptions } from '../../src/testing/options.js';
import { BreakingStore, ForgetfulStore } from '../support/simple-stores.js';

const onWarning = (): void => undefined;
const OTHERS = { delete: () => undefined, clear: () => undefined };

function over(object: IdempotencyStore, key?: Bench['key']): Bench {
  return new Bench({ store: new KeyValueStore(object, { onWarning }) }, checkOptions({}), key);
}

describe('a connection that breaks', () => {
  const OPERATIONS: Record<string, (bench: Bench, lease: Lease) => Promise<unknown>> = {
    claim: (bench, lease) => bench.claim({ token: lease.token }),
    takeover: (bench, lease) => bench.claim({ replacing: lease.token, token: 'token-of-takeover' }),
    renew: (bench, lease) => bench.renew(lease),
    step: (bench, lease) => bench.step(lease, 'charge', '"ch_1"'),
    settle: (bench, lease) => bench.settle(lease),
    release: (bench, lease) => bench.release(lease.token),
    read: (bench) => bench.read(),
    forget: (bench) => bench.forget(true),
  };
  const AFTER: Record<string, object | undefined> = {
    claim: { status: 'IN_PROGRESS', attempt: 1 },
    takeover: { status: 'IN_PROGRESS', attempt: 2, token: 'token-of-takeover' },
    renew: { status: 'IN_PROGRESS', attempt: 1 },
    step: { status: 'IN_PROGRESS', attempt: 1 },
    settle: { status: 'COMPLETED', payload: '"done"' },
    release: undefined,
    read: { status: 'IN_PROGRESS', attempt: 1 },
    forget: undefined,
  };
  const cases = Object.keys(OPERATIONS).flatMap((operation) =>
    (operation === 'read' ? [0] : [0, 1]).flatMap((at) =>
      (['before', 'after'] as const).flatMap((when) =>
        (['all', 'some'] as const).map((members) => ({ operation, at, when, members })),
      ),
    ),
  );

  test.each(cases)(
    'G2: $operation, $when call $at, $members members kept: a typed error, a resend ends right',
    async (broken) => {
      const { operation, at, when, members } = broken;
      const object = new BreakingStore(members === 'all' ? new Map() : new ForgetfulStore());
      const bench = over(object);
      const lease = operation === 'takeover' ? await bench.failed() : await bench.claim();
      object.breakAt(at, when);
      const act = OPERATIONS[operation]!;
      await expect(act(bench, lease)).rejects.toMatchObject({
        ...{ code: 'STORE_UNAVAILABLE', transient: true, cause: { code: 'ECONNRESET' } },
        message: expect.stringContaining('safe to repeat the call'),
      });
      await act(bench, lease);
      const found = await bench.read();
      if (AFTER[operation]) expect(found).toMatchObject(AFTER[operation]);
      else expect(found).toBeUndefined();
    },
  );

  test.each([0, 1, 2])('G2: the very first claim of all, after call %d: a resend is granted', async (at) => {
    const object = new BreakingStore(new ForgetfulStore());
    const bench = over(object);
    const request = bench.request();
    object.breakAt(at, 'after');
    await expect(bench.store.claim(bench.key, request)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(await bench.store.claim(bench.key, request)).toMatchObject({ kind: 'acquired' });
  });

  test('a hit that can not be counted harms no replay', async () => {
    const object = new BreakingStore(new Map());
    const bench = over(object);
    await bench.settle(await bench.claim());
    object.breakAt(1, 'before');
    expect(await bench.refused()).toMatchObject({ status: 'COMPLETED', hitCount: 0 });
    expect(await bench.refused()).toMatchObject({ status: 'COMPLETED', hitCount: 1 });
  });

  test('G8: a call that never ends ends for its caller at the deadline', async () => {
    const object = { get: () => new Promise<never>(() => undefined), set: () => undefined, ...OTHERS };
    const store = new KeyValueStore(object, { onWarning });
    const idempotency = createIdempotency({ name: 'run', store, storeTimeout: 30, logger: {} });
    await expect(idempotency.run('hung', () => 'never')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  });
});

describe('a record that is none', () => {
  test.each<[string, unknown, string, string?]>([
    ['a text', 'COMPLETED', 'not a record'],
    ['of another status', { status: 'pending', createdAt: 1, expiresAt: 9e15, hitCount: 0 }, 'not a record'],
    ['without an end', { status: 'COMPLETED', result: 1, createdAt: 1, hitCount: 0 }, 'not a record'],
    [
      'with a lease of something else',
      { status: 'COMPLETED', expiresAt: 9e15, lease: 'mine' },
      'not a record',
    ],
    [
      'with half a lease',
      { status: 'COMPLETED', expiresAt: 9e15, lease: { v: 2, token: 'x' } },
      'not a record',
    ],
    [
      'of a newer version',
      { status: 'COMPLETED', expiresAt: 9e15, lease: { v: 3 } },
      'upgrade',
      'RECORD_TOO_NEW',
    ],
  ])(
    'one %s is refused, and it is left alone until a person forgets it',
    async (_, record, why, code = 'CORRUPT_RECORD') => {
      const object = new Map<string, never>();
      const bench = over(object);
      object.set(bench.key.address, record as never);
      const lease = await bench.elsewhere().claim();
      const refusal = { code, transient: false, message: expect.stringContaining(why) };
      await expect(bench.claim()).rejects.toMatchObject(refusal);
      await expect(bench.read()).rejects.toMatchObject(refusal);
      await expect(bench.settle(lease)).rejects.toMatchObject(refusal);
      expect(object.get(bench.key.address)).toBe(record);
      expect(await bench.forget()).toBe('done');
      await bench.claim();
    },
  );

  test('a get() that can not parse what it finds: CORRUPT_RECORD with its cause', async () => {
    const get = (): never => JSON.parse('{"half') as never;
    const error = over({ get, set: () => undefined, ...OTHERS }).claim();
    await expect(error).rejects.toMatchObject({ code: 'CORRUPT_RECORD', cause: { name: 'SyntaxError' } });
  });

  test('any other error of a method: STORE_UNAVAILABLE with its cause, not transient', async () => {
    const cause = new TypeError('client is undefined');
    const get = (): never => {
      throw cause;
    };
    const error = over({ get, set: () => undefined, ...OTHERS }).claim();
    await expect(error).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', transient: false, cause });
  });

  test('a set() that keeps nothing is found out at the first claim', async () => {
    const bench = over({ get: () => null, set: () => undefined, ...OTHERS });
    await expect(bench.claim()).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringContaining('returned nothing right after set()'),
    });
  });
});

describe('records that are not ours', () => {
  const base = { createdAt: Date.now(), expiresAt: Date.now() + 60_000, hitCount: 3 };

  test('a completed one is replayed, and its hits are counted on', async () => {
    const object = new Map<string, never>();
    const idempotency = createIdempotency({ name: 'run', store: new KeyValueStore(object, { onWarning }) });
    const record = { key: 'k', status: 'COMPLETED', result: { id: 1 }, ...base };
    object.set('idempotency:run:k', record as never);
    expect(await idempotency.run<unknown>('k', () => 'again')).toEqual({ id: 1 });
    expect(object.get('idempotency:run:k')).toEqual({ ...record, hitCount: 4 });
    await idempotency.close();
  });

  test('a failed one is run again, one in progress is held until it expires', async () => {
    const object = new Map<string, never>();
    const bench = over(object);
    object.set(bench.key.address, { status: 'IN_PROGRESS', ...base } as never);
    const running = await bench.refused();
    expect(running.leaseRemainingMs).toBeGreaterThan(0);
    expect((await bench.refused({ replacing: running.token })).token).toBe(running.token);
    object.set(bench.key.address, { status: 'FAILED', error: 'why', ...base } as never);
    const failed = await bench.refused();
    expect(failed).toMatchObject({ status: 'FAILED', final: false, payload: '"why"' });
    expect(await bench.claim({ replacing: failed.token })).toMatchObject({ attempt: 2 });
  });
});

describe('a class that keeps only the members it knows', () => {
  test.each(['block', 'reconcile'] as const)(
    'onAbandoned %s is refused, from the first claim on, and nothing is left',
    async (onAbandoned) => {
      const object = new ForgetfulStore();
      const bench = over(object);
      const refusal = { code: 'INVALID_OPTIONS', message: expect.stringContaining('every member') };
      await expect(bench.claim({ onAbandoned })).rejects.toMatchObject(refusal);
      expect(object.rows.size).toBe(0);
      await bench.claim();
      const set = jest.spyOn(object, 'set');
      await expect(bench.elsewhere().claim({ onAbandoned })).rejects.toMatchObject(refusal);
      // Nobody else may see it for a moment, either.
      expect(set).not.toHaveBeenCalled();
    },
  );

  test('the refusal reaches who runs it', async () => {
    const store = new KeyValueStore(new ForgetfulStore(), { onWarning });
    const idempotency = createIdempotency({ name: 'run', store, logger: {} });
    let runs = 0;
    const blocked = idempotency.run('strict', () => ++runs, { onAbandoned: 'block' });
    await expect(blocked).rejects.toMatchObject({ code: 'INVALID_OPTIONS' });
    expect(runs).toBe(0);
    await idempotency.close();
  });

  test('within the process the guarantees stay: fences, fingerprints, resends, stale writers, tombstones', async () => {
    const bench = over(new ForgetfulStore());
    const first = await bench.abandoned({ fingerprint: 'fingerprint-0123456789' });
    expect(await bench.refused()).toMatchObject({
      fingerprint: 'fingerprint-0123456789',
      fence: first.fence,
    });
    const second = await bench.claim({ replacing: first.token });
    expect(second.fence).toBeGreaterThan(first.fence);
    expect(await bench.settle(first)).toBe(false);
    expect(await bench.settle(second)).toBe(true);
    expect(await bench.settle(second)).toBe(true);
    await bench.forget();
    expect(await bench.settle(first)).toBe(false);
    expect(await bench.renew(second)).toBe(false);
    expect(await bench.read()).toBeUndefined();
    expect((await bench.claim()).fence).toBeGreaterThan(second.fence);
  });

  test('another process replays what completed, and runs again what failed', async () => {
    const here = over(new ForgetfulStore());
    const rows = new Map<string, string>();
    const one = over(new ForgetfulStore(rows), here.key);
    await one.settle(await one.claim(), { payload: '~{"$":"undefined"}' });
    const two = over(new ForgetfulStore(rows), here.key);
    expect(await two.refused()).toMatchObject({
      status: 'COMPLETED',
      payload: '~{"$":"undefined"}',
      hitCount: 1,
    });
    const other = two.elsewhere();
    const failed = await other.failed();
    const three = over(new ForgetfulStore(rows), other.key);
    const found = await three.refused();
    expect(found).toMatchObject({ status: 'FAILED', final: false, payload: 'why' });
    expect(found.token).not.toBe(failed.token);
    await three.claim({ replacing: found.token });
  });

  test('G4: to another process a running record is there until its lease has ended, and then gone', async () => {
    const rows = new Map<string, string>();
    const one = over(new ForgetfulStore(rows));
    const lease = await one.claim({ leaseMs: 100, unsettledRetentionMs: 600_000 });
    const two = over(new ForgetfulStore(rows), one.key);
    const seen = await two.refused();
    expect(seen.expiresAtMs).toBeGreaterThanOrEqual(lease.leaseEndsAtMs);
    expect(seen.expiresAtMs).toBeLessThan(lease.leaseEndsAtMs + 10_000);
    expect((await two.refused({ replacing: seen.token })).token).toBe(seen.token);
    await two.untilGone();
    expect((await two.claim()).createdAtMs).toBeGreaterThanOrEqual(lease.leaseEndsAtMs);
  });
});
