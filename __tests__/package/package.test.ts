import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { exportedFiles, readDist, Workshop, type Ended, type Project } from './projects.js';

const SLOW_MS = 240_000;
const FORMATS = [
  ['ESM', 'mjs'],
  ['CommonJS', 'cjs'],
] as const;

let workshop: Workshop;
beforeAll(async () => (workshop = await Workshop.open()), SLOW_MS);
afterAll(() => workshop.close());

describe('the tarball', () => {
  test('holds the build, the papers, docs, examples and package.json, and no source or test', () => {
    const top = new Set(workshop.packed.map((path) => path.replace(/\/.*/, '/')));
    expect(workshop.packed).toEqual(
      expect.arrayContaining(['README.md', 'CHANGELOG.md', 'LICENSE', 'package.json', 'docs/options.md']),
    );
    expect([...top].filter((name) => !/\.md$/.test(name)).sort()).toEqual([
      'LICENSE',
      'dist/',
      'docs/',
      'examples/',
      'package.json',
    ]);
    const ofOurs = workshop.packed.filter((path) => !path.startsWith('examples/'));
    expect(ofOurs.filter((path) => /\.test\.|(?<!\.d)\.c?ts$/.test(path))).toEqual([]);
  });

  test('has a file for every path in exports', async () => {
    expect(workshop.packed).toEqual(expect.arrayContaining(await exportedFiles()));
  });

  test('has a CommonJS build that loads ioredis with require, so that jest can mock it', async () => {
    const commonJs = [...(await readDist(/\.cjs$/)).values()].join('\n');
    expect(commonJs).toMatch(/require\(["']ioredis["']\)/);
    expect(commonJs).not.toMatch(/\bimport\(\s*["']/);
  });

  test('has types that name no client library and no any', async () => {
    for (const [name, text] of await readDist(/\.d\.c?ts$/)) {
      const code = text.replace(/\/\*[\s\S]*?\*\//g, '');
      expect({ name, clients: code.match(/from ['"](?!\.)[^'"]+|import\(['"](?!\.)[^'"]+/g) ?? [] }).toEqual({
        name,
        clients: [],
      });
      // The word may stand in a text, such as the title of a problem.
      const withoutTexts = code.replace(/"(?:[^"\\\n]|\\.)*"/g, '""');
      expect({ name, any: withoutTexts.match(/.*\bany\b.*/g) ?? [] }).toEqual({ name, any: [] });
    }
  });
});

describe('in a project with nothing else installed', () => {
  let project: Project;
  beforeAll(async () => (project = await workshop.project('bare')), SLOW_MS);

  test.each(FORMATS)('every subpath loads from %s, without any client or framework', async (_, ext) => {
    expect(await project.node(`load.${ext}`)).toEqual({
      names: {
        '.': expect.arrayContaining(['IdempotencyMiddleware', 'createIdempotency', 'idempotent']),
        './memory': ['InMemoryStore'],
        './pipeline': expect.arrayContaining(['Result', 'Task', 'required']),
        './redis': ['RedisStore'],
        './postgres': expect.arrayContaining(['PostgresStore', 'sqlFor']),
        './dynamodb': expect.arrayContaining(['DynamoDBStore', 'tableDefinition']),
        './keyvalue': ['KeyValueStore'],
        './express': expect.arrayContaining(['expressIdempotency']),
        './fastify': expect.arrayContaining(['fastifyIdempotency']),
        './fetch': expect.arrayContaining(['fetchIdempotency']),
        './consumer': expect.arrayContaining(['idempotentConsumer']),
        './bullmq': expect.arrayContaining(['idempotentProcessor']),
        './amqp': expect.arrayContaining(['consumeIdempotently']),
        './sqs': expect.arrayContaining(['sqsBatchHandler']),
        './testing': ['FaultyStore', 'ReferenceModel', 'describeStoreContract', 'storeDown'],
      },
      oneInMemoryStore: true,
    });
  });

  test('ESM and CommonJS give the same names', async () => {
    expect(await project.node('load.mjs')).toEqual(await project.node('load.cjs'));
  });

  test.each(FORMATS)('work runs once on InMemoryStore, from %s', async (_, ext) => {
    expect(await project.node(`run-in-memory.${ext}`)).toEqual({
      charges: 1,
      first: 'ch_1',
      second: 'ch_1',
      isDate: true,
    });
  });

  test.each(FORMATS)('using Redis without ioredis says what to install, from %s', async (_, ext) => {
    const says = expect.stringContaining('npm install ioredis');
    expect(await project.node(`redis-missing.${ext}`)).toEqual({
      charges: 0,
      run: { ours: true, code: 'INVALID_OPTIONS', message: says },
      task: { status: 'failed', code: 'INVALID_OPTIONS', reason: says },
    });
  });
});

describe('in a project with client libraries installed', () => {
  let project: Project;
  beforeAll(async () => (project = await workshop.project('lazy', { stubs: 'stubs' })), SLOW_MS);

  test.each(FORMATS)(
    'importing and constructing loads none of them, and the first use ioredis, from %s',
    async (_, ext) => {
      expect(await project.node(`load.${ext}`)).toEqual({
        afterImport: [],
        afterConstruction: [],
        afterFirstUse: ['ioredis'],
      });
    },
  );
});

describe('an ESM and a CommonJS copy in one process', () => {
  let seen: Record<string, unknown>;
  beforeAll(async () => {
    const project = await workshop.project('both-copies');
    seen = await project.node('main.js');
    expect(seen['twoCopies']).toBe(true);
  }, SLOW_MS);

  test('know each other’s errors', () => {
    expect(seen['guards']).toEqual({ esmKnowsCjs: true, cjsKnowsEsm: true, foreign: false });
  });

  test('join each other’s runs on one store: one execution, one claim, one answer', () => {
    const answer = { chargeId: 'ch_1' };
    expect(seen['joined']).toEqual({ executions: 1, claims: 1, answers: [answer, answer] });
  });

  test('see the same current attempt', () => {
    expect(seen['attempt']).toEqual({ key: true, same: true, seenByTheirs: true, outside: true });
  });

  test('share the middleware of a URL', () => {
    expect(seen['middleware']).toBe(true);
  });
});

describe('in a TypeScript project without ioredis, strict, with library checks', () => {
  let project: Project;
  beforeAll(async () => (project = await workshop.project('types', { links: ['@types/node'] })), SLOW_MS);

  test.each([
    ['ESM and CommonJS under module node16', 'tsconfig.node16.json'],
    ['ESM under moduleResolution bundler, without types of Node', 'tsconfig.bundler.json'],
  ])(
    '%s compiles',
    async (_, config) => {
      expect(await project.tool('typescript/bin/tsc', ['-p', config])).toEqual({ code: 0, output: '' });
    },
    SLOW_MS,
  );
});

describe('in a project tested with jest', () => {
  const links = ['ioredis', 'ioredis-mock', '@jest/globals'];

  test(
    'CommonJS: jest.mock("ioredis") takes effect, InMemoryStore needs no mock, and jest ends by itself',
    async () => {
      const project = await workshop.project('jest-commonjs', { links });
      const { code, output } = await project.tool('jest/bin/jest.js', ['--runInBand']);
      expect(output).toContain('Tests:       2 passed, 2 total');
      expect(code).toBe(0);
    },
    SLOW_MS,
  );

  test(
    'ESM: jest.unstable_mockModule("ioredis") takes effect, InMemoryStore needs no mock, and jest ends by itself',
    async () => {
      const project = await workshop.project('jest-esm', { links });
      const { code, output } = await project.tool(
        'jest/bin/jest.js',
        ['--runInBand'],
        ['--experimental-vm-modules'],
      );
      expect(output).toContain('Tests:       2 passed, 2 total');
      expect(code).toBe(0);
    },
    SLOW_MS,
  );
});

describe('in a project with a store of its own', () => {
  const jestIn = (project: Project, file: string): Promise<Ended> =>
    project.tool('jest/bin/jest.js', ['--runInBand', file], ['--experimental-vm-modules']);

  test(
    'ten lines run the contract in jest, from CommonJS, and from ESM without the random histories',
    async () => {
      const project = await workshop.project('own-store', { links: ['fast-check'] });
      const commonJs = await jestIn(project, 'commonjs.test.cjs');
      expect(commonJs.output).toMatch(/Tests: +(\d+) passed, \1 total/);
      const esm = await jestIn(project, 'esm.test.mjs');
      expect(esm.output).toContain('reference model": fast-check is not for everybody');
      expect(esm.output).toMatch(/Tests: +1 skipped, \d+ passed/);
      expect([commonJs.code, esm.code]).toEqual([0, 0]);
      expect(await project.node('without-runner.cjs')).toEqual({
        code: 'INVALID_OPTIONS',
        message: expect.stringContaining('globals: true'),
        faulty: 'function',
      });
    },
    SLOW_MS,
  );

  test(
    'random histories without fast-check fail with what to install',
    async () => {
      const project = await workshop.project('own-store', { folder: 'own-store-without' });
      const { code, output } = await jestIn(project, 'commonjs.test.cjs');
      expect(output).toContain('npm install --save-dev fast-check');
      expect(output).toMatch(/Tests: +1 failed, \d+ passed/);
      expect(code).toBe(1);
    },
    SLOW_MS,
  );
});
