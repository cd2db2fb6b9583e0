/** Writes docs/options.md from the option tables and the TSDoc of the options interfaces: `npm run docs`. */
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { readOptionTables, type DescribedOption, type DescribedTable } from './read-options.js';
import type { Inheritance } from '../src/core/check.js';
import { COMMON_OPTIONS } from '../src/core/options.js';
import { IDEMPOTENT_OPTIONS } from '../src/function/idempotent.js';
import { MAKE_IDEMPOTENT_OPTIONS } from '../src/function/make-idempotent.js';
import { FUNCTION_OPTIONS } from '../src/function/options.js';
import { HTTP_INHERITANCE, HTTP_OPTIONS } from '../src/http/internal/options.js';
import { INSTANCE_OPTIONS, RUN_INHERITANCE, RUN_OPTIONS } from '../src/idempotency/options.js';
import { CONSUMER_INHERITANCE, CONSUMER_OPTIONS } from '../src/queue/internal/options.js';
import { DYNAMODB_OPTIONS } from '../src/stores/dynamodb/store.js';
import { KEY_VALUE_OPTIONS } from '../src/stores/keyvalue/options.js';
import { MEMORY_OPTIONS } from '../src/stores/memory/options.js';
import { POSTGRES_OPTIONS } from '../src/stores/postgres/store.js';
import { REDIS_OPTIONS } from '../src/stores/redis/options.js';
import { MIDDLEWARE_OPTIONS } from '../src/task/middleware.js';
import { TASK_DEFAULTS, TASK_INHERITANCE, TASK_OPTIONS } from '../src/task/options.js';
import { CONTRACT_OPTIONS } from '../src/testing/options.js';
import {
  TRANSACTION_DEFAULTS,
  TRANSACTION_INHERITANCE,
  TRANSACTION_OPTIONS,
} from '../src/transaction/transactions.js';

export const PAGE = fileURLToPath(new URL('../docs/options.md', import.meta.url));
export const COMMAND = 'npm run docs';

interface Section {
  readonly title: string;
  /** The option table, under its own name. */
  readonly table: { readonly [name: string]: object };
  /** Titles of sections whose options are taken too, and are not said again. */
  readonly takes?: readonly string[];
  readonly note?: string;
}

const COMMON = 'Common options';
const FUNCTIONS = 'Functions';
const TASKS = 'Tasks';

