import { createHash } from 'node:crypto';

/** A script with its digest, computed at its first use. */
export class Script {
  #sha: string | undefined;
  constructor(readonly text: string) {}

  get sha(): string {
    return (this.#sha ??= createHash('sha1').update(this.text).digest('hex'));
  }
}
