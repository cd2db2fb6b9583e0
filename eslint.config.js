import { dirname, join, relative } from 'node:path';
import tseslint from 'typescript-eslint';
import { importFault } from './scripts/import-rules.js';

const SRC = join(import.meta.dirname, 'src');

/** Who may import whom, as scripts/import-rules.js has it. `__tests__/architecture.test.ts` holds the same table. */
const imports = {
  create(context) {
    const from = relative(SRC, context.filename).replaceAll('\\', '/');
    const check = (node, isType) => {
      if (!node.source) return;
      const { value } = node.source;
      const isLocal = value.startsWith('.');
      const file = isLocal ? relative(SRC, join(dirname(context.filename), value)) : value;
      const to = isLocal ? file.replaceAll('\\', '/').replace(/\.js$/, '.ts') : file;
      const fault = importFault(from, to, isType ? 'type' : 'value');
      if (fault) context.report({ node, message: fault });
    };
    return {
      ImportDeclaration: (node) => check(node, node.importKind === 'type'),
      ExportNamedDeclaration: (node) => check(node, node.exportKind === 'type'),
      ExportAllDeclaration: (node) => check(node, node.exportKind === 'type'),
    };
  },
};

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
  {
    files: ['src/**/*.ts'],
    plugins: { house: { rules: { imports } } },
    rules: { 'house/imports': 'error' },
  },
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
