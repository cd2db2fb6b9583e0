import type { Answer } from '../outcome.js';
import type { Lease, StoredRecord } from '../record.js';
import type { Flight } from './flight.js';

/** What a caller does next. */
export type Next<T> =
  /** Join what happens to the key in this process, or be the first and claim it. */
  | Look
  /** Run the work under the lease that was won. */
  | Run
  /** Follow an attempt that somebody else runs, as far as its end. */
  | Follow
  | End<T>;

export interface Look {
  readonly do: 'look';
  /** The token of the record that was decided to be replaced. */
  readonly replacing?: string;
  /** Whether the attempt that is replaced is to be asked about before the work may run. */
  readonly reconciles?: boolean;
  /** A running record that was just seen: it need not be claimed to be watched. */
  readonly running?: StoredRecord;
}

export interface Run {
  readonly do: 'run';
  readonly flight: Flight;
  readonly lease: Lease;
  /** When the claim was sent; undefined for work that runs unprotected. */
  readonly claimSentMs: number | undefined;
  readonly reconciles: boolean;
}

export interface Follow {
  readonly do: 'follow';
  readonly flight: Flight;
  readonly record: StoredRecord;
}

export interface End<T> {
  readonly do: 'end';
  readonly answer: Answer<T>;
}

export const LOOK: Look = { do: 'look' };
export const end = <T>(answer: Answer<T>): End<T> => ({ do: 'end', answer });
