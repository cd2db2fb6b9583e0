import { InMemoryStore } from '../../src/stores/memory/store.js';
import { describeStoreContract, FaultyStore } from '../../src/testing/index.js';

describeStoreContract('InMemoryStore', () => {
  const store = new InMemoryStore();
  // It lives in one process: another instance is another wrapper of the same records.
  return Promise.resolve({ store, another: () => new FaultyStore(store) });
});
