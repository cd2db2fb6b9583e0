import { BOOLEAN, FUNCTION, type OptionTable } from '../../core/check.js';

export interface KeyValueStoreOptions {
  /**
   * Called with the warning that the store is atomic within this process only, each time one is created. To silence it, give a
   * function that does nothing.
   * @default process.emitWarning, once for each class of store
   */
  onWarning?: (message: string) => void;
  /** Whether every run on this store needs a `scope`: one without is refused with INVALID_OPTIONS. @default false */
  requireScope?: boolean;
}

export const KEY_VALUE_OPTIONS = {
  onWarning: FUNCTION,
  requireScope: BOOLEAN,
} satisfies OptionTable<KeyValueStoreOptions>;
