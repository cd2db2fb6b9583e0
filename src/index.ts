/** Public names only. Importing this loads no client library. */
export {
  IdempotencyMiddleware,
  getIdempotencyMiddleware,
  type IdempotencyMiddlewareOptions,
} from './task/middleware.js';
export { defaultStore } from './default-store.js';
export {
  inFlightPerScope,
  waitersPerKey,
  type Admit,
  type Admitted,
  type AdmitFacts,
} from './core/admission.js';
export { createIdempotency } from './idempotency/idempotency.js';
export type {
  Idempotency,
  CacheHit,
  IdempotencyOptions,
  IdempotencyRecord,
  Namespaced,
  OnAbandoned,
  Reconciled,
  RunOptions,
} from './idempotency/api.js';
export { currentAttempt } from './idempotency/current-attempt.js';
export { contextKey, hashKey } from './keys/index.js';
export {
  classCodec,
  type ClassCodec,
  type CodecOptions,
  type Redact,
  type RedactFacts,
} from './codec/index.js';
export { InMemoryStore, type InMemoryStoreOptions } from './stores/memory/store.js';
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
  type RecordState,
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
export { idempotent, type Idempotent, type IdempotentOptions } from './function/idempotent.js';
export {
  makeIdempotent,
  type MadeIdempotent,
  type MakeIdempotent,
  type MakeIdempotentOptions,
} from './function/make-idempotent.js';
export { ConcurrentBehavior, type FunctionOptions } from './function/options.js';
export type { Logger } from './idempotency/logging.js';
export type { ContextLike, ResultClass, ResultLike, TaskLike } from './task/contract.js';
export type { TaskDefaults, TaskOptions, TaskReconciled } from './task/options.js';
