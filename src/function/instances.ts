import { bare } from '../core/check.js';
import { Runtime } from '../idempotency/runtime.js';
import { Tally } from '../core/events.js';
import type { LeaseStore } from '../core/store.js';
import { warnThrough } from '../idempotency/logging.js';
import type { FunctionOptions } from './options.js';

type Parts = Pick<FunctionOptions<never>, 'logger' | 'codec' | 'keysInLogs' | 'admit'>;

type InstanceTable = WeakMap<object, WeakMap<object, WeakMap<object, Runtime>>>;

/** The runtimes of a store, by how keys appear in their warnings. */
interface StoreInstances {
  readonly tally: Tally;
  readonly plain: InstanceTable;
  readonly hash: InstanceTable;
}
/** The WeakMap key for a logger, codec or admit that was not given. */
const NONE = {};
// Weak at every level, so that a store that nobody uses any more is garbage collected.
const byStore = new WeakMap<LeaseStore, StoreInstances>();

function storeInstances(store: LeaseStore): StoreInstances {
  let known = byStore.get(store);
  if (!known) byStore.set(store, (known = { tally: new Tally(), plain: new WeakMap(), hash: new WeakMap() }));
  return known;
}

/** The runtime for this store, logger, codec and admit. It is made once and shared by all calls. */
export function sharedRuntime(
  store: LeaseStore,
  { logger, codec, keysInLogs = 'plain', admit }: Parts,
): Runtime {
  const { [keysInLogs]: byLogger, tally } = storeInstances(store);
  let byCodec = byLogger.get(logger ?? NONE);
  if (!byCodec) byLogger.set(logger ?? NONE, (byCodec = new WeakMap<object, WeakMap<object, Runtime>>()));
  let byAdmit = byCodec.get(codec ?? NONE);
  if (!byAdmit) byCodec.set(codec ?? NONE, (byAdmit = new WeakMap<object, Runtime>()));
  let instance = byAdmit.get(admit ?? NONE);
  if (!instance) {
    const given = { ...(logger && { logger }), ...(codec && { codec }), ...(admit && { admit }) };
    instance = new Runtime(bare({ store, ...given, keysInLogs }), tally);
    byAdmit.set(admit ?? NONE, instance);
  }
  return instance;
}

/** The counters of a store, by operation. */
export function storeTally(store: LeaseStore): Tally {
  return storeInstances(store).tally;
}

const MAX_WARNINGS = 1_000;
const given = new WeakMap<object, Set<string>>();

/** Logs a warning (without a logger: to the process), once for all calls. */
export function warnOnce(logger: Parts['logger'], message: string): void {
  let told = given.get(logger ?? NONE);
  if (!told) given.set(logger ?? NONE, (told = new Set()));
  if (told.has(message) || told.size >= MAX_WARNINGS) return;
  told.add(message);
  warnThrough(logger)(message);
}

const MAX_NAMES = 1_000;
/** By store and name: the source text of the first function with that name, or {@link TOLD}. */
const sources = new WeakMap<LeaseStore, Map<string, string>>();
/** In place of a source text: the warning was given. No function has an empty text. */
const TOLD = '';

/**
 * Warns, once for a store and name, if two different functions have the same name: they share records (G10), which is rarely
 * meant.
 */
export function warnOfSharedName(
  store: LeaseStore,
  name: string,
  fn: unknown,
  logger: Parts['logger'],
): void {
  let known = sources.get(store);
  if (!known) sources.set(store, (known = new Map<string, string>()));
  const source = known.get(name);
  if (source === TOLD) return;
  const text = String(fn);
  if (source === undefined && known.size < MAX_NAMES) known.set(name, text);
  if (source === undefined || source === text) return;
  known.set(name, TOLD);
  warnThrough(logger)(
    `twiceshy: two different functions named ${name} were made idempotent on one store, and share their records; ` +
      'give each the option name',
  );
}
