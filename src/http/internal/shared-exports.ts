/** What the entries of all frameworks export alike. */
export { recordOf } from './address.js';
export type { RecordPlace } from './address.js';
export type {
  HttpOptions,
  ReconciledAnswer,
  ReconciledRequest,
  RememberedAnswer,
  RememberFacts,
} from './options.js';
export type { ProblemFacts } from './problem.js';
export { problemFor } from './problem-for.js';
export type { ProblemAnswer } from './problem-for.js';
