export { shortDigest, fingerprintPayload, hashKey, sha256Hex, storedScope } from './hash.js';
export { contextKey } from './context-key.js';
export { checkKey, checkStoredKey } from './check.js';
export { composeNamespace, derivedKey, storeKey } from './address.js';
