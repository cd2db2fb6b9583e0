import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startRedis, type PrivateRedis } from '../support/redis-server.js';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const TSX = import.meta.resolve('tsx');
const readme = await readFile(join(ROOT, 'README.md'), 'utf8');
const lines = readme.split('\n');

/** Every fenced block of the kind, with the line it starts at. */
function snippets(kind: string): { line: number; code: string }[] {
  const found: { line: number; code: string }[] = [];
  lines.forEach((line, at) => {
    if (line !== `\`\`\`${kind}`) return;
    found.push({ line: at + 1, code: lines.slice(at + 1, lines.indexOf('```', at)).join('\n') });
  });
  return found;
}

let server: PrivateRedis;
let folder: string;
beforeAll(async () => {
  server = await startRedis();
  // Inside the repo, so that `twiceshy` means the sources.
  folder = await mkdtemp(join(ROOT, '__tests__', 'tmp-readme-'));
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

test('README reaches working code within its first 25 lines', () => {
  const [first] = snippets('ts');
  expect(first!.line + first!.code.split('\n').length).toBeLessThanOrEqual(25);
});

describe('every program in the README', () => {
  test.each(snippets('ts'))(
    'at line $line runs, and prints what its comments say',
    async ({ line, code }) => {
      const file = join(folder, `line-${line}.ts`);
      await writeFile(file, `${code}\nexport {};\n`);
      const env = { ...process.env, NODE_OPTIONS: '', REDIS_URL: server.url };
      const { stdout, stderr } = await run(process.execPath, ['--import', TSX, file], {
        env,
        cwd: ROOT,
        timeout: 30_000,
      });
      expect(stderr).toBe('');
      // A comment of one word, behind a line that logs, is what that line prints.
      const said = [...code.matchAll(/console\.log\(.*; \/\/ (\S+)$/gm)].map((match) => match[1]);
      for (const word of said) expect(stdout).toContain(word);
    },
  );
});

test('the lines about jest stand in the example that jest runs', async () => {
  const example = await readFile(join(ROOT, 'examples/unit-test-with-mock.test.ts'), 'utf8');
  for (const { code } of snippets('ts test'))
    for (const line of code.split('\n')) expect(example).toContain(line);
});

test('every option has its default in the table, and every error code its meaning', async () => {
  const { COMMON_OPTION_NAMES } = await import('../../src/core/options.js');
  const { ERROR_CODES } = await import('../../src/core/errors.js');
  for (const option of COMMON_OPTION_NAMES)
    expect(readme).toMatch(new RegExp(`^\\| .*\`${option}\`.* \\| .+ \\| .+ \\|$`, 'm'));
  for (const code of Object.keys(ERROR_CODES))
    expect(readme).toMatch(new RegExp(`^\\| .*\`${code}\`.* \\| .+ \\|$`, 'm'));
});
