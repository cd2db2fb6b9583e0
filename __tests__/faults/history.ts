import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';

/**
 * What happened in a run, as its processes wrote it down: one file, one JSON line an event, appended by everybody
 * (O_APPEND), so that nothing is lost with a process that is killed, and so that the order of the lines is an order of time.
 */
export type HistoryEvent = Stamp & Told;

interface Stamp {
  /** Milliseconds on the machine's monotonic clock, which all its processes share. */
  readonly at: number;
  /** Milliseconds since 1970, by the machine's own clock. */
  readonly wall: number;
  /** The process that wrote it. */
  readonly by: string;
}

interface OfAttempt {
  readonly key: string;
  /** The owner token. */
  readonly token: string;
  readonly fence: number;
}

export type Told =
  | { readonly is: 'invoke'; readonly key: string; readonly call: string; readonly probe: boolean }
  | ({ readonly is: 'answer'; readonly key: string; readonly call: string } & AnswerTold)
  // The work of an attempt, from inside.
  | ({ readonly is: 'started'; readonly call: string } & OfAttempt)
  | ({ readonly is: 'effect'; readonly call: string; readonly value: string } & OfAttempt)
  | ({ readonly is: 'ended'; readonly call: string; readonly how: string } & OfAttempt)
  // What the store granted, between the moment it was asked (`sentAt`) and the moment it was heard (`at`).
  | ({ readonly is: 'granted' | 'renewed'; readonly sentAt: number } & OfAttempt)
  | ({
      readonly is: 'settled';
      readonly sentAt: number;
      readonly status: string;
      readonly accepted: boolean;
    } & OfAttempt)
  // What the engine said of an attempt that ended: the store could not be told in time; it was told after all.
  | ({ readonly is: 'unrecorded' | 'recorded-late' } & OfAttempt)
  /** The process did nothing at all from `from` on: stopped, blocked, or without a processor. */
  | { readonly is: 'stalled'; readonly from: number }
  // What the nemesis did.
  | { readonly is: 'fault'; readonly name: string }
  | { readonly is: 'killed'; readonly worker: string }
  /** A process ended that nobody had killed. */
  | { readonly is: 'died'; readonly worker: string; readonly why: string }
  /** The store lost what it had acknowledged, at some moment since `from`. */
  | { readonly is: 'loss'; readonly from: number }
  /** The nemesis has stopped, and all that it did is undone. */
  | { readonly is: 'healed' };

/** What a caller was told. */
export interface AnswerTold {
  readonly how: 'success' | 'failure' | 'refused';
  readonly value?: string | undefined;
  readonly code?: string | undefined;
  /** Whether the caller was told that it is recorded. */
  readonly recorded: boolean;
  /** The attempt that it is the answer of, where there is one. */
  readonly token?: string | undefined;
}

// Taken before anybody sets the clock: the nemesis changes what Date.now says.
const trueWallMs = Date.now.bind(Date);

/** Milliseconds that all processes of a machine agree on. */
export const sharedMs = (): number => Number(process.hrtime.bigint()) / 1e6;

/** Appends to a history. Synchronous, so that a line is written before what comes after it. */
export class Recorder {
  readonly #file: number;

  constructor(
    path: string,
    private readonly by: string,
  ) {
    this.#file = openSync(path, 'a');
  }

  note(told: Told): void {
    const event: HistoryEvent = { at: round(sharedMs()), wall: trueWallMs(), by: this.by, ...told };
    writeSync(this.#file, `${JSON.stringify(event)}\n`);
  }

  close(): void {
    closeSync(this.#file);
  }
}

const round = (ms: number): number => Math.round(ms * 1_000) / 1_000;

/** A line that a killed process left unfinished ends the reading in an error: a write of this size is one piece. */
export function readHistory(path: string): HistoryEvent[] {
  const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as HistoryEvent);
}
