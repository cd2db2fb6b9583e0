import { stricter } from './options.js';
import type { DuplicateAnswer } from './outcome.js';
import { isAbandoned, type AbandonedRule, type StoredRecord } from './record.js';

/** What the caller of a run brings to the decision. */
export interface Asking {
  readonly fingerprint: string | undefined;
  readonly concurrent: 'wait' | 'reject';
  readonly onDuplicate: DuplicateAnswer;
  readonly onAbandoned: AbandonedRule;
  readonly maxAttempts: number;
  /** The attempt this caller waited on: its failure, or a newer one's, is the answer. */
  readonly awaited: Awaited | undefined;
}

/** What names an attempt that somebody waits on. */
export type Awaited = Pick<StoredRecord, 'fence' | 'token'>;

export type RefusalCode = 'KEY_REUSED' | 'CONCURRENT_REQUEST' | 'IN_DOUBT';

export type Decision =
  | { readonly do: 'answer'; readonly how: DuplicateAnswer }
  | { readonly do: 'wait' }
  /** Claim again, naming the record that is to be replaced. */
  | { readonly do: 'take'; readonly as: 'retry' | 'takeover' | 'reconcile' }
  | { readonly do: 'refuse'; readonly code: RefusalCode; readonly why: string };

const refuse = (code: RefusalCode, why: string): Decision => ({ do: 'refuse', code, why });

/** Pure: what to do about a record that is already there. */
export function decide(record: StoredRecord, asking: Asking): Decision {
  if (differ(record.fingerprint, asking.fingerprint)) {
    return refuse('KEY_REUSED', 'it was used before with another payload; use a new key for a new operation');
  }
  switch (record.status) {
    case 'COMPLETED':
      return { do: 'answer', how: asking.onDuplicate };
    case 'FAILED':
      return record.final ? { do: 'answer', how: asking.onDuplicate } : afterFailure(record, asking);
    case 'IN_PROGRESS':
      return isAbandoned(record) ? afterAbandonment(record, asking) : whileRunning(asking);
  }
}

function whileRunning(asking: Asking): Decision {
  if (asking.concurrent === 'wait') return { do: 'wait' };
  return refuse('CONCURRENT_REQUEST', 'it is running right now; try again when it has ended');
}

function afterFailure(record: StoredRecord, asking: Asking): Decision {
  // Whoever waited shares the failure, whatever onDuplicate says: "skipped" would count as good.
  if (isAwaited(record, asking.awaited) || record.attempt >= asking.maxAttempts)
    return { do: 'answer', how: 'replay' };
  return { do: 'take', as: 'retry' };
}

/** Whether the record is of the attempt that was waited on, or of a newer one. */
function isAwaited(record: StoredRecord, awaited: Awaited | undefined): boolean {
  if (awaited === undefined || record.fence < awaited.fence) return false;
  // The fence of a restored record is that of the attempt that was undone. If that one was waited on, this record is older.
  return !record.restored || record.token === awaited.token;
}

function afterAbandonment(record: StoredRecord, asking: Asking): Decision {
  if (record.attempt >= asking.maxAttempts) {
    return refuse('IN_DOUBT', `${record.attempt} attempts ended without an outcome; resolve() it by hand`);
  }
  const rule = stricter(record.onAbandoned, asking.onAbandoned);
  switch (rule) {
    case 'retry':
      return { do: 'take', as: 'takeover' };
    case 'reconcile':
      if (asking.onAbandoned === 'reconcile') return { do: 'take', as: 'reconcile' };
      return refuse(
        'IN_DOUBT',
        'it was claimed to be reconciled, and this call brings no reconcile function',
      );
    case 'block':
      return refuse(
        'IN_DOUBT',
        'nobody can say whether an earlier attempt took effect; resolve() it by hand',
      );
  }
}

function differ(recorded: string | undefined, asked: string | undefined): boolean {
  return recorded !== undefined && asked !== undefined && recorded !== asked;
}
