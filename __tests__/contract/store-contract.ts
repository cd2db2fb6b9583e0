import { afterEach, beforeEach, describe } from '@jest/globals';
import { Bench, type ContractSubject } from './bench.js';
import { describeClaims } from './claims.js';
import { describePeople, describeRecords, describeWakeUps } from './records.js';
import { describeReleases, describeResends } from './resends.js';
import { describeStaleWriters } from './stale-writers.js';

export type { ContractSubject } from './bench.js';

/** The guarantees of {@link LeaseStore} as tests, for any store: each is named with the guarantee it shows. */
export function describeStoreContract(name: string, factory: () => Promise<ContractSubject>): void {
  describe(`the LeaseStore contract on ${name}`, () => {
    let subject: ContractSubject;
    let bench: Bench;

    beforeEach(async () => {
      subject = await factory();
      bench = new Bench(subject);
    });
    afterEach(async () => {
      await subject.store.close?.();
      await subject.close?.();
    });

    describeClaims(() => bench);
    describeStaleWriters(() => bench);
    describeResends(() => bench);
    describeReleases(() => bench);
    describeRecords(() => bench);
    describePeople(() => bench);
    describeWakeUps(() => bench);
  });
}