const SECTIONS: readonly Section[] = [
  { title: COMMON, table: { COMMON_OPTIONS }, note: 'They mean the same everywhere.' },
  {
    title: 'createIdempotency()',
    table: { INSTANCE_OPTIONS },
    takes: [COMMON],
    note: 'They hold for everything that is given the instance: see [what an instance passes on](#what-an-instance-passes-on).',
  },
  {
    title: 'run()',
    table: { RUN_OPTIONS },
    takes: [COMMON],
    note: 'An option that is given neither here nor to `createIdempotency()` has its default.',
  },
  {
    title: FUNCTIONS,
    table: { FUNCTION_OPTIONS },
    takes: [COMMON],
    note: 'Of `idempotent()` and `makeIdempotent()` alike. How to use them: [functions](functions.md).',
  },
  { title: 'idempotent()', table: { IDEMPOTENT_OPTIONS }, takes: [COMMON, FUNCTIONS] },
  { title: 'makeIdempotent()', table: { MAKE_IDEMPOTENT_OPTIONS }, takes: [COMMON, FUNCTIONS] },
  {
    title: TASKS,
    table: { TASK_DEFAULTS },
    takes: [COMMON],
    note: 'Given to the middleware, they are the defaults of all its tasks. Given in the entry of a task, they hold for that task. How to use them: [tasks](tasks.md).',
  },
  { title: 'IdempotencyMiddleware', table: { MIDDLEWARE_OPTIONS }, takes: [COMMON, TASKS] },
  { title: 'The entry of a task', table: { TASK_OPTIONS }, takes: [COMMON, TASKS] },
  {
    title: 'HTTP adapters',
    table: { HTTP_OPTIONS },
    takes: [COMMON],
    note: 'Of `expressIdempotency()`, `fastifyIdempotency()` and `fetchIdempotency()`. How to use them: [HTTP](http.md).',
  },
  {
    title: 'Consumers',
    table: { CONSUMER_OPTIONS },
    takes: [COMMON],
    note: 'Of `idempotentConsumer()`, and of the consumers for BullMQ, RabbitMQ and SQS, which know `name` and `key` by themselves. How to use them: [consumers](consumers.md).',
  },
  {
    title: 'transaction()',
    table: { TRANSACTION_OPTIONS },
    takes: [COMMON],
    note: 'How to use them: [transactions](transactions.md).',
  },
  {
    title: 'The transactions of PostgresStore',
    table: { TRANSACTION_DEFAULTS },
    takes: [COMMON],
    note: 'They stand in the option `transactions` of [`PostgresStore`](#postgresstore), and hold for each `transaction()` of that store.',
  },
  { title: 'InMemoryStore', table: { MEMORY_OPTIONS }, note: 'More: [the store](stores/memory.md).' },
  { title: 'RedisStore', table: { REDIS_OPTIONS }, note: 'More: [the store](stores/redis.md).' },
  { title: 'PostgresStore', table: { POSTGRES_OPTIONS }, note: 'More: [the store](stores/postgres.md).' },
  { title: 'DynamoDBStore', table: { DYNAMODB_OPTIONS }, note: 'More: [the store](stores/dynamodb.md).' },
  { title: 'KeyValueStore', table: { KEY_VALUE_OPTIONS }, note: 'More: [the store](stores/keyvalue.md).' },
  {
    title: 'describeStoreContract()',
    table: { CONTRACT_OPTIONS },
    note: 'The tests for [a store of your own](stores/own.md).',
  },
];

type Rules = Readonly<Record<string, Inheritance>>;
/** Who takes what from whom, by the adapter that takes it. */
const FROM_INSTANCE = { 'run()': RUN_INHERITANCE, HTTP: HTTP_INHERITANCE, consumers: CONSUMER_INHERITANCE };
const FROM_MIDDLEWARE = { 'entry of a task': TASK_INHERITANCE };
const FROM_STORE = { 'transaction()': TRANSACTION_INHERITANCE };

const WORDS = {
  inherited: 'It holds, unless the adapter or the call is given its own.',
  combined: 'Both hold: what is given here says more, within what the instance says.',
  kept: 'It holds. Another one can not be given here.',
  replaced: 'It is not used: there is always an own one here.',
  refused:
    'It means something else here, so it is refused with `INVALID_OPTIONS`, unless an own one is given.',
} satisfies Record<Inheritance, string>;

/** The tables that stand on the page. */
export const tablesOnThePage = (): object[] => SECTIONS.flatMap(({ table }) => Object.values(table));

/** The page as it should be. @throws Error for an option that is not described whole */
export function optionsPage(): string {
  const tables = readOptionTables(
    Object.assign({}, ...SECTIONS.map(({ table }) => table)) as Record<string, object>,
  );
  const tableOf = ({ table }: Section): DescribedTable => tables.get(Object.keys(table)[0]!)!;
  const sections = SECTIONS.map((section) => {
    const taken = SECTIONS.filter(({ title }) => section.takes?.includes(title));
    return sectionText(section, tableOf(section), new Map(taken.map((each) => [each.title, tableOf(each)])));
  });
  return `${INTRODUCTION}\n${[...sections, passedOn()].join('\n')}`;
}

const INTRODUCTION = `# Options

<!-- Written by \`${COMMAND}\` from the option tables and the TSDoc in src. Do not change it here. -->

Every option of every adapter and store. A name that is not listed is refused with \`INVALID_OPTIONS\`, and so is a value of another type.
An option that is \`undefined\` counts as not given, except where the text says otherwise: \`scope\`, \`payload\`, \`key\` and \`prefix\` are
refused when they are there and \`undefined\`, since a missing value would let callers share a record who should not. (Tasks take a
\`prefix\` that is \`undefined\`.)

A \`Duration\` is milliseconds as a number, or text such as \`'500ms'\`, \`'20s'\`, \`'15m'\`, \`'24h'\`, \`'7d'\`.
`;

