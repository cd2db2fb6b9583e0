import { Bench, type ContractTest } from './bench.js';
import { describeClaims } from './contract/claims.js';
import { describeHistories } from './contract/histories.js';
import { describeInstances } from './contract/instances.js';
import type { LeaseStore } from '../core/store.js';
import { checkOptions, type ContractOptions, type ContractSubject } from './options.js';
import { describeOverrides, describeWakeUps } from './contract/overrides.js';
import { describeRecords } from './contract/records.js';
import { describeReleases, describeResends } from './contract/resends.js';
import { findRunner } from './runner.js';
import { describeStaleWriters } from './contract/stale-writers.js';
import { describeSteps } from './contract/steps.js';
import { describeValues } from './contract/values.js';

/** Long, for servers under load. Every test has its own, shorter limit. */
const TIMEOUT_MS = 120_000;

/**
 * Declares the tests of the `LeaseStore` contract for a store. Each is named with the guarantee that it checks. Call it at the
 * top level of a test file of jest, or of vitest with `globals: true`.
 *
 * Each test gets its own subject from `factory`, uses keys that no other test or run uses, and closes the subject and the
 * instances from `another()` when it has ended. What it wrote expires within two minutes. The random histories need fast-check.
 *
 * @example describeStoreContract('MyStore', () => ({ store: new MyStore(), another: () => new MyStore() }));
 * @throws UsageError INVALID_OPTIONS for an unknown option or part, a skip without a reason, or if there is no test runner
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
        if (!subject) throw new Error('the factory returned no subject');
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
  describeOverrides,
  describeWakeUps,
  describeInstances,
  describeHistories,
];
