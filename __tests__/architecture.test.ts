import { describe, expect, test } from '@jest/globals';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { importFault, RULES } from '../scripts/import-rules.js';

/**
 * The rules of the house. Who may import whom stands in scripts/import-rules.js, which the linter reads too; here it is held
 * for what the linter does not see as well: import types, cycles, missing contract tests.
 */
const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MAX_LINES = 250;
const MAX_FILES = 16;
const MAX_WORDS = 1_500;
type Files = ReadonlyMap<string, string>;

interface Import {
  readonly kind: 'value' | 'type' | 'dynamic';
  readonly from: string;
  /** A path in src, or the specifier of a package. */
  readonly to: string;
}

const src = readFiles('src');

describe('architecture', () => {
  test('every import is one that its folder may make', () => {
    expect(forbiddenImports(src)).toEqual([]);
  });

  test('ARCHITECTURE.md says the same', () => {
    const papers = read('ARCHITECTURE.md');
    expect(RULES.map(({ may }) => may).filter((sentence) => !papers.includes(sentence))).toEqual([]);
  });

  test(`ARCHITECTURE.md has ${MAX_WORDS} words at most, and names every page of decisions`, () => {
    const papers = read('ARCHITECTURE.md');
    expect(papers.split(/\s+/).filter(Boolean).length).toBeLessThanOrEqual(MAX_WORDS);
    expect(pagesOfDecisions().filter((path) => !papers.includes(`](${path})`))).toEqual([]);
  });

  test('CONTRIBUTING.md answers ten questions or more, each by a path that exists', () => {
    const section = /## Where things are\n(.*?)\n## /s.exec(read('CONTRIBUTING.md'))?.[1] ?? '';
    const answers = [...section.matchAll(/^\| .*\? \| (.*) \|$/gm)].map(([, answer = '']) => answer);
    const paths = answers.map((answer) => /`([\w./-]+)`$/.exec(answer)?.[1] ?? `no path: ${answer}`);
    expect(paths.length).toBeGreaterThanOrEqual(10);
    expect(paths.filter((path) => !existsSync(`${ROOT}${path}`))).toEqual([]);
  });

  test(`a folder in src holds ${MAX_FILES} files at most`, () => {
    expect(fullFolders(src)).toEqual([]);
  });

  test('there is no circular import, types included', () => {
    expect(cycles(src)).toEqual([]);
  });

  test('index.ts holds names only', () => {
    expect(statementsOfIndex(src)).toEqual([]);
  });

  test(`a file in src has ${MAX_LINES} lines of code at most`, () => {
    expect(longFiles(src)).toEqual([]);
  });

  test('every store is run by the contract suite', () => {
    expect(storesWithoutContract(src, readFiles('__tests__/contract'))).toEqual([]);
  });

  test('package.json exports, tsup entries and tsconfig paths name the same subpaths and files', () => {
    const { exports } = JSON.parse(read('package.json')) as { exports: Record<string, unknown> };
    const { compilerOptions } = JSON.parse(read('tsconfig.json')) as { compilerOptions: { paths: Paths } };
    const entries = tsupEntries(read('tsup.config.ts'));
    const subpaths = Object.keys(entries).map((entry) => (entry === 'index' ? '.' : `./${entry}`));

    expect(Object.keys(exports).filter((subpath) => subpath !== './package.json')).toEqual(subpaths);
    expect(exports).toEqual({
      ...Object.fromEntries(Object.keys(entries).map(exportOf)),
      './package.json': './package.json',
    });
    expect(compilerOptions.paths).toEqual(Object.fromEntries(Object.entries(entries).map(pathOf)));
    for (const file of Object.values(entries)) expect([...src.keys()]).toContain(file.replace('src/', ''));
  });
});

