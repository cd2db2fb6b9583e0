/** Between what users say and what the engine knows. */
import type { OnAbandoned, Reconciled } from './api.js';
import { encodeFailure, type Codec, type RedactFacts } from '../codec/index.js';
import type { Attempt } from '../core/attempt/attempt.js';
import { show } from '../core/check.js';
import { UsageError } from '../core/errors.js';
import type { EncodedOf, EngineParts } from '../core/operation.js';
import type { Remember } from '../core/options.js';
import { failureOutcome, judge, type Outcome } from '../core/outcome.js';
import type { AbandonedRule } from '../core/record.js';

/** Work that returns or throws, as work whose every end is an outcome. */
export function workOf<T>(
  work: (attempt: Attempt) => T | Promise<T>,
  remember: Remember<unknown>,
  rule: AbandonedRule,
): (attempt: Attempt) => Promise<Outcome<T>> {
  const completed = (value: T): Outcome<T> => ({ kind: 'completed', value });
  const failed = (error: unknown): Outcome<T> => judge(remember, error, rule);
  // Not async: what costs most of a short run are the frames of async functions.
  return (attempt) => {
    try {
      return Promise.resolve(work(attempt)).then(completed, failed);
    } catch (error) {
      return Promise.resolve(failed(error));
    }
  };
}

/** A user's reconcile function, as the engine asks it. */
export function reconcileOf<T>(
  ask: Extract<OnAbandoned<T>, (attempt: Attempt) => unknown>,
): (attempt: Attempt) => Promise<Outcome<T> | 'run'> {
  return async (attempt) => outcomeOf(await ask(attempt));
}

/** @throws UsageError INVALID_OPTIONS for an answer that means nothing: then nobody can say what happened */
function outcomeOf<T>(found: Reconciled<T>): Outcome<T> | 'run' {
  if (found === 'run') return 'run';
  if (typeof found === 'object' && found !== null) {
    if ('completed' in found) return { kind: 'completed', value: found.completed };
    if ('failed' in found) return failureOutcome('final', found.failed);
  }
  throw new UsageError(
    'INVALID_OPTIONS',
    `the onAbandoned function answered ${show(found)}: it answers "run", { completed } or { failed }`,
  );
}

/** @param onDropped told of what is left out of errors, by its path */
export function encodeOutcome(
  codec: Codec,
  outcome: Outcome<unknown>,
  { name, step }: EncodedOf,
  onDropped: (path: string) => void,
): ReturnType<EngineParts['encode']> {
  const facts = (kind: RedactFacts['kind']): RedactFacts =>
    step === undefined ? { operation: name, kind } : { operation: name, kind: 'step', step };
  try {
    if (outcome.kind === 'completed')
      return { text: codec.encode(codec.redact(outcome.value, facts('result')), onDropped) };
    return { text: encodeFailure(codec, codec.redact(outcome.error, facts('error')), onDropped) };
  } catch (error) {
    const path =
      typeof error === 'object' && error !== null && 'path' in error ? String(error.path) : 'value';
    return { path, error };
  }
}
