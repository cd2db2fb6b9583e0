import { UsageError } from '../../core/errors.js';
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
  /**
   * The clock that retention and leases are counted by, in milliseconds: for tests whose fake timers move `Date` and not
   * `performance`, as node:test's do, and for `setSystemTime()` of jest and vitest. Give `() => Date.now()` for these: the
   * function is called each time, so that it finds the faked Date.
   * @default the process's monotonic clock
   */
  readonly clock?: () => number;
}

const OPTIONS = new Map<string, { isFit: (value: unknown) => boolean; wanted: string }>([
  [
    'maxEntries',
    { isFit: (v) => Number.isSafeInteger(v) && Number(v) >= 1, wanted: 'a whole number of at least 1' },
  ],
  ['evict', { isFit: (v) => typeof v === 'boolean', wanted: 'true or false' }],
  ['onEvict', { isFit: (v) => typeof v === 'function', wanted: 'a function of the address' }],
  ['clock', { isFit: (v) => typeof v === 'function', wanted: 'a function that gives milliseconds' }],
]);
/** Longer delays overflow in timers, which would then fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** @throws UsageError INVALID_OPTIONS */
export function limitsOf(options: InMemoryStoreOptions): TableLimits {
  if (typeof options !== 'object' || options === null) {
    throw invalid(`takes an options object, not ${show(options)}`);
  }
  for (const [name, value] of Object.entries(options)) checkOption(name, value);
  const { maxEntries, evict = false, onEvict, clock } = options;
  if (evict && maxEntries === undefined) {
    throw invalid('evicts only where maxEntries says when it is full: give both');
  }
  if (onEvict && !evict) throw invalid('calls onEvict only with evict: true: give both');
  const nowMs = clock ? () => readingOf(clock()) : monotonicMs;
  return { maxEntries: maxEntries ?? Infinity, evict, onEvict, nowMs };
}

/** The wall clock at the start of the process, moved on by the monotonic one. */
const monotonicMs = (): number => Math.floor(performance.timeOrigin + performance.now());

function readingOf(ms: unknown): number {
  if (typeof ms === 'number' && Number.isFinite(ms)) return Math.floor(ms);
  throw invalid(`takes a clock that gives milliseconds, and this one gave ${show(ms)}`);
}

function checkOption(name: string, value: unknown): void {
  const option = OPTIONS.get(name);
  if (!option) throw invalid(`has no option ${show(name)}: it takes ${[...OPTIONS.keys()].join(', ')}`);
  if (value === undefined || option.isFit(value)) return;
  throw invalid(`takes no ${name} ${show(value)}: give ${option.wanted}`);
}

/** @throws UsageError INVALID_OPTIONS */
export function checkInterval(ms: unknown): number {
  if (typeof ms === 'number' && ms >= 1 && ms <= LONGEST_TIMER_MS) return ms;
  throw invalid(
    `cannot clean up every ${show(ms)}: give milliseconds as a number, from 1 to ${LONGEST_TIMER_MS}`,
  );
}

// Not the one of core/options, which a store may not import.
const show = (value: unknown): string =>
  typeof value === 'string'
    ? JSON.stringify(value)
    : typeof value === 'number'
      ? String(value)
      : typeof value;

const invalid = (message: string) => new UsageError('INVALID_OPTIONS', `InMemoryStore ${message}`);
