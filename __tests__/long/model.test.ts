import { describe } from '@jest/globals';
import { LARGE, testWorlds, WIDE } from '../model/worlds.js';

describe('every interleaving of the protocol, in larger worlds than every test run has time for', () => {
  testWorlds(process.env['TWICESHY_FAULTS'] === 'long' ? { ...LARGE, ...WIDE } : LARGE, 200_000);
});
