/**
 * Who may import whom: one table, which the linter (eslint.config.js), the architecture test and ARCHITECTURE.md read.
 *
 * Paths are below `src`. The first rule whose `of` fits a file counts. A file may always import its own folder: all that is
 * below the first part of its path, or below `stores/<name>` for a store.
 */

/** @typedef {{ of: RegExp, may: string, values: RegExp, types?: RegExp }} Rule */

const STORE_PARTS = String.raw`core\/(record|store|errors|check|token|warn)\.ts`;
const ADAPTER_PARTS = String.raw`(core|keys|codec|idempotency)\/`;

/** @type {readonly Rule[]} */
export const RULES = [
  { of: /^core\//, may: 'imports only `core`, and nothing of Node', values: /^$/ },
  {
    of: /^(keys|codec)\//,
    may: 'imports `values`, `core/errors`, the types of `core/record`, and Node',
    values: /^values\/|^core\/errors\.ts$|^node:/,
    types: /^core\/record\.ts$/,
  },
  { of: /^values\//, may: 'imports only `core/errors`', values: /^core\/errors\.ts$/ },
  {
    of: /^idempotency\//,
    may: 'imports `core`, `keys`, `codec` and Node: no store, no adapter',
    values: /^(core|keys|codec)\/|^node:/,
  },
  {
    // Its transactional mode is the engine, on a store whose claims begin transactions.
    of: /^stores\/postgres\/store\.ts$/,
    may: 'imports what a store may, and `transaction`',
    values: new RegExp(`^${STORE_PARTS}$|^stores/shared/|^transaction/|^node:`),
  },
  {
    of: /^stores\//,
    may: 'imports `core/{record,store,errors,check,token,warn}`, `stores/shared` and Node: no engine, no other store',
    values: new RegExp(`^${STORE_PARTS}$|^stores/shared/|^node:`),
  },
  {
    of: /^default-store\.ts$/,
    may: 'imports stores, `core` and `idempotency`: the stores that are taken where none is given',
    values: /^(core|idempotency|stores)\//,
  },
  {
    of: /^(task|function)\//,
    may: 'imports `core`, `keys`, `codec`, `idempotency`, `default-store` and Node: no other adapter',
    values: new RegExp(`^${ADAPTER_PARTS}|^default-store\\.ts$|^node:`),
  },
  {
    of: /^(http|queue|transaction)\//,
    may: 'imports `core`, `keys`, `codec`, `idempotency` and Node: no store, no other adapter',
    values: new RegExp(`^${ADAPTER_PARTS}|^node:`),
  },
  { of: /^testing\//, may: 'imports only `core` and Node', values: /^core\/|^node:/ },
  { of: /^pipeline\//, may: 'imports nothing', values: /^$/ },
  { of: /^index\.ts$/, may: 'brings all together', values: /^(?!node:)/ },
];

/** Packages that users bring, and the only folders that may know of them; never by a static import. */
export const PEERS = [
  { of: /^stores\//, name: /^(ioredis|pg|@aws-sdk\/.+)$/ },
  { of: /^http\//, name: /^fastify$/ },
  { of: /^queue\//, name: /^(bullmq|amqplib|@aws-sdk\/.+)$/ },
  { of: /^testing\//, name: /^fast-check$/ },
];

/** @param {string} path */
const folderOf = (path) => /^stores\/[^/]+\/|^[^/]+\//.exec(path)?.[0];

/**
 * Why a file may not import something; undefined where it may.
 * @param {string} from the file, below `src`
 * @param {string} to a file below `src`, or the specifier of a package
 * @param {'value' | 'type' | 'dynamic'} kind
 * @returns {string | undefined}
 */
export function importFault(from, to, kind) {
  const rule = RULES.find(({ of }) => of.test(from));
  if (!rule) return 'no rule for its folder: decide in scripts/import-rules.js who may import whom';
  const isLocal = to.endsWith('.ts');
  if (PEERS.some(({ of, name }) => of.test(from) && name.test(to)))
    return kind === 'value' ? 'a client library is loaded by import(), or named by import type' : undefined;
  if (!isLocal && !to.startsWith('node:')) return 'no such package here; PEERS says who may know of which';
  const folder = folderOf(from);
  const isOwn = isLocal && folder !== undefined && folderOf(to) === folder;
  if (isOwn || rule.values.test(to) || (kind === 'type' && rule.types?.test(to))) return undefined;
  return `${folder ?? from} ${rule.may}`;
}
