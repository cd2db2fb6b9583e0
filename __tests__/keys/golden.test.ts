import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { composeNamespace, derivedKey, fingerprintPayload, hashKey, storeKey } from '../../src/keys/index.js';

/**
 * What is frozen: records are found by their address and told apart by their digest, keys and fingerprints stand in stores, and
 * derived keys stand at providers. A change of these values is a decision: it makes every stored record another one.
 */
interface Golden {
  identities: {
    prefix: string;
    scope: string | null;
    name: string;
    key: string;
    address: string;
    digest: string;
    derived: { failures: number; name: string; key: string }[];
  }[];
  hashKeys: { values: string; key: string }[];
  fingerprints: { payload: string; fingerprint: string }[];
}

const golden = JSON.parse(readFileSync(new URL('./golden.json', import.meta.url), 'utf8')) as Golden;

/** JSON, and what it has no form for: `{"$":"bigint","of":"12"}`. */
function revived(text: string): unknown {
  return JSON.parse(text, (_, value: unknown) => {
    if (typeof value !== 'object' || value === null || !('$' in value)) return value;
    const { $: kind, of } = value as unknown as { $: string; of: string };
    if (kind === 'bigint') return BigInt(of);
    if (kind === 'date') return new Date(of);
    if (kind === 'map') return new Map(of as unknown as [unknown, unknown][]);
    return new Set(of);
  });
}

describe('golden vectors', () => {
  test.each(golden.identities)('$address', ({ prefix, scope, name, key, address, digest, derived }) => {
    const found = storeKey(composeNamespace({ prefix, scope: scope ?? undefined, name }), key);
    expect({ address: found.address, digest: found.digest }).toEqual({ address, digest });
    expect(found).toMatchObject({ prefix, scope: scope ?? undefined, operation: name, key });
    for (const each of derived) expect(derivedKey(found, each.failures, each.name)).toBe(each.key);
  });

  test.each(golden.hashKeys)('hashKey of $values', ({ values, key }) => {
    expect(hashKey(...(revived(values) as unknown[]))).toBe(key);
  });

  test.each(golden.fingerprints)('the fingerprint of $payload', ({ payload, fingerprint }) => {
    expect(fingerprintPayload(revived(payload))).toBe(fingerprint);
  });

  test('derived keys do not depend on how a record is laid out: only the parts of the identity count', () => {
    const key = storeKey(composeNamespace({ prefix: 'p', scope: 's', name: 'n' }), 'k');
    const elsewhere = { ...key, address: 'elsewhere', digest: 'zzzzzz' };
    expect(derivedKey(elsewhere, 0, 'charge')).toBe(derivedKey(key, 0, 'charge'));
    const others = [
      { ...key, prefix: 'q' },
      { ...key, scope: undefined },
      { ...key, operation: 'm' },
      { ...key, key: 'l' },
    ].map((each) => derivedKey(each, 0, 'charge'));
    const more = [derivedKey(key, 1, 'charge'), derivedKey(key, 0, 'mail'), derivedKey(key, 0, 'charge')];
    expect(new Set([...others, ...more]).size).toBe(7);
  });
});
