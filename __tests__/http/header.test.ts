import { describe, expect, test } from '@jest/globals';
import { parseKeyHeader } from '../../src/http/internal/exchange/header.js';

const accepted: [string, string][] = [
  ['"8e03978e-40d5-43dd-bc93-6894a57f9324"', '8e03978e-40d5-43dd-bc93-6894a57f9324'],
  ['8e03978e-40d5-43dd-bc93-6894a57f9324', '8e03978e-40d5-43dd-bc93-6894a57f9324'],
  ['  "a"  ', 'a'],
  ['"a b, c; d"', 'a b, c; d'],
  [String.raw`"quote \" and \\ slash"`, String.raw`quote " and \ slash`],
  ['"a";v', 'a'],
  ['"a"; v=1;w="x;y\\"" ;x=?0'.replace(' ;', ';'), 'a'],
  ['"a";n=-12.5;t=tok/en:1;b=:aGk=:;*q=?1', 'a'],
  ['order:123/45_x+y=', 'order:123/45_x+y='],
];
const refused: string[] = [
  ...['', ' ', '""', '"', '"a', 'a"', '"a"b', '"a" "b"', '"a", "b"', 'a, b', 'a;b', 'a b'],
  ...[
    String.raw`"\a"`,
    String.raw`"a\"`,
    '"tab\t"',
    '"ümlaut"',
    'ümlaut',
    '\t"a"',
    '"a" ;v',
    '"a";V=1',
    '"a";v=',
    '"a";',
  ],
  ...['"a";v=1.2345', '"a";v="x', `"${'a'.repeat(513)}"`, 'user:undefined', '"[object Object]"'],
];

describe('the Idempotency-Key header', () => {
  test.each(accepted)('%s is the key %s', (value, key) => {
    expect(parseKeyHeader(value, true)).toEqual({ key });
  });

  test.each(refused)('%j is malformed', (value) => {
    expect(parseKeyHeader(value, true)).toEqual({ fault: expect.any(String) });
  });

  test('without bare keys only the quoted form is one', () => {
    expect(parseKeyHeader('a', false)).toHaveProperty('fault');
    expect(parseKeyHeader('"a"', false)).toEqual({ key: 'a' });
  });

  test('a long malformed one is refused at once', () => {
    const started = process.cpuUsage().user;
    for (const part of ['\\"', '\\\\', ';a', ';a="', 'a', ' '])
      expect(parseKeyHeader(`"${part.repeat(16_000)}\u0000`, true)).toHaveProperty('fault');
    // Quadratic, it would be minutes.
    expect(process.cpuUsage().user - started).toBeLessThan(5_000_000);
  });
});
