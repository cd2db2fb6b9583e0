import tseslint from 'typescript-eslint';

const nodeBuiltins = '^node:';
const core = (name) => `^(\\.\\./)+core/${name}\\.js$`;
const shared =
  '^(\\.\\./)+((core|keys|codec)/[\\w.-]+|api|idempotency|adapter|attempt|translate|logging)\\.js$';
const ownFolder = '^\\./([\\w.-]+/)*[\\w.-]+\\.js$';
const ownFolderFromInternal = '^\\.\\./[\\w.-]+\\.js$';

/**
 * Who may import whom (ARCHITECTURE.md). `__tests__/architecture.test.ts` holds the same rules without this
 * file, dynamic imports included.
 * @param {string} folder
 * @param {{ values: string[], types?: string[], sentence: string }} may
 */
function mayImport(folder, { values, types = [], sentence }) {
  const outside = (allowed) =>
    `^(?!${allowed.map((pattern) => `(?:${pattern.replace(/^\^/, '')})`).join('|')})`;
  const message = `${folder} ${sentence} (ARCHITECTURE.md, "Who may import whom").`;
  return {
    files: [`src/${folder}`],
    rules: {
      '@typescript-eslint/no-restricted-imports': [
        'error',
        {
          patterns: [
            { regex: outside([...values, ...types]), message },
            ...types.map((type) => ({ regex: type, allowTypeImports: true, message })),
          ],
        },
      ],
    },
  };
}

const faces = ['task', 'function', 'http', 'queue'];
const storeParts = core('(record|store|errors|check|token|warn)');

const boundaries = [
  mayImport('core/**', { values: [ownFolder], sentence: 'imports only core, and no node:*' }),
  ...['keys', 'codec'].map((folder) =>
    mayImport(`${folder}/**`, {
      values: [ownFolder, '^\\.\\./values/', core('errors'), nodeBuiltins],
      types: [core('record')],
      sentence: 'imports no other folder but values, core/errors and the types of core/record',
    }),
  ),
  mayImport('values/**', { values: [ownFolder, core('errors')], sentence: 'imports only core/errors' }),
  mayImport('stores/*', {
    values: ['^\\./internal/', storeParts, nodeBuiltins],
    sentence:
      'imports core/{record,store,errors,check,token,warn} and its internal/: no engine, no other store',
  }),
  mayImport('stores/postgres.ts', {
    values: ['^\\./internal/', storeParts, nodeBuiltins, '^\\.\\./transaction/'],
    sentence:
      'imports what a store imports, and transaction/: its transactional mode is the engine on a store of its own',
  }),
  mayImport('stores/internal/**', {
    values: [ownFolder, storeParts, nodeBuiltins],
    sentence: 'imports core/{record,store,errors,check,token,warn} and its neighbours',
  }),
  ...faces.flatMap((face) => [
    mayImport(`${face}/**`, {
      values: [ownFolder, shared, nodeBuiltins],
      sentence: 'imports core, keys, codec, idempotency, adapter and attempt: no store, no other face',
    }),
    mayImport(`${face}/internal/**`, {
      values: [ownFolder, ownFolderFromInternal, shared, nodeBuiltins],
      sentence: 'imports core, keys, codec, idempotency, adapter and attempt: no store, no other face',
    }),
  ]),
  mayImport('http/fastify.ts', {
    values: [ownFolder, shared, nodeBuiltins],
    // It adds to the types of Fastify's request.
    types: ['^fastify$'],
    sentence: 'imports what a face may, and of fastify the types',
  }),
  mayImport('transaction/**', {
    values: [ownFolder, shared, nodeBuiltins],
    sentence: 'imports core, keys, codec, idempotency, adapter and attempt, as a face does: no store',
  }),
  mayImport('testing/**', {
    values: [ownFolder, '^\\.\\./(bench|expect|model|options)\\.js$', core('[\\w.-]+'), nodeBuiltins],
    // By import() at the first use: who skips the random histories need not install it.
    types: ['^fast-check$'],
    sentence: 'imports only core, and of fast-check the types',
  }),
  mayImport('pipeline/**', { values: [ownFolder], sentence: 'stands alone' }),
  mayImport('!(index|defaults).ts', {
    values: ['^\\./(core|keys|codec)/', '^\\./(?!defaults|index)[\\w-]+\\.js$', nodeBuiltins],
    sentence: 'imports no store and no face: only defaults.ts brings them together',
  }),
];

export default tseslint.config(
  { ignores: ['dist/', '.more/', 'coverage/', '__tests__/package/fixtures/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      eqeqeq: 'error',
      'no-var': 'error',
      'prefer-const': 'error',
      'no-unreachable': 'error',
      'no-fallthrough': 'error',
      'no-console': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', ignoreRestSiblings: true }],
      // A method of an async contract is async although it happens to await nothing.
      '@typescript-eslint/require-await': 'off',
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      'no-restricted-globals': [
        'error',
        { name: 'Buffer', message: "import it from 'node:buffer': workerd has no global of that name." },
      ],
      complexity: ['error', 15],
      'max-depth': ['error', 3],
      'max-lines': ['error', { max: 250, skipBlankLines: true, skipComments: true }],
    },
  },
  // One statement or script beside the other, each read by itself.
  { files: ['src/**/*.{sql,lua}.ts'], rules: { 'max-lines': 'off' } },
  ...boundaries,
  {
    files: ['**/*.{js,mjs}'],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: { parserOptions: { project: false } },
  },
  { files: ['scripts/**', 'examples/**', 'bench/**'], rules: { 'no-console': 'off' } },
  {
    files: ['__tests__/**/*.ts'],
    rules: {
      // `expect(store.claim).toHaveBeenCalled()` reads a method without calling it.
      '@typescript-eslint/unbound-method': 'off',
    },
  },
);
