import { BOOLEAN, FUNCTION, type OptionTable } from '../../core/check.js';

export interface KeyValueStoreOptions {
  /**
   * Told that the store is atomic within this process only, each time one is made. A function that does nothing says that
   * you know.
   * @default process.emitWarning, once for each class of store
   */
  onWarning?: (message: string) => void;
  /** Whether every run on this store must say whose key it is: one without a `scope` is INVALID_OPTIONS. @default false */
  requireScope?: boolean;
}

export const KEY_VALUE_OPTIONS = {
  onWarning: FUNCTION,
  requireScope: BOOLEAN,
} satisfies OptionTable<KeyValueStoreOptions>;
