import { BOOLEAN, COUNT, FUNCTION, invalid, readOptions, type OptionTable } from '../../core/check.js';
import type { TableLimits } from './memory-table.js';

export interface InMemoryStoreOptions {
  /**
   * How many records are kept at most, running ones included. A full store refuses new claims with STORE_UNAVAILABLE, which
   * is not transient; the keys that it holds are answered as ever. @default unbounded: a record stays for its retention
   */
  readonly maxEntries?: number;
  /**
   * Lets a full store drop the settled record that was used least recently: the longest not written, and not answered to
   * a claim. What was dropped runs again. Never dropped: what runs, what has no outcome yet, and a failure that holds
   * recorded steps; where there is nothing else, claims are refused. Needs `maxEntries`. @default false
   */
  readonly evict?: boolean;
  /** Told the address of every record that was dropped to make room. Needs `evict`. @default none */
  readonly onEvict?: (address: string) => void;
  /** Whether every run on this store must say whose key it is: one without a `scope` is INVALID_OPTIONS. @default false */
  readonly requireScope?: boolean;
}

export const MEMORY_OPTIONS = {
  maxEntries: COUNT,
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
  const { maxEntries, evict = false, onEvict, requireScope = false } = options;
  if (evict && maxEntries === undefined)
    throw invalid('InMemoryStore evicts only where maxEntries says when it is full: give both');
  if (onEvict && !evict) throw invalid('InMemoryStore calls onEvict only with evict: true: give both');
  return { limits: { maxEntries: maxEntries ?? Infinity, evict, onEvict }, requiresScope: requireScope };
}
