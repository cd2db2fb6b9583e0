/**
 * A value is refused because it would come back changed. `path` says where it is, such as `value.customer.card`; the message
 * says what to do.
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