describe('the rules bite', () => {
  const exceptMissing = (path: string): boolean => !path.includes('missing');

  test.each([
    ['core/a.ts', "import '../keys/b.js'"],
    ['core/a.ts', "import { createHash } from 'node:crypto'"],
    ['core/a.ts', "export const load = () => import('../stores/memory.js')"],
    ['core/a.ts', "import type { Redis } from 'ioredis'"],
    ['keys/a.ts', "import { isLive } from '../core/record.js'"],
    ['keys/a.ts', "import { type StoredRecord } from '../core/record.js'"],
    ['codec/a.ts', "import '../keys/b.js'"],
    ['stores/a/store.ts', "import '../b/store.js'"],
    ['stores/a/store.ts', "import type { Engine } from '../../core/engine/engine.js'"],
    ['stores/a/store.ts', "import { Redis } from 'ioredis'"],
    ['stores/a/store.ts', "import { type Redis } from 'ioredis'"],
    ['stores/shared/a.ts', "export * from '../memory/store.js'"],
    ['task/a.ts', "import type { InMemoryStore } from '../stores/memory/store.js'"],
    ['task/a.ts', "type Store = import('../stores/memory/store.js').InMemoryStore"],
    ['task/a.ts', "import '../function/b.js'"],
    ['http/a.ts', "import '../default-store.js'"],
    ['task/a.ts', "await import('ioredis')"],
    ['http/internal/a.ts', "import '../../queue/b.js'"],
    ['http/a.ts', "import express from 'express'"],
    ['http/a.ts', "import { fastify } from 'fastify'"],
    ['queue/a.ts', "import { Worker } from 'bullmq'"],
    ['queue/internal/a.ts', "import '../../stores/memory/store.js'"],
    ['pipeline/a.ts', "import 'node:crypto'"],
    ['idempotency/a.ts', "import '../stores/memory/store.js'"],
    ['idempotency/a.ts', "import '../default-store.js'"],
    ['elsewhere/a.ts', "import 'node:fs'"],
    ['task/a.ts', "import 'lodash'"],
    ['task/a.ts', "import './missing.js'"],
  ])('%s must not contain: %s', (path, text) => {
    expect(forbiddenImports(new Map([[path, text]]), exceptMissing)).toEqual([expect.stringContaining(path)]);
  });

  test.each([
    ['core/a.ts', "import './errors.js'"],
    ['codec/a.ts', "import type { StoredRecord } from '../core/record.js'"],
    ['stores/a/store.ts', "export const load = () => import('ioredis')"],
    [
      'stores/a/store.ts',
      "import type { Redis } from 'ioredis'; import './b.js'; import '../shared/kept.js'",
    ],
    ['http/a.ts', "import '../core/store.js'; import '../idempotency/runtime.js'"],
    ['task/a.ts', "import '../default-store.js'"],
    ['http/a.ts', "import type {} from 'fastify'"],
    ['queue/a.ts', "import type { Job } from 'bullmq'; import './internal/delivery.js'"],
  ])('%s may contain: %s', (path, text) => {
    expect(forbiddenImports(new Map([[path, text]]), exceptMissing)).toEqual([]);
  });

  test('a folder that is too full is found', () => {
    const files = (count: number) => Array.from({ length: count }, (_, at) => [`core/${at}.ts`, ''] as const);
    expect(fullFolders(new Map(files(MAX_FILES)))).toEqual([]);
    expect(fullFolders(new Map(files(MAX_FILES + 1)))).toHaveLength(1);
  });

  test('a cycle, a long file, a statement in index.ts and an untested store are found', () => {
    const loop = new Map([
      ['a.ts', "import type { B } from './b.js'"],
      ['b.ts', "export const a = () => import('./a.js')"],
    ]);
    expect(cycles(loop)).toEqual(['a.ts -> b.ts -> a.ts: circular']);
    const lines = (count: number, line: string) => new Map([['a.ts', `${line}\n`.repeat(count)]]);
    expect(longFiles(lines(MAX_LINES + 1, 'f();'))).toHaveLength(1);
    expect(longFiles(lines(MAX_LINES, 'f(); // why\n\n// a comment\n  /** doc\n * more\n */'))).toEqual([]);
    expect(statementsOfIndex(new Map([['index.ts', "import './a.js'"]]))).toHaveLength(1);
    const untested = new Map([['x.test.ts', "import { DueStore } from '../../src/stores/due/store.js'"]]);
    expect(storesWithoutContract(new Map([['stores/due/store.ts', '']]), untested)).toHaveLength(1);
  });
});

function forbiddenImports(files: Files, exists = (path: string) => files.has(path)): string[] {
  return [...files].flatMap(([path, text]) =>
    importsOf(path, text).flatMap(({ kind, to }) => {
      const isMissing = to.endsWith('.ts') && !exists(to);
      const fault = isMissing ? 'there is no such file' : importFault(path, to, kind);
      return fault ? [`${path} imports ${to} (${kind}): ${fault}`] : [];
    }),
  );
}

function importsOf(from: string, text: string): Import[] {
  const found: Import[] = [];
  const add = (kind: Import['kind'], node: ts.Node | undefined): void => {
    if (!node || !ts.isStringLiteralLike(node)) return;
    const isLocal = node.text.startsWith('.');
    const to = isLocal ? posix.join(posix.dirname(from), node.text).replace(/\.js$/, '.ts') : node.text;
    found.push({ kind, from, to });
  };
  const visit = (node: ts.Node): void => {
    // `import { type A }` still loads the module: only `import type` is erased.
    if (ts.isImportDeclaration(node)) {
      const isType = node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword;
      add(isType ? 'type' : 'value', node.moduleSpecifier);
    } else if (ts.isExportDeclaration(node)) add(node.isTypeOnly ? 'type' : 'value', node.moduleSpecifier);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument))
      add('type', node.argument.literal);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
      add('dynamic', node.arguments[0]);
    ts.forEachChild(node, visit);
  };
  visit(parse(from, text));
  return found;
}

