export { describeStoreContract } from './contract.js';
export type { ContractOptions, ContractPart, ContractSubject } from './options.js';
export { ReferenceModel, type ModelRecord } from './model.js';
export type { TestFunction, TestRunner } from './runner.js';
export { FaultyStore, storeDown, type Fault, type StoreOperation } from './faulty-store.js';