function sectionText(
  { title, note }: Section,
  table: DescribedTable,
  taken: ReadonlyMap<string, DescribedTable>,
): string {
  // The last one names those before it.
  const named = [...taken].slice(-1);
  const said = [...taken.values()].flatMap((each) => each.options.map(({ source }) => source));
  const own = table.options.filter(({ source }) => !said.includes(source));
  const head = [`## ${title.includes('(') ? `\`${title}\`` : title}`];
  const lines = [note, ...named.map(([name, each]) => alsoTaken(name, each, table))].filter(Boolean);
  if (lines.length > 0) head.push(lines.join('\n'));
  const rows = own.map(row);
  return `${[...head, ['| option | type | default | what it is for |', '|---|---|---|---|', ...rows].join('\n')].join('\n\n')}\n`;
}

/** That the options of another section are taken too, and which of them are not. */
function alsoTaken(title: string, other: DescribedTable, table: DescribedTable): string {
  const sources = table.options.map(({ source }) => source);
  const names = table.options.map(({ name }) => name);
  const left = other.options.filter(({ source }) => !sources.includes(source)).map(({ name }) => name);
  const [others, missing] = [left.filter((n) => names.includes(n)), left.filter((n) => !names.includes(n))];
  const all = `Besides these, there are the ${title === COMMON ? 'common options' : `options of ${title.toLowerCase()}`}`;
  const link = all.replace(/the (.*)$/, `the [$1](#${anchorOf(title)})`);
  const but = missing.length > 0 ? `, but not ${list(missing)}` : '';
  const differs = others.length > 0 ? ` ${list(others)} in the table below differs from the one there.` : '';
  return `${link}${but}.${others.length > 1 ? differs.replace('differs', 'differ').replace('the one', 'those') : differs}`;
}

const row = ({ name, type, default: standard, isRequired, text }: DescribedOption): string =>
  `| \`${name}\` | ${cell(type)} | ${isRequired ? '**required**' : cell(standard)} | ${cell(text)} |`;

function passedOn(): string {
  const words = Object.entries(WORDS).map(([rule, meaning]) => `| ${rule} | ${meaning} |`);
  return [
    '## What an instance passes on',
    'HTTP adapters and consumers may be given `idempotency`, an instance that `createIdempotency()` made. Its options then hold there too, by these rules:',
    ['| rule | what becomes of the option of the instance |', '|---|---|', ...words].join('\n'),
    ruleTable(FROM_INSTANCE),
    'The same from `IdempotencyMiddleware` to its tasks, where `onDuplicate` and `onAbandoned` are passed on as well:',
    ruleTable(FROM_MIDDLEWARE),
    'And from the option `transactions` of `PostgresStore` to each `transaction()`:',
    `${ruleTable(FROM_STORE)}\n`,
  ].join('\n\n');
}

/** Options of the same rules share a row. */
function ruleTable(adapters: { readonly [adapter: string]: Rules }): string {
  const names = new Set(Object.values(adapters).flatMap((rules) => Object.keys(rules)));
  const rows = new Map<string, string[]>();
  for (const name of names) {
    const rules = Object.values(adapters)
      .map((of) => of[name] ?? 'none')
      .join(' | ');
    rows.set(rules, [...(rows.get(rules) ?? []), `\`${name}\``]);
  }
  const head = [
    'options',
    ...Object.keys(adapters).map((adapter) => (adapter.includes('(') ? `\`${adapter}\`` : adapter)),
  ];
  return [
    `| ${head.join(' | ')} |`,
    `|${'---|'.repeat(head.length)}`,
    ...[...rows].map(([rules, shared]) => `| ${shared.join(', ')} | ${rules} |`),
  ].join('\n');
}

const list = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(', ');
const cell = (text: string): string => text.replaceAll('|', '\\|');
const anchorOf = (title: string): string =>
  title
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-');

if (process.argv[1] === fileURLToPath(import.meta.url)) await writeFile(PAGE, optionsPage());
