import { BOOLEAN, COUNT, FUNCTION, invalid, readOptions, show, type OptionTable } from '../../core/check.js';
import type { TableLimits } from './table.js';

export interface InMemoryStoreOptions {
  /**
   * How many records are kept at most, running ones included. A full store refuses new claims with STORE_UNAVAILABLE, which
   * is not transient; the keys that it holds are answered as ever. @default unbounded: a record stays for its retention
   */
  readonly maxEntries?: number;
  /**
   * How many records of one scope are kept at most, running ones included. A scope that has used up its share is refused new
   * claims with LIMITED, or drops records of its own with `evict`. @default unbounded
   */
  readonly maxEntriesPerScope?: number;
  /**
   * Lets a full store drop a settled record of the scope that holds the most: the one that was used least recently, which is
   * the longest not written, and not answered to a claim. What was dropped runs again. Never dropped: what runs, what has no outcome yet, and a failure that holds
   * recorded steps; where there is nothing else, claims are refused. Needs `maxEntries` or `maxEntriesPerScope`. @default false
   */
  readonly evict?: boolean;
  /** Told the address of every record that was dropped to make room. Needs `evict`. @default none */
  readonly onEvict?: (address: string) => void;
  /** Whether every run on this store must say whose key it is: one without a `scope` is INVALID_OPTIONS. @default false */
  readonly requireScope?: boolean;
  /**
   * The clock that retention and leases are counted by, in milliseconds: for tests whose fake timers move `Date` and not
   * `performance`, as node:test's do, and for `setSystemTime()` of jest and vitest. Give `() => Date.now()` for these: the
   * function is called each time, so that it finds the faked Date.
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
      'InMemoryStore evicts only where maxEntries or maxEntriesPerScope says when it is full: give both',
    );
  if (onEvict && !evict) throw invalid('InMemoryStore calls onEvict only with evict: true: give both');
  const nowMs = clock ? () => readingOf(clock()) : monotonicMs;
  const limits = {
    maxEntries: maxEntries ?? Infinity,
    maxEntriesPerScope: maxEntriesPerScope ?? Infinity,
    ...{ evict, onEvict, nowMs },
  };
  return { limits, requiresScope: requireScope };
}

/** The wall clock at the start of the process, moved on by the monotonic one. */
const monotonicMs = (): number => Math.floor(performance.timeOrigin + performance.now());

function readingOf(ms: unknown): number {
  if (typeof ms === 'number' && Number.isFinite(ms)) return Math.floor(ms);
  throw invalid(`InMemoryStore takes a clock that gives milliseconds, and this one gave ${show(ms)}`);
}
