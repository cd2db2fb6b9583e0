import { BOOLEAN, COUNT, FUNCTION, invalid, readOptions, show, type OptionTable } from '../../core/check.js';
import type { TableLimits } from './table.js';

export interface InMemoryStoreOptions {
  /**
   * The maximum number of records, running ones included. A full store refuses new keys with STORE_UNAVAILABLE, which is not
   * transient; existing keys are answered as before. @default no limit: a record stays for its retention
   */
  readonly maxEntries?: number;
  /**
   * The maximum number of records of one scope, running ones included. New keys of a full scope are refused with LIMITED, or with
   * `evict` replace records of that scope. @default no limit
   */
  readonly maxEntriesPerScope?: number;
  /**
   * Lets a full store evict a settled record of the scope that holds the most: the least recently used one, by writes and by
   * answers to claims. An evicted key runs again. Never evicted: running records, records without an outcome, and failures with
   * recorded steps. If there is nothing else, claims are refused. Needs `maxEntries` or `maxEntriesPerScope`. @default false
   */
  readonly evict?: boolean;
  /** Called with the address of each record that was evicted. Needs `evict`. @default none */
  readonly onEvict?: (address: string) => void;
  /** Whether every run on this store needs a `scope`: one without is refused with INVALID_OPTIONS. @default false */
  readonly requireScope?: boolean;
  /**
   * The clock for retentions and leases, in milliseconds. Give `() => Date.now()` in tests whose fake timers move `Date` and not
   * `performance`: those of node:test, and `setSystemTime()` of jest and vitest. (Not `Date.now` itself: the faked Date must be
   * looked up at each call.)
   * @default the process's monotonic clock
   */
  readonly clock?: () => number;
}

export const MEMORY_OPTIONS = {
  maxEntries: COUNT,
  maxEntriesPerScope: COUNT,
  evict: BOOLEAN,
  onEvict: FUNCTION,
  requireScope: BOOLEAN,
  clock: FUNCTION,
} satisfies OptionTable<InMemoryStoreOptions>;

export interface MemorySettings {
  readonly limits: TableLimits;
  readonly requiresScope: boolean;
}

/** @throws UsageError INVALID_OPTIONS */
export function memorySettings(given: InMemoryStoreOptions): MemorySettings {
  const options = readOptions('InMemoryStore', MEMORY_OPTIONS, given);
  const { maxEntries, maxEntriesPerScope, evict = false, onEvict, requireScope = false, clock } = options;
  if (evict && maxEntries === undefined && maxEntriesPerScope === undefined)
    throw invalid(
      'evict of InMemoryStore needs maxEntries or maxEntriesPerScope, which say when it is full: give one of them too',
    );
  if (onEvict && !evict) throw invalid('InMemoryStore calls onEvict only with evict: true: give both');
  const nowMs = clock ? () => checkReading(clock()) : monotonicMs;
  const limits = {
    maxEntries: maxEntries ?? Infinity,
    maxEntriesPerScope: maxEntriesPerScope ?? Infinity,
    ...{ evict, onEvict, nowMs },
  };
  return { limits, requiresScope: requireScope };
}

/** The wall clock at the start of the process, plus the monotonic time since then. */
const monotonicMs = (): number => Math.floor(performance.timeOrigin + performance.now());

function checkReading(ms: unknown): number {
  if (typeof ms === 'number' && Number.isFinite(ms)) return Math.floor(ms);
  throw invalid(`the clock of InMemoryStore must return milliseconds, and returned ${show(ms)}`);
}
