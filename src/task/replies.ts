import { show } from '../core/check.js';
import { DuplicateError, isIdempotencyError, UsageError, type ErrorCode } from '../core/errors.js';
import type { Answer, DuplicateAnswer } from '../core/outcome.js';
import type { StoredRecord } from '../core/record.js';
import type { Runtime } from '../idempotency/runtime.js';
import { applyChanges, fillGaps } from './context-changes.js';
import { isSavedResult, type ContextLike, type SavedResult } from './contract.js';

/** The reasons of the plain recipe, word for word, because code may compare them. */
const REASONS: Partial<Record<ErrorCode, string>> = {
  DUPLICATE_EXECUTION: 'Duplicate execution not allowed',
  IDEMPOTENCY_TIMEOUT: 'Timeout waiting for concurrent execution',
  CONCURRENT_REQUEST: 'Concurrent execution rejected',
};
const SKIPPED_REASON = 'Duplicate execution prevented';

/** Turns answers of the engine into results for tasks that did not run themselves. */
export class Replies {
  constructor(private readonly runtime: Runtime) {}

  /** The result for an answer. Applies to the context what the original run changed there. */
  to(answer: Answer<SavedResult>, context: ContextLike): SavedResult {
    switch (answer.kind) {
      case 'ran': {
        // A reconcile function gave the outcome, and the pipeline did not run.
        const { outcome } = answer;
        const saved = outcome.kind === 'completed' ? outcome.value : outcome.error;
        if (!isSavedResult(saved)) return refusal(saved);
        applyChanges(saved, context);
        return saved;
      }
      case 'duplicate':
        return this.#savedForDuplicate(answer.how, answer.record, context);
      case 'refused':
        return refusal(answer.error);
      case 'left':
        return refusal(answer.reason);
    }
  }

  #savedForDuplicate(how: DuplicateAnswer, record: StoredRecord, context: ContextLike): SavedResult {
    if (how === 'replay') {
      const saved = this.#read(record);
      (record.format === 'recipe' ? fillGaps : applyChanges)(saved, context);
      return saved;
    }
    const originalStatus = this.#originalStatus(record);
    if (how === 'skip') {
      return { status: 'skipped', reason: SKIPPED_REASON, metadata: { idempotent: true, originalStatus } };
    }
    const error = new DuplicateError(
      'DUPLICATE_EXECUTION',
      'a task with this key was executed before, and onDuplicate is "fail"',
    );
    return refusal(error, { originalStatus });
  }

  #read(record: StoredRecord): SavedResult {
    const value = record.format === 'recipe' ? parseRecipe(record.payload) : this.runtime.decode(record);
    if (isSavedResult(value)) return value;
    // A failure that could not be encoded completely was recorded as a plain error.
    if (record.status === 'FAILED') return refusal(value);
    return refusal(new UsageError('INVALID_KEY', 'the record under this key was not written by a task'));
  }

  #originalStatus(record: StoredRecord): string {
    try {
      return this.#read(record).status;
    } catch {
      // Recorded without its value: only the record's status is left.
      return record.status === 'COMPLETED' ? 'success' : 'failed';
    }
  }
}

/** A failed result for a thrown error. */
export function refusal(error: unknown, more: Record<string, unknown> = {}): SavedResult {
  const message = error instanceof Error ? error.message : show(error);
  if (!isIdempotencyError(error)) return { status: 'failed', reason: message, metadata: more, cause: error };
  const metadata = { code: error.code, ...more };
  return { status: 'failed', reason: REASONS[error.code] ?? message, metadata, cause: error };
}

function parseRecipe(payload: string | undefined): unknown {
  try {
    return JSON.parse(payload ?? '');
  } catch {
    return undefined;
  }
}
