import { defineConfig } from 'tsup';

export default defineConfig({
  entry: {
    index: 'src/index.ts',
    redis: 'src/stores/redis.ts',
    memory: 'src/stores/memory.ts',
    pipeline: 'src/pipeline/index.ts',
  },
  format: ['esm', 'cjs'],
  target: 'node20',
  // One copy of every class and of every piece of state, whichever subpaths are imported. In CommonJS it
  // also turns `import('ioredis')` into a require that jest can mock.
  splitting: true,
  clean: true,
  dts: { compilerOptions: { ignoreDeprecations: '6.0' } },
  removeNodeProtocol: false,
  external: ['ioredis'],
});
