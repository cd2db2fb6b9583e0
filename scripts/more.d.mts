/** The node_modules of a set of `npm run setup -- all`, or undefined where it is not installed. */
export function findSet(name: 'runtimes' | 'workerd' | 'postgres' | 'oldest' | 'newest'): string | undefined;
