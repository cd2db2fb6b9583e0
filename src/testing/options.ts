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
   * Opens another instance of the same store, as another process would: with the same records, and nothing else in common with
   * `store`: no connection, no cache, and if the store takes a clock, another one. The suite calls its `close()`. If a store has
   * no second instance, say why in `skip['several instances']`; it is then not tested for several processes.
   * @default none
   */
  another?(): LeaseStore | Promise<LeaseStore>;
  /**
   * Advances the store's clock, if it is not the real one.
   * @default waits that many milliseconds
   */
  advance?(ms: number): Promise<void>;
  /** Closes what the factory opened besides the store. The store's own `close()` is called before. */
  close?(): Promise<void>;
}

/** The optional parts of the contract. Every store must have everything else. */
export const CONTRACT_PARTS = [
  /** `subscribe()`: without it, waiters poll. */
  'wake-ups',
  /** The count of hits on a settled record. */
  'hit counts',
  /** Payloads of a megabyte. */
  'large values',
  /** Addresses with control characters, empty parts, and the like. */
  'hostile keys',
  /** Several instances that see the same records. A store in the memory of one process has only one. */
  'several instances',
  /** Histories made by fast-check. */
  'random histories',
] as const;
export type ContractPart = (typeof CONTRACT_PARTS)[number];

export interface ContractOptions {
  /**
   * Parts to skip, each with the reason, which is printed with the skipped tests. Nothing else is skipped. @default {}
   */
  readonly skip?: Readonly<Partial<Record<ContractPart, string>>>;
  /** The lease of claims that no test waits for: much longer than a test takes. @default 60000 */
  readonly leaseMs?: number;
  /** The lease of claims that tests wait for. @default 50 */
  readonly shortLeaseMs?: number;
  /** How long an unsettled record stays after its lease: much longer than a test takes. @default 60000 */
  readonly unsettledMs?: number;
  /** The longest time that a test waits for a lease or a retention to end. @default 5000 */
  readonly maxWaitMs?: number;
  /** The number of random histories. @default 100 */
  readonly histories?: number;
  /** The seed of the random histories. A failed run prints its seed, to repeat it. @default random */
  readonly seed?: number;
  /** The functions of the test runner. @default the globals with these names */
  readonly runner?: TestRunner;
}

/** The options, checked, with their defaults. */
export interface ContractTerms {
  readonly skip: Readonly<Partial<Record<ContractPart, string>>>;
  readonly leaseMs: number;
  readonly shortLeaseMs: number;
  readonly unsettledMs: number;
  readonly maxWaitMs: number;
  readonly histories: number;
  readonly seed: number | undefined;
}

export const CONTRACT_OPTIONS = {
  skip: { check: checkSkip },
  leaseMs: DURATION,
  shortLeaseMs: DURATION,
  unsettledMs: DURATION,
  maxWaitMs: DURATION,
  histories: COUNT,
  seed: { check: checkSeed },
  runner: ANY,
} satisfies OptionTable<ContractOptions>;

/** @throws UsageError INVALID_OPTIONS */
export function checkOptions(given: ContractOptions): ContractTerms {
  const options = readOptions<ContractOptions>('describeStoreContract()', CONTRACT_OPTIONS, given);
  const { skip = {}, leaseMs = 60_000, shortLeaseMs = 50, unsettledMs = 60_000 } = options;
  const { maxWaitMs = 5_000, histories = 100, seed } = options;
  return { skip, leaseMs, shortLeaseMs, unsettledMs, maxWaitMs, histories, seed };
}

function checkSkip(skip: unknown, option: string): object {
  checkNames(option, skip, Object.fromEntries(CONTRACT_PARTS.map((part) => [part, ANY])));
  for (const [part, reason] of Object.entries(skip as object)) {
    if (typeof reason === 'string' && reason.trim() !== '') continue;
    throw invalid(`skip["${part}"] is ${show(reason)}: give the reason as text, which is printed`);
  }
  return skip as object;
}

function checkSeed(seed: unknown, option: string): number {
  if (Number.isInteger(seed)) return seed as number;
  throw invalid(`${option} is ${show(seed)}: give the whole number that a failed run has printed`);
}
