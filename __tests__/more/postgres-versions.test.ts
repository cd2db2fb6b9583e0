import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { describeWith } from './sets.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SLOW_MS = 400_000;

/**
 * A copy of a package's binaries where the user that runs PostgreSQL may read them. npm keeps no symbolic links, so the package
 * lists those of its libraries.
 */
function copyPackage(modules: string, name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `twiceshy-postgres-${name}-`));
  chmodSync(folder, 0o755);
  cpSync(join(modules, name), folder, { recursive: true });
  const links = JSON.parse(readFileSync(join(folder, 'native', 'pg-symlinks.json'), 'utf8')) as Link[];
  for (const { source, target } of links) {
    rmSync(join(folder, target), { force: true });
    symlinkSync(relative(dirname(target), source), join(folder, target));
  }
  const bin = join(folder, 'native', 'bin');
  for (const program of readdirSync(bin)) chmodSync(join(bin, program), 0o755);
  return folder;
}
interface Link {
  readonly source: string;
  readonly target: string;
}

describeWith('postgres', 'PostgreSQL', (modules) => {
  test.each([
    ['the oldest', 'oldest', '12'],
    ['the newest', 'newest', '18'],
  ])(
    '%s: the contract holds on PostgresStore (G1-G5)',
    (_, name, least) => {
      const folder = copyPackage(modules, name);
      const bin = join(folder, 'native', 'bin');
      const { stdout } = spawnSync(join(bin, 'postgres'), ['--version'], { encoding: 'utf8' });
      expect(Number(/ (\d+)\./.exec(stdout)?.[1])).toBeGreaterThanOrEqual(Number(least));
      const jest = ['--experimental-vm-modules', 'node_modules/jest/bin/jest.js', '-w', '1'];
      const { TWICESHY_TIER: __, DATABASE_URL: ___, ...env } = process.env;
      const run = spawnSync(process.execPath, [...jest, '__tests__/contract/postgres.test.ts'], {
        ...{ cwd: ROOT, encoding: 'utf8', timeout: SLOW_MS },
        env: { ...env, PATH: `${bin}:${process.env['PATH']}` },
      });
      rmSync(folder, { recursive: true });
      if (run.status !== 0) throw new Error(run.stderr.slice(-4_000));
      expect(run.stderr).toMatch(/Tests: .* [1-9]\d\d passed/);
    },
    SLOW_MS,
  );
});
