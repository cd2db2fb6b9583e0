import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { linksIn } from '../support/links.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const top = await readdir(ROOT);
const below = await Promise.all(
  ['docs', 'examples', 'src'].map(async (folder) =>
    (await readdir(join(ROOT, folder), { recursive: true })).map((name) => join(folder, name)),
  ),
);
const PAGES = [...top, ...below.flat()].filter((name) => name.endsWith('.md'));

const textOf = (page: string) => readFile(join(ROOT, page), 'utf8');

/** The anchors that GitHub gives a page: one for each heading, and those that stand in the page itself. */
async function anchorsOf(page: string): Promise<Set<string>> {
  const text = await textOf(page);
  const anchors = new Set([...text.matchAll(/<a id="([^"]+)">/g)].map((match) => match[1]!));
  for (const [, heading] of text.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/^#{1,6} (.+)$/gm)) {
    const words = heading!.replace(/<[^>]+>/g, '').toLowerCase();
    const anchor = words.replace(/[^\p{L}\p{N}\s_-]/gu, '').replace(/\s/g, '-');
    let unique = anchor;
    for (let n = 1; anchors.has(unique); n++) unique = `${anchor}-${n}`;
    anchors.add(unique);
  }
  return anchors;
}

test.each(PAGES)('%s: every link leads to a file that is there, and to a heading of it', async (page) => {
  const broken: string[] = [];
  for (const { target, path, anchor, isAbsolute } of linksIn(await textOf(page))) {
    if (isAbsolute) continue;
    const file = path === '' ? page : relative(ROOT, join(ROOT, dirname(page), path));
    if (!existsSync(join(ROOT, file))) broken.push(target);
    else if (anchor !== undefined && !(await anchorsOf(file)).has(anchor)) broken.push(target);
  }
  expect(broken).toEqual([]);
});

test('every page of docs/ can be reached from the README', async () => {
  const reached = new Set(['README.md']);
  for (const page of reached) {
    for (const { path, isAbsolute } of linksIn(await textOf(page))) {
      const file = relative(ROOT, join(ROOT, dirname(page), path));
      if (!isAbsolute && path.endsWith('.md') && existsSync(join(ROOT, file))) reached.add(file);
    }
  }
  expect(PAGES.filter((page) => page.startsWith('docs') && !reached.has(page))).toEqual([]);
});
