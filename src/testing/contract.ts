import { Bench, type ContractTest } from './bench.js';
import { describeClaims } from './contract/claims.js';
import { describeHistories } from './contract/histories.js';
import { describeInstances } from './contract/instances.js';
import type { LeaseStore } from '../core/store.js';
import { checkOptions, type ContractOptions, type ContractSubject } from './options.js';
import { describePeople, describeWakeUps } from './contract/people.js';
import { describeRecords } from './contract/records.js';
import { describeReleases, describeResends } from './contract/resends.js';
import { findRunner } from './runner.js';
import { describeStaleWriters } from './contract/stale-writers.js';
import { describeSteps } from './contract/steps.js';
import { describeValues } from './contract/values.js';

/** For a server under load: every test ends by itself, with its own reason, long before. */
const TIMEOUT_MS = 120_000;

/**
 * Declares the tests of the `LeaseStore` contract for a store, each named with the guarantee it shows. Call it at
 * the top of a test file of jest (or of vitest with `globals: true`).
 *
 * Each test gets a subject of its own from `factory`, uses keys that no other test and no other run uses, and closes the
 * subject, and what its `another()` gave, when it has ended; what it wrote expires by itself, within two minutes. The random histories need fast-check.
 *
 * @throws UsageError INVALID_OPTIONS for an unknown option or part, a skip without a reason, or where there is no test runner
 */
export function describeStoreContract(
  name: string,
  factory: () => ContractSubject | Promise<ContractSubject>,
  options: ContractOptions = {},
): void {
  const terms = checkOptions(options);
  const runner = findRunner(options.runner);
  runner.describe(`the LeaseStore contract on ${name}`, () => {
    let subject: ContractSubject | undefined;
    let instances: LeaseStore[] = [];

    runner.beforeEach(async () => {
      subject = undefined;
      instances = [];
      subject = await factory();
    });
    runner.afterEach(async () => {
      for (const store of instances) await store.close?.();
      await subject?.store.close?.();
      await subject?.close?.();
    });

    const test: ContractTest = (title, body, ...parts) => {
      const run = async (): Promise<void> => {
        if (!subject) throw new Error('the factory gave no subject');
        await body(new Bench(subject, terms, undefined, instances));
      };
      const reason = parts.map((part) => terms.skip[part]).find((why) => why !== undefined);
      if (reason === undefined) runner.test(title, run, TIMEOUT_MS);
      else {
        process.stderr.write(`the LeaseStore contract on ${name}: skipped "${title}": ${reason}\n`);
        runner.test.skip(`${title} (skipped: ${reason})`, run);
      }
    };
    for (const describePart of PARTS) describePart(test);
  });
}

const PARTS = [
  describeClaims,
  describeStaleWriters,
  describeResends,
  describeReleases,
  describeSteps,
  describeRecords,
  describeValues,
  describePeople,
  describeWakeUps,
  describeInstances,
  describeHistories,
];
