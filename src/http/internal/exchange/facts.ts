/** A request, in the form that is the same for all frameworks. */
export interface Facts<Req> {
  readonly method: string;
  readonly path: string;
  /** With its question mark; empty when there is none. */
  readonly query: string;
  /** The full path of the route, or the request's path if the framework does not know the route. */
  readonly route: string;
  readonly header: (name: string) => string | undefined;
  /** The host in the request. */
  readonly host: () => string | undefined;
  /** The arguments of functions in the options: the request, or a copy that they may read, and the handler's other arguments. */
  readonly asked: () => readonly [request: Req, ...further: unknown[]];
  /** Whether the client is still sending what one of them reads. */
  readonly isReading: () => boolean;
  /**
   * The body in the form that is compared: parsed JSON, text or bytes; undefined if there is none.
   * @throws UsageError INVALID_OPTIONS if it can't be read because of a mistake in the app
   * @throws BodyRefused if it can't be read because of what the client sent
   */
  readonly body: () => unknown;
  /** Whether each request has its own object. */
  readonly comesOnce: boolean;
  /** Advice for the case that no caller is known: a common mistake with this framework. */
  readonly scopeHint?: string | undefined;
  /** Sets a header on the handler's answer. */
  readonly mark: (name: string, value: string) => void;
  /** Calls back when the client has left. */
  readonly onGone: (listener: () => void) => void;
}
