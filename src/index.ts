/** Public names only. Importing this loads no client library. */
export {
  defaultStore,
  IdempotencyMiddleware,
  getIdempotencyMiddleware,
  idempotent,
  makeIdempotent,
  type IdempotencyMiddlewareOptions,
} from './defaults.js';
export {
  inFlightPerScope,
  waitersPerKey,
  type Admit,
  type Admitted,
  type AdmitFacts,
} from './core/admission.js';
export { createIdempotency } from './idempotency.js';
export type {
  Idempotency,
  CacheHit,
  IdempotencyOptions,
  IdempotencyRecord,
  Namespaced,
  OnAbandoned,
  Reconciled,
  RunOptions,
} from './api.js';
export { currentAttempt } from './attempt.js';
export { contextKey, hashKey } from './keys/index.js';
export type { ClassCodec, CodecOptions, Redact, RedactFacts } from './codec/index.js';
export { InMemoryStore, type InMemoryStoreOptions } from './stores/memory.js';
export type { Attempt } from './core/attempt/attempt.js';
export {
  DuplicateError,
  IdempotencyError,
  isIdempotencyError,
  LimitError,
  OutcomeError,
  StoreError,
  UsageError,
  type ErrorCode,
} from './core/errors.js';
export type { EventDetail, EventName, Listener, Stats } from './core/events.js';
export type { CommonOptions, Duration, FailureVerdict, Remember } from './core/options.js';
export {
  IdempotencyStatus,
  type Grant,
  type Lease,
  type RecordedStep,
  type StoreKey,
  type StoredRecord,
} from './core/record.js';
export {
  MARK_MS,
  TOMBSTONE_MS,
  type ClaimAnswer,
  type ClaimRequest,
  type IdempotencyStore,
  type LeaseStore,
  type Replacement,
  type Settlement,
  type SimpleRecord,
} from './core/store.js';
export type { Idempotent, IdempotentOptions } from './function/idempotent.js';
export type { MadeIdempotent, MakeIdempotent, MakeIdempotentOptions } from './function/make-idempotent.js';
export { ConcurrentBehavior, type FunctionOptions } from './function/options.js';
export type { Logger } from './logging.js';
export type { ContextLike, ResultClass, ResultLike, TaskLike } from './task/contract.js';
export type { TaskDefaults, TaskOptions, TaskReconciled } from './task/options.js';
