import {
  settledNotes,
  type AbandonedRule,
  type Lease,
  type Notes,
  type RecordedStep,
} from '../core/record.js';
import type { ClaimRequest, Replacement, Settlement } from '../core/store.js';

/** A record as {@link ReferenceModel} keeps it: without clocks, since a lease is live until something ends it. */
export interface ModelRecord {
  readonly status: Settlement['status'] | 'TOMBSTONE';
  readonly final: boolean;
  /** Whether an attempt holds it: it is in progress, and its lease has not ended. */
  readonly isLive: boolean;
  /** The owner token; empty for a record that a person forgot. A mark of a withdrawal has the token that was withdrawn. */
  readonly token: string;
  /** Who held the record before, or withdrew a claim of it, and so is recognised. */
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
  /** The steps of all attempts so far, in the order in which they were recorded. */
  readonly steps: readonly RecordedStep[];
  /** Kept for final records alone. */
  readonly hitCount: number;
  /** What the claim replaced, one level deep: a release puts it back. */
  readonly prior: ModelRecord | undefined;
}

/**
 * The specification of a `LeaseStore`, as a program: what each of its methods makes of one key, and answers. The random
 * histories of `describeStoreContract()` compare a store with it, and tests of your own may do the same: play each command on the
 * store and on the model, and compare the answers, and `record` with what the store reads.
 *
 * It has no clock. A lease ends by `runOut()`, and nothing expires. Fences and moments are the store's to choose, so the model
 * is told them. It does not say what becomes of a token that ended and that no record names any more (`recognises`): a store
 * may have forgotten it.
 */
export class ReferenceModel {
  /** What stands at the key; undefined for absence. A tombstone is read as absence as well. */
  record: ModelRecord | undefined;
  /** The highest fence that was seen so far: the next one given is above it (G5). */
  fenceSeen = 0;

  /** Whether the store must still know the token, and so must know what it did. */
  recognises(token: string): boolean {
    return this.record?.token === token || this.record?.previous?.token === token;
  }

  /**
   * Whether a claim is granted: `granted` to a new attempt, `resent` to the one that holds the record. After either, tell the
   * model of the store's grant, by {@link granted} or {@link renew}. Counts a hit on a final record.
   */
  claim(request: ClaimRequest): 'granted' | 'resent' | 'refused' {
    const found = this.record;
    if (!found) return 'granted';
    if (found.token === request.token && found.status === 'IN_PROGRESS') return 'resent';
    if (!this.recognises(request.token) && isOpen(found, request.replacing)) return 'granted';
    if (found.final) this.record = { ...found, hitCount: found.hitCount + 1 };
    return 'refused';
  }

  /** Makes the record of a claim that was `granted`. Its fence and moments are the store's. */
  granted(
    request: ClaimRequest,
    { fence, createdAtMs, startedAtMs }: Pick<Lease, 'fence' | 'createdAtMs' | 'startedAtMs'>,
  ): ModelRecord {
    const prior = this.record;
    const replaced = prior?.status === 'TOMBSTONE' ? undefined : prior;
    const { token, fingerprint, onAbandoned, notes } = request;
    this.record = {
      ...{ ...RUNNING, token, fence, fingerprint, onAbandoned, notes, startedAtMs },
      previous: replaced && { token: replaced.token, end: endOf(replaced) },
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

  /** The lease of the standing record has run out. */
  runOut(): void {
    if (this.record) this.record = { ...this.record, isLive: false };
  }

  /** Whether a step is accepted, or was there before. */
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

  /** Whether a release undid a claim. Where it did not, it may leave a mark. */
  release(token: string): boolean {
    const found = this.record;
    const own = this.#own(token);
    const previous = { token, end: 'withdrawn' } as const;
    if (own?.prior) this.record = { ...own.prior, previous, fence: own.fence };
    else if (own || !found) this.record = { ...TOMBSTONE, token, failures: own?.failures ?? 0 };
    else if (found.token !== token && !found.final && !found.isLive) this.record = { ...found, previous };
    return own !== undefined;
  }

  /** A person's write. The fence that an outcome by hand gets is the store's: set it in `record`. */
  override(replacement: Replacement): 'done' | 'absent' | 'live' {
    const found = this.record;
    if (!found || found.status === 'TOMBSTONE') return 'absent';
    if (found.isLive && !(replacement.kind === 'forget' && replacement.force)) return 'live';
    const previous = { token: found.token, end: endOf(found) };
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

  /** G3, for a record that is not the writer's own. */
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

const endOf = ({ status }: ModelRecord) =>
  status === 'IN_PROGRESS' ? ('abandoned' as const) : ('settled' as const);

const hasStep = (steps: readonly RecordedStep[], { name }: RecordedStep): boolean =>
  steps.some((each) => each.name === name);

/** The record as its owner knows it, written where nothing or something older stands. */
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
