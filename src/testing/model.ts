import {
  settledNotes,
  type AbandonedRule,
  type Lease,
  type Notes,
  type RecordedStep,
} from '../core/record.js';
import type { ClaimRequest, Replacement, Settlement } from '../core/store.js';

/** A record of {@link ReferenceModel}. It has no lease end, because the model has no clock. */
export interface ModelRecord {
  readonly status: Settlement['status'] | 'TOMBSTONE';
  readonly final: boolean;
  /** Whether the record is in progress and its lease has not ended. */
  readonly isLive: boolean;
  /** The owner token; empty for a forgotten record. The mark of a withdrawal has the withdrawn token. */
  readonly token: string;
  /** The previous owner, or a withdrawn claim: commands with this token are recognised. */
  readonly previous:
    { readonly token: string; readonly end: 'settled' | 'abandoned' | 'withdrawn' } | undefined;
  readonly fence: number;
  readonly attempt: number;
  readonly failures: number;
  readonly fingerprint: string | undefined;
  readonly onAbandoned: AbandonedRule;
  readonly notes: Notes | undefined;
  readonly createdAtMs: number;
  readonly startedAtMs: number;
  readonly payload: string | undefined;
  /** The steps of all attempts, in the order in which they were recorded. */
  readonly steps: readonly RecordedStep[];
  /** Counted for final records only. */
  readonly hitCount: number;
  /** The record that the claim replaced, without its own `prior`. A release restores it. */
  readonly prior: ModelRecord | undefined;
}

/**
 * The specification of a `LeaseStore` as a program: what each method does to the record of one key, and what it returns. The
 * random histories of `describeStoreContract()` compare a store with it. Your own tests can do the same: run each command on the
 * store and on the model, compare the answers, and compare `record` with what the store reads.
 *
 * The model has no clock: `runOut()` ends a lease, and nothing expires. The store chooses fencing tokens and times, so the model
 * takes them from the store's answers. For a token that has ended and that no record names any more (see `recognises`), the model
 * specifies nothing, because a store may have forgotten it.
 */
export class ReferenceModel {
  /** The record of the key; undefined if there is none. For readers a tombstone means that there is none too. */
  record: ModelRecord | undefined;
  /** The highest fencing token so far: the next one must be above it (G5). */
  fenceSeen = 0;

  /** Whether the store must still recognise commands with this token. */
  recognises(token: string): boolean {
    return this.record?.token === token || this.record?.previous?.token === token;
  }

  /**
   * The answer to a claim: `granted` to a new attempt, `resent` if the attempt has the record already, or `refused`. After the
   * first two, pass the store's grant to the model, by {@link granted} or {@link renew}. Counts a hit on a final record.
   */
  claim(request: ClaimRequest): 'granted' | 'resent' | 'refused' {
    const found = this.record;
    if (!found) return 'granted';
    if (found.token === request.token && found.status === 'IN_PROGRESS') return 'resent';
    if (!this.recognises(request.token) && isOpen(found, request.replacing)) return 'granted';
    if (found.final) this.record = { ...found, hitCount: found.hitCount + 1 };
    return 'refused';
  }

  /** Makes the record of a claim that was `granted`, with the fencing token and the times of the store's grant. */
  granted(
    request: ClaimRequest,
    { fence, createdAtMs, startedAtMs }: Pick<Lease, 'fence' | 'createdAtMs' | 'startedAtMs'>,
  ): ModelRecord {
    const prior = this.record;
    const replaced = prior?.status === 'TOMBSTONE' ? undefined : prior;
    const { token, fingerprint, onAbandoned, notes } = request;
    this.record = {
      ...{ ...RUNNING, token, fence, fingerprint, onAbandoned, notes, startedAtMs },
      previous: replaced && { token: replaced.token, end: howEnded(replaced) },
      attempt: (replaced?.attempt ?? 0) + 1,
      failures: prior?.failures ?? 0,
      createdAtMs: replaced?.createdAtMs ?? createdAtMs,
      steps: replaced?.steps ?? [],
      prior: prior && { ...prior, prior: undefined },
    };
    return this.record;
  }

