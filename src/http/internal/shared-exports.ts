/** What the entry points of all frameworks export. */
export { recordPlace } from './exchange/address.js';
export type { RecordPlace } from './exchange/address.js';
export type {
  HttpOptions,
  ReconciledAnswer,
  ReconciledRequest,
  RememberedAnswer,
  RememberFacts,
} from './options.js';
export type { ProblemFacts } from './problem/problem.js';
export { problemFor } from './problem/problem-for.js';
export type { ProblemAnswer } from './problem/problem-for.js';
