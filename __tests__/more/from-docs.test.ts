/** A reader who has only the tarball, the docs and the package registry: no step is missing in the docs. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { Workshop } from '../package/projects.js';
import { startPostgres, type PrivatePostgres } from '../support/postgres-server.js';
import { commandsIn, fileNamedIn, hasRegistry, piecesOf, Reader, type Piece } from '../support/reader.js';
import { startRedis, type PrivateRedis } from '../support/redis-server.js';
import { wordsPrintedBy } from '../support/snippets.js';

const SLOW_MS = 600_000;
const BEGINNING = ['README.md', '# twiceshy', '## The problem'] as const;

/** What a reader of the docs meets, in this order, up to a place where each thing is done. */
const PROGRAMS: readonly (readonly [string, ...Parameters<typeof piecesOf>])[] = [
  ['the README', 'README.md', '## The problem', '## Stores'],
  ['a task with IdempotencyMiddleware', 'docs/tasks.md', '# Tasks', '## Making one'],
  ['a protected Express route on Redis', 'docs/http.md', '## Express', 'In Express 4'],
  ['Fastify and fetch', 'docs/http.md', '## Fastify', '[examples/express-shop]'],
  ['a transaction on PostgreSQL', 'docs/transactions.md', '# Transactions', '## What it is for'],
];
/** A unit test for each runner: `**jest**` begins its part. */
const RUNNERS = [
  ['node:test', '**jest**', /# pass 1|✔ an order/],
  ['jest', '**vitest**', /Tests: +1 passed, 1 total/],
  ['vitest', '**mocha**', /Tests +1 passed \(1\)/],
  ['mocha', '## Every adapter', /1 passing/],
] as const;

if (await hasRegistry()) fromDocs();
else {
  const sentence = 'NO PACKAGE REGISTRY ("npm ping" fails): nothing is built from the docs alone';
  process.stderr.write(`\n${sentence}\n\n`);
  (process.env['CI'] ? test : test.skip)('the package registry can be asked', () => {
    throw new Error(sentence);
  });
}

function fromDocs() {
  let workshop: Workshop;
  beforeAll(async () => void (workshop = await Workshop.open()), SLOW_MS);
  afterAll(() => workshop.close());

  /** A new folder, set up as the README begins. */
  async function reader(env?: NodeJS.ProcessEnv): Promise<Reader> {
    const made = await Reader.inNewFolder(workshop.tarball, env);
    const pieces = await piecesOf(...BEGINNING);
    for (const { kind, text } of pieces) {
      if (kind === 'sh') await made.runsEach(text);
      if (kind === '') for (const command of setUp(text)) await made.runs(command);
    }
    return made;
  }

  /** The commands of the README's beginning but for the one that runs a program. */
  const setUp = (prose: string) => commandsIn(prose).filter((command) => command.startsWith('npm '));

  describe('programs, in one folder', () => {
    let redis: PrivateRedis;
    let postgres: PrivatePostgres;
    let person: Reader;
    let file: string;
    let command: string;
    beforeAll(async () => {
      [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
      person = await reader({ REDIS_URL: redis.url, DATABASE_URL: postgres.url });
      const prose = (await piecesOf(...BEGINNING))
        .map(({ kind, text }) => (kind === '' ? text : ''))
        .join('');
      file = fileNamedIn(prose)!;
      command = commandsIn(prose).find((each) => each.startsWith('npx '))!;
    }, SLOW_MS);
    afterAll(async () => {
      await Promise.all([redis.stop(), postgres.stop(), person.leaves()]);
    });

    test.each(PROGRAMS)(
      '%s',
      async (_, ...part) => {
        let programs = 0;
        for (const { kind, text } of await piecesOf(...part)) {
          if (kind === 'sh') await person.runsEach(text);
          if (kind !== 'ts') continue;
          programs++;
          await person.saves(file, text);
          const printed = await person.runs(command);
          for (const word of wordsPrintedBy(text)) expect(printed).toContain(word);
        }
        expect(programs).toBeGreaterThan(0);
      },
      SLOW_MS,
    );
  });

  describe('a unit test', () => {
    let person: Reader | undefined;
    afterEach(() => person?.leaves());

    test.each(RUNNERS)(
      'in %s',
      async (runner, to, passes) => {
        person = await reader();
        const introduction = await piecesOf('docs/testing.md', '## With your test runner', '**node:test**');
        let file = fileNamedIn(introduction[0]!.text)!;
        let printed = '';
        for (const piece of await partOf(runner, to)) {
          if (piece.kind === '') file = fileNamedIn(piece.text) ?? file;
          else if (piece.kind === 'sh') printed = await person.runsEach(piece.text);
          else await person.saves(file, piece.text);
        }
        expect(printed).toMatch(passes);
      },
      SLOW_MS,
    );
  });
}

const partOf = (runner: string, to: string): Promise<Piece[]> =>
  piecesOf('docs/testing.md', `**${runner}**`, to);
