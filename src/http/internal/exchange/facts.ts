/** What the core asks of a request, whatever the framework. */
export interface Facts<Req> {
  readonly method: string;
  readonly path: string;
  /** With its question mark; empty when there is none. */
  readonly query: string;
  /** The full path of the route, as far as the framework tells it. */
  readonly route: string;
  readonly header: (name: string) => string | undefined;
  /** The host that the client names. */
  readonly host: () => string | undefined;
  /** What each function in the options is given: the request, or what it may read in its place, and what else the handler gets. */
  readonly asked: () => readonly [request: Req, ...further: unknown[]];
  /** Whether the client is still sending what one of them reads. */
  readonly isReading: () => boolean;
  /**
   * The body as far as it counts for "the same request": parsed JSON, text or bytes; undefined when there is none.
   * @throws UsageError INVALID_OPTIONS when it can't be had, which is the app's fault
   * @throws BodyRefused when that is the client's doing
   */
  readonly body: () => unknown;
  /** Whether each request is an object of its own. */
  readonly comesOnce: boolean;
  /** What the framework's users often get wrong where no caller is named. */
  readonly scopeHint?: string | undefined;
  /** Puts a header on the answer that the handler is about to give. */
  readonly mark: (name: string, value: string) => void;
  /** Calls back when the client has left. */
  readonly onGone: (listener: () => void) => void;
}