function cycles(files: Files): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path);
    if (at >= 0) found.push(`${[...trail.slice(at), path].join(' -> ')}: circular`);
    if (at >= 0 || done.has(path)) return;
    for (const { to } of importsOf(path, files.get(path) ?? ''))
      if (files.has(to)) visit(to, [...trail, path]);
    done.add(path);
  };
  for (const path of files.keys()) visit(path, []);
  return found;
}

function fullFolders(files: Files): string[] {
  const counts = new Map<string, number>();
  for (const path of files.keys())
    counts.set(posix.dirname(path), (counts.get(posix.dirname(path)) ?? 0) + 1);
  return [...counts]
    .filter(([, count]) => count > MAX_FILES)
    .map(([folder, count]) => `${folder}: ${count} files, ${MAX_FILES} at most`);
}

function statementsOfIndex(files: Files): string[] {
  const statements = parse('index.ts', files.get('index.ts') ?? '').statements;
  return statements
    .filter((statement) => !(ts.isExportDeclaration(statement) && statement.moduleSpecifier))
    .map((statement) => `index.ts: only "export ... from", not ${statement.getText()}`);
}

function longFiles(files: Files): string[] {
  return (
    [...files]
      // Statements and scripts stand beside one another, and each is read by itself.
      .filter(([path]) => !/\.(sql|lua)\.ts$/.test(path))
      .map(([path, text]) => ({ path, lines: linesOfCode(text) }))
      .filter(({ lines }) => lines > MAX_LINES)
      .map(({ path, lines }) => `${path}: ${lines} lines of code, ${MAX_LINES} at most`)
  );
}

/** Without comments and blank lines, so that nobody saves on either. */
function linesOfCode(text: string): number {
  const code = text.replaceAll(/^\s*\/\*[^]*?\*\//gm, '').split('\n');
  return code.filter((line) => !/^\s*(\/\/.*)?$/.test(line)).length;
}

function storesWithoutContract(files: Files, contract: Files): string[] {
  const stores = [...files.keys()].filter((path) => /^stores\/[^/]+\/store\.ts$/.test(path));
  const tests = [...contract].filter(([path]) => path.endsWith('.test.ts')).map(([, text]) => text);
  const isRun = (store: string): boolean =>
    tests.some(
      (text) =>
        text.includes(`/src/${store.replace('.ts', '.js')}'`) && text.includes('describeStoreContract('),
    );
  return stores
    .filter((store) => !isRun(store))
    .map((store) => `${store}: no test in __tests__/contract calls describeStoreContract() with it`);
}

type Paths = Record<string, string[]>;

function tsupEntries(config: string): Record<string, string> {
  const block = /entry: \{([^}]*)\}/.exec(config)?.[1] ?? '';
  const entries = [...block.matchAll(/'?([\w-]+)'?: '([^']+)'/g)];
  return Object.fromEntries(entries.map(([, name = '', file = '']) => [name, file]));
}

function exportOf(entry: string): [string, object] {
  const conditions = (types: string, code: string): object => ({
    types: `./dist/${entry}.${types}`,
    default: `./dist/${entry}.${code}`,
  });
  const subpath = entry === 'index' ? '.' : `./${entry}`;
  return [subpath, { import: conditions('d.ts', 'js'), require: conditions('d.cts', 'cjs') }];
}

function pathOf([entry, file]: [string, string]): [string, string[]] {
  return [entry === 'index' ? 'twiceshy' : `twiceshy/${entry}`, [`./${file}`]];
}

function parse(path: string, text: string): ts.SourceFile {
  return ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true);
}

function pagesOfDecisions(): string[] {
  const paths = readdirSync(`${ROOT}src`, { recursive: true, encoding: 'utf8' });
  return paths.filter((path) => path.endsWith('DECISIONS.md')).map((path) => `src/${path}`);
}

function read(path: string): string {
  return readFileSync(`${ROOT}${path}`, 'utf8');
}

function readFiles(folder: string): Files {
  const paths = readdirSync(`${ROOT}${folder}`, { recursive: true, encoding: 'utf8' });
  const files = paths.filter((path) => path.endsWith('.ts')).sort();
  return new Map(files.map((path) => [path.replaceAll('\\', '/'), read(`${folder}/${path}`)]));
}
