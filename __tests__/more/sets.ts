import { describe, test } from '@jest/globals';
import { findSet } from '../../scripts/more.mjs';

/**
 * Describes what needs a set of npm packages (scripts/more.mjs). Where it is not installed it says so, and its tests are
 * skipped; in CI that is a failure.
 */
export function describeWith(
  set: Parameters<typeof findSet>[0],
  name: string,
  tests: (modules: string) => void,
): void {
  const modules = findSet(set);
  if (modules !== undefined) return describe(name, () => tests(modules));
  const sentence = `NOT INSTALLED: the npm packages "${set}": run "npm run setup -- all". "${name}" IS NOT TESTED`;
  process.stderr.write(`\n${sentence}\n\n`);
  (process.env['CI'] ? test : test.skip)(`${name}: the packages are installed`, () => {
    throw new Error(sentence);
  });
}
