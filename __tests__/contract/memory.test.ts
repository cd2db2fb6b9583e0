import { InMemoryStore } from '../../src/stores/memory.js';
import { describeStoreContract } from '../../src/testing/index.js';

describeStoreContract('InMemoryStore', () => Promise.resolve({ store: new InMemoryStore() }));
