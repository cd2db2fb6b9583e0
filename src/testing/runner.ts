import { UsageError } from '../core/errors.js';

/**
 * The functions of a test runner that the contract calls. They are taken from the globals and not imported from `@jest/globals`,
 * so that one build works with jest in CommonJS and ESM, with vitest and `globals: true`, and with runners that are passed in
 * (`node:test`), without any of them being required.
 */
export interface TestRunner {
  readonly describe: (name: string, body: () => void) => unknown;
  readonly test: TestFunction;
  readonly beforeEach: (hook: () => Promise<void>) => unknown;
  readonly afterEach: (hook: () => Promise<void>) => unknown;
}

export interface TestFunction {
  (title: string, body: () => Promise<void>, timeoutMs?: number): unknown;
  readonly skip: (title: string, body: () => Promise<void>) => unknown;
}

const MEMBERS = ['describe', 'test', 'beforeEach', 'afterEach'] as const;

/** @throws UsageError INVALID_OPTIONS if there is no test runner */
export function findRunner(given: TestRunner | undefined): TestRunner {
  const found = given ?? (globalThis as unknown as Partial<TestRunner>);
  const missing = MEMBERS.filter((name) => typeof found[name] !== 'function');
  if (missing.length === 0) return found as TestRunner;
  throw new UsageError(
    'INVALID_OPTIONS',
    `describeStoreContract() finds no ${missing.join('(), ')}(): call it in a test file of jest, or of vitest with ` +
      '`globals: true`, or pass { runner: { describe, test, beforeEach, afterEach } }',
  );
}
