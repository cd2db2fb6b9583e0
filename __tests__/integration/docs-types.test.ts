import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { fileOf, programsInParts, ROOT, snippets } from '../support/snippets.js';

const run = promisify(execFile);
/** Programs need not use all that they show; else they are compiled as the repo is, which is strict. */
const LENIENT = { noUnusedLocals: false, noUnusedParameters: false, lib: ['ES2022', 'DOM'] };

let folder: string;
beforeAll(async () => {
  // Inside the repo, so that `twiceshy` means the sources.
  folder = await mkdtemp(join(ROOT, '__tests__', 'tmp-types-'));
});
afterAll(() => rm(folder, { recursive: true }));

test('every program in the README and in docs/ compiles under strict TypeScript', async () => {
  for (const kind of ['ts', 'ts rabbitmq', 'ts jest']) {
    for (const snippet of await snippets(kind))
      await writeFile(join(folder, fileOf(snippet)), `${snippet.code}\nexport {};\n`);
  }
  for (const program of await programsInParts()) await writeFile(join(folder, fileOf(program)), program.code);
  const config = { extends: '../../tsconfig.json', compilerOptions: LENIENT, include: ['*.ts'] };
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config));
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  // What tsc has to say is on its standard output, also where it fails.
  const said = await run(process.execPath, [tsc, '-p', folder], { cwd: ROOT }).then(
    ({ stdout }) => stdout,
    (error: { stdout: string }) => error.stdout,
  );
  expect(said).toBe('');
}, 180_000);
