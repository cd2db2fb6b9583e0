import { readFile } from 'node:fs/promises';
import { beforeAll, expect, test } from '@jest/globals';
import { COMMAND, optionsPage, PAGE, tablesOnThePage } from '../../scripts/options-page.js';
import { optionTables } from './tables.js';

let page: string;
// It reads all of src with the TypeScript compiler, and throws for an option without a sentence or a default.
beforeAll(() => void (page = optionsPage()), 240_000);

test('docs/options.md is what the option tables and their TSDoc say', async () => {
  const found = await readFile(PAGE, 'utf8').catch(() => '');
  // Not toBe(): what is to be said is the command, and not a thousand lines.
  const [said, due] = [found.split('\n'), page.split('\n')];
  const at = due.findIndex((line, index) => line !== said[index]);
  const isSame = at < 0 && said.length === due.length;
  const hint = isSame ? '' : `docs/options.md is not what the code says: run "${COMMAND}"`;
  expect({ hint, line: isSame ? '' : said[at] }).toEqual({ hint: '', line: isSame ? '' : due[at] });
});

test('docs/options.md has every option table', () => {
  const missing = Object.entries(optionTables).filter(([, table]) => !tablesOnThePage().includes(table));
  expect(missing.map(([title]) => title)).toEqual([]);
});
