import { describe, expect, test } from '@jest/globals';
import { createIdempotency } from '../../src/idempotency/idempotency.js';
import { InMemoryStore } from '../../src/stores/memory/store.js';
import { FaultyStore, storeDown } from '../../src/testing/index.js';
import { errorOf } from '../support/deferred.js';
import { collect } from './collect.js';

function world() {
  const faulty = new FaultyStore(new InMemoryStore());
  const idempotency = createIdempotency({ name: 'run', store: faulty, logger: {}, storeTimeout: 200 });
  return { faulty, idempotency };
}

describe('FaultyStore', () => {
  test('without faults is as good a store as the one in it', async () => {
    const subject = () => {
      const store = new InMemoryStore();
      return { store: new FaultyStore(store), another: () => new FaultyStore(store) };
    };
    expect(await collect(subject).run(/./)).toEqual(new Map());
  });

  test('counts the commands: a first run is a claim and a settling, a duplicate a claim', async () => {
    const { faulty, idempotency } = world();
    await idempotency.run('order-1', () => 'charged');
    expect(faulty.calls).toMatchObject({ claim: 1, settle: 1, read: 0 });
    await idempotency.run('order-1', () => 'charged');
    expect(faulty.calls).toMatchObject({ claim: 2, settle: 1 });
  });

  test('G2: a settling whose answer is lost is resent, and recognised', async () => {
    const { faulty, idempotency } = world();
    let lost = 0;
    faulty.faults.settle = (moment) => {
      if (moment === 'answered' && lost++ === 0) throw storeDown();
    };
    expect(await idempotency.run('order-1', () => 'charged')).toBe('charged');
    expect(faulty.calls.settle).toBe(2);
    expect((await idempotency.get('order-1'))?.attempt).toBe(1);
  });

  test('a command that never arrives is refused at its deadline, and heal() takes the fault away', async () => {
    const { faulty, idempotency } = world();
    faulty.faults.claim = (moment) => {
      if (moment === 'sent') throw storeDown(new Error('ECONNREFUSED'));
    };
    const refusal = await errorOf(idempotency.run('order-1', () => 'charged'));
    expect(refusal).toMatchObject({ code: 'STORE_UNAVAILABLE' });
    faulty.heal();
    expect(await idempotency.run('order-1', () => 'charged')).toBe('charged');
    await idempotency.close();
  });

  test('cut() is a process that was killed: its record stays as it was', async () => {
    const store = new InMemoryStore();
    const dying = new FaultyStore(store);
    const idempotency = createIdempotency({
      name: 'run',
      store: dying,
      logger: {},
      storeTimeout: 20,
      lease: 20_000,
    });
    const owner = idempotency.run('order-1', () => {
      dying.cut();
      return 'charged';
    });
    expect(await owner).toBe('charged');
    const other = createIdempotency({ name: 'run', store: new FaultyStore(store), logger: {} });
    expect((await other.get('order-1'))?.status).toBe('IN_PROGRESS');
    dying.heal();
    await idempotency.close();
    expect((await other.get('order-1'))?.status).toBe('COMPLETED');
  });
});
