import { UsageError } from '../core/errors.js';
import { checkNames, parseDuration, show } from '../core/options.js';
import type { LeaseStore } from '../core/store.js';
import type { TestRunner } from './runner.js';

/** A store under test. */
export interface ContractSubject {
  readonly store: LeaseStore;
  /**
   * Moves the store's clock on by so many milliseconds, where that is not the real one.
   * @default waits for them
   */
  advance?(ms: number): Promise<void>;
  /** Closes what the factory opened beside the store. The store's own `close()` is called before. */
  close?(): Promise<void>;
}

/** What a store may be unable to have. Everything else is no store's choice. */
export const CONTRACT_PARTS = [
  /** `subscribe()`: without it, waiters poll. */
  'wake-ups',
  /** The count of hits on a settled record. */
  'hit counts',
  /** Payloads of a megabyte. */
  'large values',
  /** Addresses with control characters, empty parts, and the like. */
  'hostile keys',
  /** Histories made by fast-check. */
  'random histories',
] as const;
export type ContractPart = (typeof CONTRACT_PARTS)[number];

export interface ContractOptions {
  /**
   * What the store can't have, each with the reason, which is printed with the tests that are left out. Nothing is
   * skipped that is not named here.
   */
  readonly skip?: Readonly<Partial<Record<ContractPart, string>>>;
  /** The lease of claims that no test waits for: much longer than a test takes. @default 60000 */
  readonly leaseMs?: number;
  /** The lease of claims that tests wait for. @default 50 */
  readonly shortLeaseMs?: number;
  /** How long an unsettled record stays after its lease: much longer than a test takes. @default 60000 */
  readonly unsettledMs?: number;
  /** The longest a test waits for a lease or a retention to end. @default 5000 */
  readonly patienceMs?: number;
  /** How many random histories there are. @default 100 */
  readonly histories?: number;
  /** Repeats the random histories of a run that failed, which prints its seed. @default random */
  readonly seed?: number;
  /** The test functions. @default the globals of that name */
  readonly runner?: TestRunner;
}

/** The options, checked, with their defaults. */
export interface ContractTerms {
  readonly skip: Readonly<Partial<Record<ContractPart, string>>>;
  readonly leaseMs: number;
  readonly shortLeaseMs: number;
  readonly unsettledMs: number;
  readonly patienceMs: number;
  readonly histories: number;
  readonly seed: number | undefined;
}

const NAMES = ['skip', 'leaseMs', 'shortLeaseMs', 'unsettledMs', 'patienceMs', 'histories', 'seed', 'runner'];

/** @throws UsageError INVALID_OPTIONS */
export function checkOptions(options: ContractOptions): ContractTerms {
  checkNames('describeStoreContract()', options, NAMES);
  const {
    skip = {},
    leaseMs = 60_000,
    shortLeaseMs = 50,
    unsettledMs = 60_000,
    patienceMs = 5_000,
  } = options;
  const { histories = 100, seed } = options;
  checkNames('skip', skip, CONTRACT_PARTS);
  for (const [part, reason] of Object.entries(skip)) {
    if (typeof reason === 'string' && reason.trim() !== '') continue;
    throw invalid(`skip["${part}"] is ${show(reason)}: give the reason, which is printed`);
  }
  if (!Number.isInteger(histories) || histories < 1) {
    throw invalid(
      `histories is ${show(histories)}: it is a whole number of at least 1; skip leaves them out`,
    );
  }
  if (seed !== undefined && !Number.isInteger(seed)) {
    throw invalid(`seed is ${show(seed)}: it is the whole number that a failed run has printed`);
  }
  return {
    skip,
    leaseMs: parseDuration('leaseMs', leaseMs),
    shortLeaseMs: parseDuration('shortLeaseMs', shortLeaseMs),
    unsettledMs: parseDuration('unsettledMs', unsettledMs),
    patienceMs: parseDuration('patienceMs', patienceMs),
    histories,
    seed,
  };
}

const invalid = (message: string) => new UsageError('INVALID_OPTIONS', message);
