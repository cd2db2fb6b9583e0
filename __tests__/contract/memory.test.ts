import { InMemoryStore } from '../../src/stores/memory.js';
import { describeStoreContract } from './store-contract.js';

describeStoreContract('InMemoryStore', () => Promise.resolve({ store: new InMemoryStore() }));
