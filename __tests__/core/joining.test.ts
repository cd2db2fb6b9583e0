import { describe, expect, test } from '@jest/globals';
import { createIdempotency } from '../../src/idempotency/idempotency.js';
import { InMemoryStore } from '../../src/stores/memory/store.js';
import { deferred, errorOf } from '../support/deferred.js';
import { nextEvent, placeOf, world } from '../support/instances.js';

/** An owner in this process whose work waits for the gate. */
async function running<T>(options: { payload?: unknown; signal?: AbortSignal } = {}) {
  const { store, process } = world();
  const owner = process();
  const gate = deferred<T>();
  const started = nextEvent(owner, 'miss');
  const answer = owner.run('k', () => gate.promise, options);
  answer.catch(() => undefined);
  await started;
  return { store, process, owner, gate, answer };
}
const mustNotRun = () => {
  throw new Error('must not run');
};

describe('G6: joiners in one process', () => {
  test('cost no store command, and get the answer', async () => {
    const { owner, gate, answer } = await running<number>();
    const before = { ...owner.faulty.calls };
    const joiners = Array.from({ length: 100 }, () => owner.run('k', mustNotRun));
    expect(owner.faulty.calls).toEqual(before);
    gate.resolve(42);
    expect(new Set(await Promise.all([answer, ...joiners]))).toEqual(new Set([42]));
    expect(owner.faulty.calls).toEqual({ ...before, settle: 1 });
    expect(owner.stats()).toMatchObject({ joins: 100, hits: 100, misses: 1 });
  });

  test('that come while the claim is under way join it too', async () => {
    const { process } = world();
    const one = process();
    const answers = await Promise.all(Array.from({ length: 100 }, () => one.run('k', async () => 'once')));
    expect(new Set(answers)).toEqual(new Set(['once']));
    expect(one.faulty.calls).toMatchObject({ claim: 1, settle: 1, read: 0 });
  });

  test('that time out before the claim is answered are told of the store: nobody can say that it runs', async () => {
    const { process } = world();
    const one = process({ storeTimeout: '10s' });
    const gate = deferred<void>();
    one.faulty.faults.claim = () => gate.promise;
    const first = one.run('k', async () => 'once');
    expect(await errorOf(one.run('k', mustNotRun, { waitTimeout: 20 }))).toMatchObject({
      code: 'STORE_UNAVAILABLE',
      transient: true,
    });
    gate.resolve();
    expect(await first).toBe('once');
  });

  test('G9: get their own decoded copy, never a shared mutable object', async () => {
    const { owner, gate, answer } = await running<{ at: Date; tags: Set<string> }>();
    const joiners = [owner.run('k', mustNotRun), owner.run('k', mustNotRun)];
    gate.resolve({ at: new Date(5), tags: new Set(['a']) });
    const [first, one, two] = await Promise.all([answer, ...joiners]);
    expect(one).toEqual(first);
    expect(two).toEqual(first);
    expect(one).not.toBe(first);
    expect(one).not.toBe(two);
  });

  test('with another payload are refused while the first one runs', async () => {
    const { owner, gate, answer } = await running({ payload: { amount: 1 } });
    expect(await errorOf(owner.run('k', mustNotRun, { payload: { amount: 2 } }))).toMatchObject({
      code: 'KEY_REUSED',
    });
    gate.resolve('ok');
    await answer;
  });

  test('whose policy is reject are rejected at once', async () => {
    const { owner, gate, answer } = await running();
    expect(await errorOf(owner.run('k', mustNotRun, { concurrent: 'reject' }))).toMatchObject({
      code: 'CONCURRENT_REQUEST',
    });
    gate.resolve('ok');
    await answer;
  });

  test('keep their own timeout', async () => {
    const { owner, gate, answer } = await running();
    expect(await errorOf(owner.run('k', mustNotRun, { waitTimeout: 20 }))).toMatchObject({
      code: 'IDEMPOTENCY_TIMEOUT',
    });
    gate.resolve('ok');
    await answer;
  });

  test('keep their own signal, and the others go on', async () => {
    const { owner, gate, answer } = await running();
    const leaving = new AbortController();
    const left = errorOf(owner.run('k', mustNotRun, { signal: leaving.signal }));
    const staying = owner.run('k', mustNotRun);
    leaving.abort(new Error('client gone'));
    expect((await left).message).toBe('client gone');
    gate.resolve('ok');
    expect(await Promise.all([answer, staying])).toEqual(['ok', 'ok']);
  });

  test('outlive a leader that gives up', async () => {
    const leaving = new AbortController();
    const { owner, gate, answer } = await running({ signal: leaving.signal });
    const joiner = owner.run('k', mustNotRun);
    leaving.abort(new Error('client gone'));
    expect((await errorOf(answer)).message).toBe('client gone');
    gate.resolve('ok');
    expect(await joiner).toBe('ok');
    await expect(owner.run('k', mustNotRun)).resolves.toBe('ok');
  });

  test('of a leader that left before its claim was answered are served all the same', async () => {
    const { process } = world();
    const one = process();
    const slow = deferred();
    one.faulty.faults.claim = (moment) => (moment === 'answered' ? slow.promise : undefined);
    const leaving = new AbortController();
    const first = errorOf(one.run('k', mustNotRun, { signal: leaving.signal }));
    const joiner = one.run('k', () => 'mine');
    leaving.abort(new Error('gone'));
    expect((await first).message).toBe('gone');
    slow.resolve();
    expect(await joiner).toBe('mine');
  });

  test('G8: a leader that left before its claim was answered withdraws it, and claims no more', async () => {
    const { process, store } = world();
    const one = process();
    const slow = deferred();
    one.faulty.faults.claim = (moment) => (moment === 'answered' ? slow.promise : undefined);
    const leaving = new AbortController();
    const first = errorOf(one.run('k', mustNotRun, { signal: leaving.signal }));
    leaving.abort(new Error('gone'));
    await first;
    const withdrawn = deferred();
    one.faulty.faults.release = (moment) => void (moment === 'answered' && withdrawn.resolve());
    slow.resolve();
    await withdrawn.promise;
    await one.close();
    expect(await store.read(placeOf('k'))).toBeUndefined();
    expect(one.faulty.calls).toMatchObject({ claim: 1, release: 1 });
  });

  test('of a watch: many duplicates of a key that runs elsewhere share one claim and one watch', async () => {
    const { process, gate, answer } = await running<string>();
    const other = process();
    const waiting = nextEvent(other, 'wait');
    const duplicates = Array.from({ length: 1_000 }, () => other.run('k', mustNotRun));
    await waiting;
    duplicates.push(other.run('k', mustNotRun));
    gate.resolve('paid');
    expect(new Set(await Promise.all([answer, ...duplicates]))).toEqual(new Set(['paid']));
    const { claim, read } = other.faulty.calls;
    expect(claim + read).toBeLessThanOrEqual(3);
  });

  test('of a watch that all have left leave nothing behind', async () => {
    const { process, gate, answer, store } = await running<string>();
    const other = process();
    expect(await errorOf(other.run('k', mustNotRun, { waitTimeout: 20 }))).toMatchObject({
      code: 'IDEMPOTENCY_TIMEOUT',
    });
    await store.override(placeOf('k'), { kind: 'forget', force: true });
    const calls = { ...other.faulty.calls };
    gate.resolve('late');
    expect(await errorOf(answer)).toMatchObject({ code: 'LEASE_LOST' });
    expect(other.faulty.calls).toEqual(calls);
  });

  test('never cross two stores, two prefixes, two scopes or two operations (G10)', async () => {
    const one = createIdempotency({ store: new InMemoryStore(), name: 'charge' });
    const two = createIdempotency({ store: new InMemoryStore(), name: 'charge' });
    let runs = 0;
    const work = async () => ++runs;
    const answers = await Promise.all([
      one.run('k', work),
      two.run('k', work),
      one.run('k', work, { prefix: 'other' }),
      one.run('k', work, { scope: 'tenant-a' }),
      one.run('k', work, { scope: 'tenant-b' }),
      one.run('k', work, { name: 'refund' }),
    ]);
    expect(answers.sort()).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test('G8: a run of a key from inside its own work is an error, not a deadlock', async () => {
    const { process } = world();
    const one = process();
    const inner = await one.run('k', async () => {
      const other = await one.run('another', () => 'fine');
      const error = await errorOf(one.run('k', mustNotRun));
      const deep = await one.run('third', () => errorOf(one.run('k', mustNotRun)).then((e) => e.code));
      return [other, error.code, deep];
    });
    expect(inner).toEqual(['fine', 'INVALID_KEY', 'INVALID_KEY']);
  });
});
