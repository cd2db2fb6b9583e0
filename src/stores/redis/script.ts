import { createHash } from 'node:crypto';

/** A script, and what it is called with: first the keys, then the rest. */
export interface ScriptCall {
  readonly script: Script;
  readonly args: string[];
  readonly keys: number;
}

/** A script with its digest, computed at its first use. */
export class Script {
  #sha: string | undefined;
  constructor(readonly text: string) {}

  get sha(): string {
    return (this.#sha ??= createHash('sha1').update(this.text).digest('hex'));
  }
}
