/** What a worker process is told at its start, as JSON in its first argument. */
export interface WorkerConfig {
  readonly id: string;
  readonly seed: number;
  /** The file of the history. */
  readonly history: string;
  readonly store: StoreConfig;
  readonly leaseMs: number;
  readonly storeTimeoutMs: number;
  readonly waitTimeoutMs: number;
  /** The longest work. */
  readonly workMs: number;
  /** How many callers there are in one process. */
  readonly callers: number;
  /** A new key becomes the newest so often; it stays among those that are called most for three times as long. */
  readonly keyEveryMs: number;
  /** When the first key began, on the shared clock. */
  readonly beganAt: number;
  readonly onAbandoned: 'retry' | 'reconcile';
}

export type StoreConfig =
  | { readonly kind: 'redis'; readonly url: string; readonly broken?: Breakage | undefined }
  | { readonly kind: 'postgres'; readonly url: string; readonly poolMax: number; readonly isolation: string };

/** Stores with one guarantee broken on purpose. */
export type Breakage =
  'no owner check' | 'client clock' | 'no publish' | 'release on settle failure' | 'fences that fall';

/** What a worker is told while it runs, over its IPC channel. */
export type Order =
  /** The event loop does nothing for so long. */
  | { readonly do: 'block'; readonly ms: number }
  /** The process's clock is so far from the machine's. */
  | { readonly do: 'set the clock'; readonly offsetMs: number }
  /** No new calls of its own; then every key, until it has an answer. */
  | { readonly do: 'probe' }
  /** Ends by itself, once everything is closed. */
  | { readonly do: 'leave' };

export type Report = { readonly said: 'ready' } | { readonly said: 'probed' };

export const keyAt = (index: number): string => `k${index}`;
/** Which key is the newest. */
export const newestKey = ({ beganAt, keyEveryMs }: WorkerConfig, at: number): number =>
  Math.max(0, Math.floor((at - beganAt) / keyEveryMs));
