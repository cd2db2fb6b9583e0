import { BOOLEAN, COUNT, FUNCTION, invalid, readOptions, type OptionTable } from '../../core/check.js';
import type { TableLimits } from './memory-table.js';

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
}

export const MEMORY_OPTIONS = {
  maxEntries: COUNT,
  maxEntriesPerScope: COUNT,
  evict: BOOLEAN,
  onEvict: FUNCTION,
  requireScope: BOOLEAN,
} satisfies OptionTable<InMemoryStoreOptions>;

export interface MemorySettings {
  readonly limits: TableLimits;
  readonly requiresScope: boolean;
}

/** @throws UsageError INVALID_OPTIONS */
export function memorySettings(given: InMemoryStoreOptions): MemorySettings {
  const options = readOptions('InMemoryStore', MEMORY_OPTIONS, given);
  const { maxEntries, maxEntriesPerScope, evict = false, onEvict, requireScope = false } = options;
  if (evict && maxEntries === undefined && maxEntriesPerScope === undefined)
    throw invalid(
      'InMemoryStore evicts only where maxEntries or maxEntriesPerScope says when it is full: give both',
    );
  if (onEvict && !evict) throw invalid('InMemoryStore calls onEvict only with evict: true: give both');
  const limits = {
    maxEntries: maxEntries ?? Infinity,
    maxEntriesPerScope: maxEntriesPerScope ?? Infinity,
    evict,
    onEvict,
  };
  return { limits, requiresScope: requireScope };
}