  /** Whether a renewal is accepted. */
  renew(lease: Lease): boolean {
    const own = this.#own(lease.token);
    if (!own && !this.#mayWrite(lease)) return false;
    this.record = { ...(own ?? written(lease)), isLive: true };
    return true;
  }

  /** Ends the lease of the record. */
  runOut(): void {
    if (this.record) this.record = { ...this.record, isLive: false };
  }

  /** Whether a step is accepted, or was recorded before. */
  step(lease: Lease, step: RecordedStep): boolean {
    const own = this.#own(lease.token);
    if (!own && this.record?.previous?.token === lease.token) return hasStep(this.record.steps, step);
    if (!own && !this.#mayWrite(lease)) return false;
    const into = own ?? { ...written(lease), isLive: true };
    this.record = hasStep(into.steps, step) ? into : { ...into, steps: [...into.steps, step] };
    return true;
  }

  /** Whether a settling is accepted, or was done before. */
  settle(lease: Lease, { status, final, failures, payload }: Settlement): boolean {
    const found = this.record;
    const own = this.#own(lease.token);
    if (!own && found?.token === lease.token) return found.status !== 'TOMBSTONE';
    if (!own && found?.previous?.token === lease.token) return found.previous.end === 'settled';
    if (!own && !this.#mayWrite(lease)) return false;
    const ended = own ?? written(lease);
    const steps = final ? [] : ended.steps;
    const value = status === 'IN_PROGRESS' ? undefined : payload;
    this.record = {
      ...ended,
      status,
      final,
      failures,
      payload: value,
      steps,
      notes: settledNotes(ended.notes),
      isLive: false,
      prior: undefined,
    };
    return true;
  }

  /** Whether a release undid a claim. If not, it may leave a mark. */
  release(token: string): boolean {
    const found = this.record;
    const own = this.#own(token);
    const previous = { token, end: 'withdrawn' } as const;
    if (own?.prior) this.record = { ...own.prior, previous, fence: own.fence };
    else if (own || !found) this.record = { ...TOMBSTONE, token, failures: own?.failures ?? 0 };
    else if (found.token !== token && !found.final && !found.isLive) this.record = { ...found, previous };
    return own !== undefined;
  }

  /** Resolves or forgets the key. After a resolve, set the store's new fencing token in `record`. */
  override(replacement: Replacement): 'done' | 'absent' | 'live' {
    const found = this.record;
    if (!found || found.status === 'TOMBSTONE') return 'absent';
    if (found.isLive && !(replacement.kind === 'forget' && replacement.force)) return 'live';
    const previous = { token: found.token, end: howEnded(found) };
    if (replacement.kind === 'forget') {
      this.record = { ...TOMBSTONE, previous, failures: found.failures };
    } else {
      const { token, status, final, payload } = replacement;
      const cleared = { isLive: false, steps: [], hitCount: 0, prior: undefined };
      const notes = settledNotes(found.notes);
      this.record = { ...found, ...cleared, notes, token, status, final, payload, previous };
    }
    return 'done';
  }

  #own(token: string): ModelRecord | undefined {
    return this.record?.token === token && this.record.status === 'IN_PROGRESS' ? this.record : undefined;
  }

  /** Whether an attempt may write over a record that is not its own (G3). */
  #mayWrite({ token, fence }: Lease): boolean {
    if (!this.record) return true;
    const isOpenToWrites = this.record.status !== 'TOMBSTONE' && !this.record.final;
    return isOpenToWrites && !this.recognises(token) && this.record.fence < fence;
  }
}

const RUNNING = {
  status: 'IN_PROGRESS',
  final: false,
  isLive: true,
  payload: undefined,
  hitCount: 0,
} as const;

const TOMBSTONE: ModelRecord = {
  ...{ ...RUNNING, status: 'TOMBSTONE', isLive: false, token: '', previous: undefined, fence: 0, attempt: 1 },
  ...{
    failures: 0,
    fingerprint: undefined,
    onAbandoned: 'retry',
    notes: undefined,
    createdAtMs: 0,
    startedAtMs: 0,
    steps: [],
    prior: undefined,
  },
};

function isOpen(found: ModelRecord, replacing: string | undefined): boolean {
  if (found.status === 'TOMBSTONE') return true;
  return found.token === replacing && !found.final && !found.isLive;
}

const howEnded = ({ status }: ModelRecord) =>
  status === 'IN_PROGRESS' ? ('abandoned' as const) : ('settled' as const);

const hasStep = (steps: readonly RecordedStep[], { name }: RecordedStep): boolean =>
  steps.some((each) => each.name === name);

/** A record made from its owner's lease, for a write where there is none, or one with a lower fencing token. */
function written(lease: Lease): ModelRecord {
  const { token, fence, attempt, failures, fingerprint, onAbandoned, notes, steps } = lease;
  const { createdAtMs, startedAtMs, previousToken, previousEnd } = lease;
  return {
    ...RUNNING,
    ...{ token, fence, attempt, failures, fingerprint, onAbandoned, notes, createdAtMs, startedAtMs },
    ...{ steps, prior: undefined },
    previous: previousToken && previousEnd ? { token: previousToken, end: previousEnd } : undefined,
  };
}
