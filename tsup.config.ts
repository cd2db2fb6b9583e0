import { defineConfig } from 'tsup';

export default defineConfig({
  entry: {
    index: 'src/index.ts',
    redis: 'src/stores/redis/store.ts',
    memory: 'src/stores/memory/store.ts',
    postgres: 'src/stores/postgres/store.ts',
    dynamodb: 'src/stores/dynamodb/store.ts',
    keyvalue: 'src/stores/keyvalue/store.ts',
    consumer: 'src/queue/consumer.ts',
    bullmq: 'src/queue/bullmq.ts',
    amqp: 'src/queue/amqp.ts',
    sqs: 'src/queue/sqs.ts',
    express: 'src/http/express.ts',
    fastify: 'src/http/fastify.ts',
    fetch: 'src/http/fetch.ts',
    pipeline: 'src/pipeline/index.ts',
    testing: 'src/testing/index.ts',
  },
  format: ['esm', 'cjs'],
  target: 'node20',
  // One copy of every class and of every piece of state, whichever subpaths are imported. In CommonJS it
  // also turns `import('ioredis')` into a require that jest can mock.
  splitting: true,
  clean: true,
  dts: { compilerOptions: { ignoreDeprecations: '6.0' } },
  removeNodeProtocol: false,
  external: ['@aws-sdk/lib-dynamodb', 'fast-check', 'ioredis'],
});
