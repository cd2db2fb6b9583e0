/** What stands beside the code in a release: the lock file, the list of files, the bill of materials, the manifest. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';

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

test('the tarball holds the papers and the build, and nothing else', async () => {
  const [packed] = (await npm('pack', '--dry-run', '--ignore-scripts', '--json')) as [
    { files: { path: string }[] },
  ];
  const paths = packed.files.map(({ path }) => path);
  expect(paths.filter((path) => !path.startsWith('dist/')).sort()).toEqual([
    'ARCHITECTURE.md',
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
    'SECURITY.md',
    'package.json',
  ]);
  const odd = paths.filter(
    (path) => path.startsWith('dist/') && !/^dist\/[\w.-]+\.(c?js|d\.c?ts)$/.test(path),
  );
  expect(odd).toEqual([]);
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
