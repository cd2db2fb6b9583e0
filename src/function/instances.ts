import { Adapter } from '../idempotency/adapter.js';
import { bare } from '../core/check.js';
import { Tally } from '../core/events.js';
import type { LeaseStore } from '../core/store.js';
import { warnThrough } from '../idempotency/logging.js';
import type { FunctionOptions } from './options.js';

type Parts = Pick<FunctionOptions<never>, 'logger' | 'codec' | 'keysInLogs' | 'admit'>;

type InstanceTable = WeakMap<object, WeakMap<object, WeakMap<object, Adapter>>>;

/** The instances of a store, by how keys stand in their warnings. */
interface OfStore {
  readonly tally: Tally;
  readonly plain: InstanceTable;
  readonly hash: InstanceTable;
}
/** Stands for the logger, codec or admit that was not given. */
const NONE = {};
// Weak all the way down, so that a store that its users dropped is dropped here too.
const ofStores = new WeakMap<LeaseStore, OfStore>();

function ofStore(store: LeaseStore): OfStore {
  let known = ofStores.get(store);
  if (!known)
    ofStores.set(store, (known = { tally: new Tally(), plain: new WeakMap(), hash: new WeakMap() }));
  return known;
}

/** The engine of a store, logger, codec and admit: made once, whoever asks. */
export function instanceOf(
  store: LeaseStore,
  { logger, codec, keysInLogs = 'plain', admit }: Parts,
): Adapter {
  const { [keysInLogs]: byLogger, tally } = ofStore(store);
  let byCodec = byLogger.get(logger ?? NONE);
  if (!byCodec) byLogger.set(logger ?? NONE, (byCodec = new WeakMap<object, WeakMap<object, Adapter>>()));
  let byAdmit = byCodec.get(codec ?? NONE);
  if (!byAdmit) byCodec.set(codec ?? NONE, (byAdmit = new WeakMap<object, Adapter>()));
  let instance = byAdmit.get(admit ?? NONE);
  if (!instance) {
    const given = { ...(logger && { logger }), ...(codec && { codec }), ...(admit && { admit }) };
    instance = new Adapter(bare({ store, ...given, keysInLogs }), tally);
    byAdmit.set(admit ?? NONE, instance);
  }
  return instance;
}

/** What happened on a store, counted per operation. */
export function tallyOf(store: LeaseStore): Tally {
  return ofStore(store).tally;
}

const MAX_WARNINGS = 1_000;
const given = new WeakMap<object, Set<string>>();

/** Gives a logger (or where there is none, the process) a warning, once for all calls. */
export function warnOnce(logger: Parts['logger'], message: string): void {
  let told = given.get(logger ?? NONE);
  if (!told) given.set(logger ?? NONE, (told = new Set()));
  if (told.has(message) || told.size >= MAX_WARNINGS) return;
  told.add(message);
  warnThrough(logger)(message);
}

const MAX_NAMES = 1_000;
/** By store: the text of the function that came first under a name, or `told`. */
const sources = new WeakMap<LeaseStore, Map<string, string>>();
/** No function's text. */
const TOLD = '';

/** Two functions of one name share records (G10), which is right only when they are one operation: warns once a store. */
export function warnOfNamesakes(store: LeaseStore, name: string, fn: unknown, logger: Parts['logger']): void {
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
