import type { Awaited } from '../../src/core/decision.js';
import type { Lease } from '../../src/core/record.js';
import type { ClaimRequest, Settlement } from '../../src/core/store.js';
import type { Kept } from '../../src/stores/shared/kept.js';
import { freshKey } from '../../src/testing/bench.js';

/** The length of a lease, in ticks of the model's clock. */
export const LEASE = 2;
export const KEY = freshKey('key');
/** Longer than any run of the model: what it explores is leases, not retention. */
export const FOREVER = 1_000_000;

export type Command =
  | { readonly kind: 'claim'; readonly request: ClaimRequest }
  | { readonly kind: 'renew'; readonly lease: Lease }
  | { readonly kind: 'settle'; readonly lease: Lease; readonly settlement: Settlement }
  | { readonly kind: 'release'; readonly token: string };

/** A command of a caller on its way: to the store, or its answer on the way back. */
export interface Call {
  readonly command: Command;
  /** When it was sent, on the caller's clock. */
  readonly sentAt: number;
  readonly answer: unknown;
  readonly isExecuted: boolean;
}

export type Answer =
  /** Its own work ran; `recorded` says whether the store knows. */
  | { readonly kind: 'ran'; readonly value: string; readonly recorded: boolean }
  | { readonly kind: 'replayed'; readonly value: string }
  | { readonly kind: 'failed' }
  | { readonly kind: 'refused' };

export type Phase =
  'ready' | 'claiming' | 'working' | 'settling' | 'waiting' | 'following' | 'done' | 'crashed';

export interface CallerState {
  readonly phase: Phase;
  readonly attempts: number;
  readonly replacing: string | undefined;
  readonly reconciles: boolean;
  readonly awaited: Awaited | undefined;
  readonly lease: Lease | undefined;
  /** When the last granted request was sent: what the caller's own clock counts from. */
  readonly grantedAt: number;
  /** The work's effect, once it has happened. */
  readonly effect: string | undefined;
  readonly call: Call | undefined;
  readonly answer: Answer | undefined;
}

/** What the environment may still do. */
export interface Budget {
  readonly ticks: number;
  readonly crashes: number;
  readonly lost: number;
  readonly wipes: number;
  readonly people: number;
  readonly failures: number;
}

export interface State {
  readonly now: number;
  /** The store's clock in its finest unit: every command is later than the one before. */
  readonly micros: number;
  /** Whether that clock stands still, as after it was set back: then fences grow by counting alone. */
  readonly isClockStopped: boolean;
  readonly record: Kept | undefined;
  readonly callers: readonly CallerState[];
  /** Commands whose caller does not wait for them any more, and which may be executed at any time or never. */
  readonly ghosts: readonly Command[];
  /** What must still reach the store: results to record and claims to withdraw. */
  readonly chores: readonly Command[];
  readonly budget: Budget;
  /** What the properties need to know of the past. */
  readonly past: {
    readonly agreed: string | undefined;
    readonly highestFence: number;
    readonly effects: number;
    readonly recorded: readonly string[];
    readonly withdrawn: readonly string[];
    /** The highest fence that a person forgot. */
    readonly forgottenFence: number;
    /** Whether an answer may have been lost since: storage without data, or a person's decision. */
    readonly excused: boolean;
  };
}
