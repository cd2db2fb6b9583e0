import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { ERROR_CODES } from '../../src/core/errors.js';
import { ERRORS_PAGE, PROBLEM_CODES, problemFacts } from '../../src/http/internal/problem/problem.js';

const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
const sections = new Map(
  page
    .split(/^## /m)
    .slice(1)
    .map((section) => [/^<a id="(\w+)"><\/a>\1\n/.exec(section)?.[1], section]),
);

test.each([...new Set([...Object.keys(ERROR_CODES), ...PROBLEM_CODES])])(
  '%s has its section: when it comes, what the caller does, what the person on call does',
  (code) => {
    const section = sections.get(code);
    expect(section).toMatch(
      /\*\*When:\*\* \S.*\n- \*\*The caller:\*\* \S.*\n- \*\*The person on call:\*\* \S/,
    );
  },
);

test('every section is of a code', () => {
  expect([...sections.keys()].sort()).toEqual([...PROBLEM_CODES].sort());
});

test.each([...PROBLEM_CODES])(
  '%s: the link leads to its section, and the status there is its own',
  (code) => {
    const { link, status, retryable } = problemFacts(code, {});
    expect(link).toBe(`${ERRORS_PAGE}#${code}`);
    expect(ERRORS_PAGE).toMatch(/\/docs\/errors\.md$/);
    expect(sections.get(code)).toContain(`HTTP: ${status}`);
    expect(sections.get(code)?.includes('`Retry-After`\n')).toBe(retryable);
  },
);
