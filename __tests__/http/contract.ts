import { describe } from '@jest/globals';
import { describeFaults } from './contract/faults.js';
import { shopsOn } from './contract/harness.js';
import { describeOutcomes } from './contract/outcomes.js';
import { describeReplay } from './contract/replay.js';
import { describeRequests } from './contract/requests.js';
import type { StartServer } from './site.js';

/** The behaviour that every HTTP adapter has, over real sockets. */
export function describeHttpContract(name: string, start: StartServer): void {
  describe(name, () => {
    const open = shopsOn(start);
    describeRequests(open);
    describeReplay(open);
    describeOutcomes(open);
    describeFaults(open);
  });
}
