import { newToken } from '../../core/token.js';
import { freshKey, type Bench, type ContractTest } from '../bench.js';
import { equal, matches } from '../expect.js';

export function describeValues(test: ContractTest): void {
  test('a value is given back as it was: empty, odd, every byte as a character, or none at all', async (bench) => {
    for (const payload of ['', ODD_TEXT, EVERY_BYTE, undefined]) await givesBack(bench.elsewhere(), payload);
  });

  test(
    'a value of one megabyte is given back as it was',
    (bench) => givesBack(bench, '漢"\u0000'.repeat(200_000)),
    'large values',
  );

  test(
    'keys are kept apart byte for byte, whatever they hold',
    async (bench) => {
      const prefix = `contract:${newToken()}:`;
      const places = HOSTILE.map((suffix) => bench.elsewhere(freshKey(prefix + suffix)));
      const leases = await Promise.all(places.map((place) => place.claim()));
      for (const [index, place] of places.entries()) {
        const what = `the owner of ${JSON.stringify(HOSTILE[index])}`;
        equal((await place.read())?.token, leases[index]?.token, what);
        equal((await place.refused()).token, leases[index]?.token, what);
      }
      await Promise.all(places.map((place, index) => place.release(leases[index]?.token ?? '')));
    },
    'hostile keys',
  );

  test('a value that is JSON is given back character for character', async (bench) => {
    for (const payload of JSON_TEXTS) await givesBack(bench.elsewhere(), payload);
    const lease = await bench.claim();
    const [failure = '', correction] = JSON_TEXTS;
    await bench.settle(lease, { status: 'FAILED', final: false, failures: 1, payload: failure });
    equal((await bench.refused()).payload, failure, 'the payload of a failure');
    const token = newToken();
    const outcome = { status: 'FAILED', final: false, payload: correction, retentionMs: 60_000 } as const;
    await bench.override({ kind: 'resolve', token, ...outcome });
    equal((await bench.refused()).payload, correction, 'the payload of an outcome by hand');
    await bench.release((await bench.claim({ replacing: token })).token);
    equal((await bench.refused()).payload, correction, 'the payload that a release restored');
  });

  test('names and values of steps that are JSON are given back character for character', async (bench) => {
    const lease = await bench.claim();
    const steps = JSON_TEXTS.map((payload) => ({ name: `a step of ${payload}`, payload }));
    for (const { name, payload } of steps) await bench.step(lease, name, payload);
    await bench.settleUnknown(lease);
    equal((await bench.claim({ replacing: lease.token })).steps, steps, 'the steps');
  });

  test('notes that are JSON, and as long as they may be, are given back character for character', async (bench) => {
    for (const facts of [...JSON_TEXTS, 'f'.repeat(512), '漢'.repeat(170)]) {
      const place = bench.elsewhere();
      const kept = { traceparent: '{ "b": 1.0, "a": 1 }'.padEnd(64, 't'), facts };
      const holder = '[ 1e3 ]'.padEnd(128, 'h');
      const lease = await place.claim({ notes: { ...kept, holder } });
      matches(await place.read(), { notes: { ...kept, holder } });
      await place.settle(lease);
      matches(await place.read(), { notes: kept });
    }
  });
}

async function givesBack(bench: Bench, payload: string | undefined): Promise<void> {
  const lease = await bench.claim();
  equal(await bench.settle(lease, { payload }), true, 'the settling');
  equal((await bench.refused()).payload, payload, 'the payload of the claim');
  equal((await bench.read())?.payload, payload, 'the payload of the read');
}

/** JSON that changes when it is parsed and written again: order, spaces, numbers, escapes, duplicate names. */
const JSON_TEXTS = [
  '{"b":1,"a":2}',
  ' { "a" : [ 1 , 2 ] }\n',
  '{"amount":10.00,"large":12345678901234567890,"small":1e-7,"zero":-0,"power":1E3}',
  '"\\u00e9\\/\\u2028"',
  '{"a":1,"a":2}',
  '{"10":1,"9":2,"":3,"__proto__":4}',
  ...['1.0', '0123', 'true', 'null', '"text"', 'NaN', '[]'],
];
const ODD_TEXT = '\ufeff 😀 "quoted" \\ \u0000 \r\n é e\u0301 漢 \u2028 {"a":1} \n';
const EVERY_BYTE = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).join('');
const HOSTILE = [
  ...[
    '',
    ' ',
    '  ',
    'a',
    'A',
    'a:b',
    'a:',
    ':a',
    '{a}',
    '{a}b',
    '*',
    '?',
    '%',
    '_',
    '%s',
    '$1',
    '#a',
    '/a',
    '../a',
  ],
  ...[
    'é',
    'e\u0301',
    '😀',
    '漢',
    '\u202e',
    '\u2028',
    '\u00a0',
    '\ufeff',
    '\u0000',
    '\u0000a',
    '\r\n',
    '\t',
    '\\',
    '\\n',
  ],
  ...[
    '"',
    "'",
    "';--",
    '`',
    '<a>',
    '__proto__',
    'constructor',
    'toString',
    'null',
    'undefined',
    '0',
    '00',
    'x'.repeat(512),
    `${'x'.repeat(511)}y`,
  ],
];
