/** What stands beside the code in a release: the lock file, the list of files, the bill of materials, the manifest. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { linksIn } from '../support/links.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const run = promisify(execFile);
const readJson = async (file: string) => JSON.parse(await readFile(`${ROOT}${file}`, 'utf8')) as unknown;
const npm = async (...args: string[]) =>
  JSON.parse((await run('npm', args, { cwd: ROOT, maxBuffer: 64 * 1024 * 1024 })).stdout) as unknown;

interface Entry {
  readonly link?: boolean;
  readonly integrity?: string;
}

test('every entry of the lock file has an integrity that npm checks', async () => {
  const { packages } = (await readJson('package-lock.json')) as { packages: Record<string, Entry> };
  const entries = Object.entries(packages).filter(([path, { link }]) => path !== '' && !link);
  expect(entries.length).toBeGreaterThan(100);
  const unchecked = entries.filter(([, { integrity }]) => !/^sha512-[\w+/]{86}==$/.test(integrity ?? ''));
  expect(unchecked.map(([path]) => path)).toEqual([]);
});

async function packedPaths(): Promise<string[]> {
  const [packed] = (await npm('pack', '--dry-run', '--ignore-scripts', '--json')) as [
    { files: { path: string }[] },
  ];
  return packed.files.map(({ path }) => path);
}

test('the tarball holds the papers, the docs, the examples and the build, and nothing else', async () => {
  const paths = await packedPaths();
  const top = paths.filter((path) => !path.startsWith('dist/'));
  expect(top.filter((path) => !/^(docs|examples)\//.test(path)).sort()).toEqual([
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
    'RELIABILITY.md',
    'SECURITY.md',
    'package.json',
  ]);
  const tracked = await run('git', ['ls-files', 'docs', 'examples'], { cwd: ROOT });
  expect(top.filter((path) => /^(docs|examples)\//.test(path)).sort()).toEqual(
    tracked.stdout.trim().split('\n').sort(),
  );
  const odd = paths.filter(
    (path) => path.startsWith('dist/') && !/^dist\/[\w.-]+\.(c?js|d\.c?ts)$/.test(path),
  );
  expect(odd).toEqual([]);
});

test('every link in the tarball leads to a file in it, or to a file of the repository by its whole address', async () => {
  const { homepage } = (await readJson('package.json')) as { homepage: string };
  const home = homepage.replace('#readme', '');
  const paths = await packedPaths();
  const isPacked = (file: string) => paths.some((path) => path === file || path.startsWith(`${file}/`));
  const broken: string[] = [];
  for (const page of paths.filter((path) => path.endsWith('.md'))) {
    for (const { target, path, isAbsolute } of linksIn(await readFile(`${ROOT}${page}`, 'utf8'))) {
      const ofHome = /^\/(?:blob|tree)\/main\/(.*)/.exec(path.replace(home, ''))?.[1];
      const file = path === '' ? page : posix.join(posix.dirname(page), path);
      const isThere = isAbsolute ? ofHome === undefined || existsSync(`${ROOT}${ofHome}`) : isPacked(file);
      if (!isThere) broken.push(`${page}: ${target}`);
    }
  }
  expect(broken).toEqual([]);
});

test('the home of the library is the one that package.json names, wherever it is named', async () => {
  const { homepage } = (await readJson('package.json')) as { homepage: string };
  const name = new URL(homepage).pathname.slice(1);
  const pages = (await packedPaths()).filter((path) => path.endsWith('.md'));
  const texts = await Promise.all(pages.map((page) => readFile(`${ROOT}${page}`, 'utf8')));
  const named = texts.flatMap((text) => [...text.matchAll(/github\.com\/([\w-]+\/twiceshy)\b/g)]);
  expect([...new Set(named.map((match) => match[1]))]).toEqual([name]);
});

test('the bill of materials has no component: the package bundles nothing and depends on nothing', async () => {
  const bill = await npm('run', '--silent', 'sbom');
  expect(bill).toMatchObject({ bomFormat: 'CycloneDX', components: [] });
});

test('the manifest is ready for a release with provenance', async () => {
  const manifest = await readJson('package.json');
  expect(manifest).toMatchObject({
    publishConfig: { access: 'public', provenance: true },
    repository: { type: 'git', url: 'git+https://github.com/twiceshy/twiceshy.git' },
    license: 'MIT',
  });
  expect(manifest).not.toHaveProperty('dependencies');
});
