export { FaultyStore, storeDown } from '../../src/testing/faulty-store.js';
