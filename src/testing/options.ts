import {
  ANY,
  checkNames,
  COUNT,
  DURATION,
  invalid,
  readOptions,
  show,
  type OptionTable,
} from '../core/check.js';
import type { LeaseStore } from '../core/store.js';
import type { TestRunner } from './runner.js';

/** A store under test. */
export interface ContractSubject {
  readonly store: LeaseStore;
  /**
   * Another instance of the same store, as another process has one: a view of the same records that shares nothing else
   * with `store`, no connection, no cache and, where the store can be given one, not the clock. The suite closes it by its own
   * `close()`. A store without it is not tested for several processes: say why in `skip['several instances']`.
   * @default none
   */
  another?(): LeaseStore | Promise<LeaseStore>;
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
  /** Several instances that see the same records: those of a store that lives in one process only do not. */
  'several instances',
  /** Histories made by fast-check. */
  'random histories',
] as const;
export type ContractPart = (typeof CONTRACT_PARTS)[number];

export interface ContractOptions {
  /**
   * What the store can't have, each with the reason, which is printed with the tests that are left out. Nothing is
   * skipped that is not named here. @default {}
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

export const CONTRACT_OPTIONS = {
  skip: { check: checkSkip },
  leaseMs: DURATION,
  shortLeaseMs: DURATION,
  unsettledMs: DURATION,
  patienceMs: DURATION,
  histories: COUNT,
  seed: { check: checkSeed },
  runner: ANY,
} satisfies OptionTable<ContractOptions>;

/** @throws UsageError INVALID_OPTIONS */
export function checkOptions(given: ContractOptions): ContractTerms {
  const options = readOptions<ContractOptions>('describeStoreContract()', CONTRACT_OPTIONS, given);
  const { skip = {}, leaseMs = 60_000, shortLeaseMs = 50, unsettledMs = 60_000 } = options;
  const { patienceMs = 5_000, histories = 100, seed } = options;
  return { skip, leaseMs, shortLeaseMs, unsettledMs, patienceMs, histories, seed };
}

function checkSkip(skip: unknown, option: string): object {
  checkNames(option, skip, Object.fromEntries(CONTRACT_PARTS.map((part) => [part, ANY])));
  for (const [part, reason] of Object.entries(skip as object)) {
    if (typeof reason === 'string' && reason.trim() !== '') continue;
    throw invalid(`skip["${part}"] is ${show(reason)}: give the reason, which is printed`);
  }
  return skip as object;
}

function checkSeed(seed: unknown, option: string): number {
  if (Number.isInteger(seed)) return seed as number;
  throw invalid(`${option} is ${show(seed)}: it is the whole number that a failed run has printed`);
}
