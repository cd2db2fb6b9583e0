/** Converts what users' functions return or throw into outcomes, and outcomes into text. */
import type { OnAbandoned, Reconciled } from './api.js';
import { encodeFailure, type Codec, type RedactFacts } from '../codec/index.js';
import type { Attempt } from '../core/attempt/attempt.js';
import { show } from '../core/check.js';
import { UsageError } from '../core/errors.js';
import type { EncodedOf, EngineParts } from '../core/operation.js';
import type { Remember } from '../core/options.js';
import { failureOutcome, judge, type Outcome } from '../core/outcome.js';
import type { AbandonedRule } from '../core/record.js';

/** Wraps work that returns or throws, so that every end of it is an outcome. */
export function toWork<T>(
  work: (attempt: Attempt) => T | Promise<T>,
  remember: Remember<unknown>,
  rule: AbandonedRule,
): (attempt: Attempt) => Promise<Outcome<T>> {
  const completed = (value: T): Outcome<T> => ({ kind: 'completed', value });
  const failed = (error: unknown): Outcome<T> => judge(remember, error, rule);
  // Not async: the frames of async functions cost most of a short run.
  return (attempt) => {
    try {
      return Promise.resolve(work(attempt)).then(completed, failed);
    } catch (error) {
      return Promise.resolve(failed(error));
    }
  };
}

/** Wraps a user's reconcile function into the form that the engine calls. */
export function toReconcile<T>(
  ask: Extract<OnAbandoned<T>, (attempt: Attempt) => unknown>,
): (attempt: Attempt) => Promise<Outcome<T> | 'run'> {
  return async (attempt) => toOutcome(await ask(attempt));
}

/** @throws UsageError INVALID_OPTIONS for an answer in none of the three forms */
function toOutcome<T>(found: Reconciled<T>): Outcome<T> | 'run' {
  if (found === 'run') return 'run';
  if (typeof found === 'object' && found !== null) {
    if ('completed' in found) return { kind: 'completed', value: found.completed };
    if ('failed' in found) return failureOutcome('final', found.failed);
  }
  throw new UsageError(
    'INVALID_OPTIONS',
    `the onAbandoned function returned ${show(found)}: it must return "run", { completed } or { failed }`,
  );
}

/**
 * An outcome as text, redacted; or the reason why it must be recorded without its value.
 * @param onDropped called with the path of each member that is left out of an error
 */
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
