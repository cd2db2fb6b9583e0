import type { Lease, RecordedStep } from '../../core/record.js';
import { newToken } from '../../core/token.js';
import type { Bench, ContractTest } from '../bench.js';
import { equal, matches } from '../expect.js';

const CHARGE: RecordedStep = { name: 'charge', payload: '{"id":"ch_1"}' };
const MAIL: RecordedStep = { name: 'mail', payload: undefined };

const ODD_STEPS: readonly RecordedStep[] = [
  { name: 'a\nb\r\n\n', payload: 'x\n\ny\r\n' },
  { name: '"quoted" \\ [a,', payload: '["quoted", "\\"]' },
  { name: '😀 漢 é e\u0301 \u2028', payload: '😀 漢 \u2029 \u0001' },
  { name: '', payload: '' },
  { name: '__proto__', payload: 'null' },
  { name: 'none', payload: undefined },
  { name: "'; --", payload: '\u0000' },
  { name: 'large', payload: 'é"'.repeat(50_000) },
];

export function describeSteps(test: ContractTest): void {
  test('G2: recorded steps come back in the grant of a takeover, in their order', async (bench) => {
    const first = await bench.claim();
    await record(bench, first, CHARGE, MAIL);
    equal((await expired(bench, first)).steps, [CHARGE, MAIL], 'the steps');
  });

  test('recorded steps come back after an unknown outcome', async (bench) => {
    const first = await bench.claim();
    await record(bench, first, CHARGE);
    await bench.settleUnknown(first);
    equal((await bench.claim({ replacing: first.token })).steps, [CHARGE], 'the steps');
  });

  test('recorded steps come back after a failure that is not final, and its value does too', async (bench) => {
    const first = await bench.claim();
    await record(bench, first, CHARGE);
    await bench.settleFailed(first);
    matches(await bench.refused(), { status: 'FAILED', payload: 'why' });
    equal((await bench.claim({ replacing: first.token })).steps, [CHARGE], 'the steps');
  });

  test('steps of several attempts add up', async (bench) => {
    const first = await bench.claim();
    await record(bench, first, CHARGE);
    await bench.settleFailed(first);
    const second = await bench.claim({ replacing: first.token });
    await record(bench, second, MAIL);
    await bench.settleUnknown(second);
    equal((await bench.claim({ replacing: second.token })).steps, [CHARGE, MAIL], 'the steps');
  });

  test('G2: a resent step is true, and the first of a name is kept', async (bench) => {
    const first = await bench.claim();
    await record(bench, first, CHARGE);
    equal(await bench.step(first, CHARGE.name, 'another'), true, 'the resent step');
    const second = await expired(bench, first);
    equal(second.steps, [CHARGE], 'the steps');
    equal(await bench.step(second, CHARGE.name, 'another'), true, 'the step of an earlier attempt');
    equal((await expired(bench, second)).steps, [CHARGE], 'the steps');
  });

  test('G2: a resent step is recognised after the takeover, which has it', async (bench) => {
    const first = await bench.claim();
    await record(bench, first, CHARGE);
    const second = await expired(bench, first);
    equal(await bench.step(first, CHARGE.name), true, 'the resent step');
    equal(await bench.step(first, MAIL.name), false, 'a new step of the stale attempt');
    equal((await expired(bench, second)).steps, [CHARGE], 'the steps');
  });

  test('G2: a resent claim is granted with the steps of its own attempt', async (bench) => {
    const first = await bench.claim();
    await record(bench, first, CHARGE);
    equal((await bench.claim({ token: first.token })).steps, [CHARGE], 'the steps');
  });

  test('G3: a stale step is refused, and leaves no trace', async (bench) => {
    const stale = await bench.abandoned();
    const owner = await bench.claim({ replacing: stale.token });
    equal(await bench.step(stale, 'stale'), false, 'a stale step');
    equal(await bench.step({ ...stale, token: newToken() }, 'stale'), false, 'a step of nobody');
    equal((await expired(bench, owner)).steps, [], 'the steps');
  });

  test('G3: a step after settling is refused', async (bench) => {
    const lease = await bench.failed();
    equal(await bench.step(lease, 'late'), false, 'a late step');
    const second = await bench.claim({ replacing: lease.token });
    equal(second.steps, [], 'the steps');
    await bench.settle(second);
    equal(await bench.step(second, 'late'), false, 'a late step');
  });

  test('G3: over absence a step writes the record anew, with the steps of the lease and this one', async (bench) => {
    const lease = { ...(await bench.claim({ fingerprint: 'fingerprint-0123456789' })), steps: [CHARGE] };
    const lost = bench.elsewhere();
    await record(lost, lease, MAIL);
    const { token, fence } = lease;
    matches(await lost.read(), {
      status: 'IN_PROGRESS',
      token,
      fence,
      fingerprint: 'fingerprint-0123456789',
    });
    equal((await expired(lost, lease)).steps, [CHARGE, MAIL], 'the steps');
  });

  test('G3: over absence a renewal or an outcome that is not final writes the steps of the lease', async (bench) => {
    const lease = { ...(await bench.claim()), steps: [CHARGE, MAIL] };
    const renewing = bench.elsewhere();
    await renewing.renew(lease);
    equal((await expired(renewing, lease)).steps, [CHARGE, MAIL], 'the steps');
    const failing = bench.elsewhere();
    await failing.settleFailed(lease);
    equal((await failing.claim({ replacing: lease.token })).steps, [CHARGE, MAIL], 'the steps');
    const unknown = bench.elsewhere();
    await unknown.settleUnknown(lease);
    equal((await unknown.claim({ replacing: lease.token })).steps, [CHARGE, MAIL], 'the steps');
  });

  test('steps stay through a renewal', async (bench) => {
    const lease = await bench.claim();
    await record(bench, lease, CHARGE);
    await bench.renew(lease);
    equal((await expired(bench, lease)).steps, [CHARGE], 'the steps');
  });

  for (const state of ['failed', 'abandoned'] as const) {
    test(`a release gives back the steps of the record that was ${state}, and none of its own`, async (bench) => {
      const first = await bench.claim();
      await record(bench, first, CHARGE);
      await (state === 'failed' ? bench.settleFailed(first) : bench.settleUnknown(first));
      const second = await bench.claim({ replacing: first.token });
      await record(bench, second, MAIL);
      equal(await bench.release(second.token), true, 'the release');
      equal((await bench.claim({ replacing: first.token })).steps, [CHARGE], 'the steps');
    });
  }

  test('a release of a first claim drops its steps', async (bench) => {
    const lease = await bench.claim();
    await record(bench, lease, CHARGE);
    await bench.release(lease.token);
    equal((await bench.claim()).steps, [], 'the steps');
  });

  for (const status of ['COMPLETED', 'FAILED'] as const) {
    test(`steps are dropped after an outcome that is final: ${status}`, async (bench) => {
      const lease = await bench.claim();
      await record(bench, lease, CHARGE);
      await bench.settle(lease, { status, payload: 'the value' });
      matches(await bench.refused(), { status, final: true, payload: 'the value' });
      await bench.forget();
      equal((await bench.claim()).steps, [], 'the steps');
    });

    test(`a step that is resent after an outcome that is final is told false: ${status}`, async (bench) => {
      const first = await bench.claim();
      await record(bench, first, CHARGE);
      const second = await expired(bench, first);
      await bench.settle(second, { status });
      equal(await bench.step(second, CHARGE.name), false, 'a step of the attempt that settled');
      equal(await bench.step(first, CHARGE.name), false, 'a step of the attempt before');
    });
  }

  test('steps are dropped when a person forgets the record', async (bench) => {
    const lease = await bench.claim();
    await record(bench, lease, CHARGE);
    await bench.forget(true);
    equal(await bench.step(lease, CHARGE.name), false, 'a resent step');
    equal((await bench.claim()).steps, [], 'the steps');
  });

  test('steps are dropped when a person resolves the record', async (bench) => {
    const lease = await bench.claim();
    await record(bench, lease, CHARGE);
    await bench.settleUnknown(lease);
    const byHand = { status: 'FAILED', final: false, payload: 'by hand', retentionMs: 60_000 } as const;
    const token = newToken();
    equal(await bench.override({ kind: 'resolve', token, ...byHand }), 'done');
    matches(await bench.refused(), { status: 'FAILED', payload: 'by hand' });
    equal((await bench.claim({ replacing: token })).steps, [], 'the steps');
  });

  test('of many steps at once all stay', async (bench) => {
    const lease = await bench.claim();
    const names = Array.from({ length: 20 }, (_, index) => `step ${index}`);
    const answers = await Promise.all(names.map((name) => bench.step(lease, name)));
    equal([...new Set(answers)], [true], 'the answers');
    const { steps } = await expired(bench, lease);
    const found = steps.map(({ name, payload }) => `${name}=${payload ?? ''}`).sort();
    equal(found, names.map((name) => `${name}=${name}`).sort(), 'the steps');
  });

  test('names and values are given back as they were: lines, quotes, unicode, 100 kB, none at all', async (bench) => {
    const lease = await bench.claim();
    await record(bench, lease, ...ODD_STEPS);
    for (const { name } of ODD_STEPS)
      equal(await bench.step(lease, name, 'another'), true, 'the resent step');
    await bench.settleFailed(lease);
    equal((await bench.refused()).payload, 'why', 'the payload');
    const second = await bench.claim({ replacing: lease.token });
    for (const [index, step] of ODD_STEPS.entries()) {
      equal(second.steps[index], step, `step ${JSON.stringify(step.name)}`);
    }
    equal(second.steps.length, ODD_STEPS.length, 'the number of steps');
  });
}

async function record(bench: Bench, lease: Lease, ...steps: readonly RecordedStep[]): Promise<void> {
  for (const { name, payload } of steps) {
    // Not bench.step(), which would use the name as the value of a step without one.
    equal(
      await bench.store.step(bench.key, lease, { name, payload }),
      true,
      `recorded ${JSON.stringify(name)}`,
    );
  }
}

/** Takes over after the lease has ended. */
async function expired(bench: Bench, lease: Lease): Promise<Lease> {
  await bench.renew({ ...lease, leaseMs: 1 });
  await bench.untilAbandoned();
  return bench.claim({ replacing: lease.token });
}
