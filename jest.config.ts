/**
 * @jest-config-loader esbuild-register
 */
import type { Config } from 'jest';

/** What `npm test` leaves out: `npm run test:more` and `npm run test:long`. */
const TIERS = ['more', 'long'];
const tier = process.env['TWICESHY_TIER'];

const config: Config = {
  testEnvironment: 'node',
  testMatch: tier
    ? [`<rootDir>/__tests__/${tier}/**/*.test.ts`]
    : ['<rootDir>/__tests__/**/*.test.ts', '<rootDir>/examples/**/*.test.ts'],
  // The fixtures are projects of their own, copied out and installed by the package tests.
  testPathIgnorePatterns: [
    '/node_modules/',
    '<rootDir>/__tests__/package/fixtures/',
    ...TIERS.filter((each) => each !== tier).map((each) => `<rootDir>/__tests__/${each}/`),
  ],
  modulePathIgnorePatterns: ['<rootDir>/dist', '<rootDir>/.more', '<rootDir>/__tests__/package/fixtures/'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { target: 'es2022', parser: { syntax: 'typescript' } }, module: { type: 'es6' } },
    ],
  },
  moduleNameMapper: {
    '^(\\.{1,2}/.*)\\.js$': '$1',
    '^twiceshy$': '<rootDir>/src/index.ts',
    '^twiceshy/pipeline$': '<rootDir>/src/pipeline/index.ts',
    '^twiceshy/testing$': '<rootDir>/src/testing/index.ts',
    '^twiceshy/(consumer|bullmq|amqp|sqs)$': '<rootDir>/src/queue/$1.ts',
    '^twiceshy/(express|fastify|fetch)$': '<rootDir>/src/http/$1.ts',
    '^twiceshy/(.*)$': '<rootDir>/src/stores/$1/store.ts',
  },
  setupFilesAfterEnv: ['<rootDir>/__tests__/support/no-leaks.ts'],
  testTimeout: 20_000,
  // Most of a test is waiting for servers and processes: as many at once as there are cores.
  maxWorkers: '100%',
};

export default config;
