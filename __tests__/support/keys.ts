import type { StoreKey } from '../../src/core/record.js';

/** A key for a store, whose parts matter to nobody: found at this address. */
export function keyAt(address: string, digest = 'abc-_1'): StoreKey {
  return { prefix: 'test', scope: undefined, operation: 'Task', key: address, address, digest };
}
