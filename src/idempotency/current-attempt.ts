import { AsyncLocalStorage } from 'node:async_hooks';
import type { Attempt } from '../core/attempt/attempt.js';
import { keyIdentity, type StoreKey } from '../core/record.js';
import type { LeaseStore } from '../core/store.js';

interface Frame {
  readonly attempt: Attempt;
  readonly store: LeaseStore;
  readonly key: StoreKey;
  readonly outer: Frame | undefined;
}

// One for the process, even if the ESM and the CommonJS build are both loaded.
const FRAMES = Symbol.for('twiceshy.attempts.1');
const holder = globalThis as { [FRAMES]?: AsyncLocalStorage<Frame> };
const frames = (holder[FRAMES] ??= new AsyncLocalStorage<Frame>());

/**
 * The attempt that the calling code runs in, with its key, fencing token, attempt number, signal and `deriveKey(name)`. Undefined
 * outside of protected work.
 *
 * @example await stripe.charges.create(charge, { idempotencyKey: currentAttempt()?.deriveKey('charge') });
 */
export function currentAttempt(): Attempt | undefined {
  return frames.getStore()?.attempt;
}

export function enterAttempt<R>(attempt: Attempt, store: LeaseStore, key: StoreKey, run: () => R): R {
  return frames.run({ attempt, store, key, outer: frames.getStore() }, run);
}

/** Whether the calling code runs under this key: a nested call of the same key would wait for itself. */
export function holdsKey(store: LeaseStore, key: StoreKey): boolean {
  for (let frame = frames.getStore(); frame; frame = frame.outer) {
    if (frame.store === store && keyIdentity(frame.key) === keyIdentity(key)) return true;
  }
  return false;
}

/** Whether the calling code is part of this attempt's work, directly or inside attempts that the work started. */
export function isInside(attempt: Attempt): boolean {
  for (let frame = frames.getStore(); frame; frame = frame.outer) {
    if (frame.attempt === attempt) return true;
  }
  return false;
}
