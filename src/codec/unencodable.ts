/**
 * A value that would come back changed, and is refused for that. `path` names where it stands, such as
 * `value.customer.card`; the message says what to do about it.
 */
export class UnencodableError extends Error {
  constructor(
    readonly path: string,
    what: string,
    options?: ErrorOptions,
  ) {
    super(
      `${path} ${what}, so its replay would differ: return plain data, flatten it, or register a class codec`,
      options,
    );
    this.name = 'UnencodableError';
  }
}
