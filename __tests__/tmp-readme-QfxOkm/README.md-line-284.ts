
import { contextKey, hashKey } from 'twiceshy';

hashKey('order', 7, { b: 1, a: [new Date(0)] }); // 32 hex digits; 1 and '1' differ, the order of members does not count
contextKey('customerId', 'month', { optional: 'coupon' }); // a key function for tasks; a missing value is an error
export {};
