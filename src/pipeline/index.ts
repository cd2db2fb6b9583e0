export { optional, required, type AttributeType } from './attributes.js';
export { Context, type ContextOf } from './context.js';
export { Result, TaskFailedError, type ResultParts, type ResultState, type ResultStatus } from './result.js';
export { Task, type MiddlewareDefinition, type MiddlewareFunction } from './task.js';
