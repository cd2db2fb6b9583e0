// What the library weighs, minified and gzipped, without the client library. The limits stand at what was reached, so that
// growth is a decision; the goal for the first is 15 KB.
// `--parts` says beside that what each folder weighs.
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const KB = 1024;
const kb = (bytes) => `${(bytes / KB).toFixed(2)} KB`;

const MEASURED = [
  {
    what: 'core + task + Redis store (goal 15 KB)',
    limit: 25.9 * KB,
    entries: [
      'core/engine/engine',
      'core/events',
      'core/background/background',
      'task/replies',
      'task/capture',
      'task/results',
      'task/options',
      'stores/redis/store',
    ],
    // Weighed by the next one.
    external: ['*/codec/index.js', '*/keys/index.js', '*/idempotency/idempotency.js'],
  },
  {
    what: 'all that IdempotencyMiddleware imports: keys, codec and composition too',
    limit: 36.55 * KB,
    entries: ['task/middleware'],
    names: 'IdempotencyMiddleware, getIdempotencyMiddleware',
    external: [],
  },
];

async function bundle({ entries, names, external }) {
  const { outputFiles, metafile } = await build({
    stdin: {
      contents: entries
        .map((entry) => `export ${names ? `{ ${names} }` : '*'} from './src/${entry}.ts';`)
        .join('\n'),
      resolveDir: '.',
    },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: ['ioredis', ...external],
    metafile: true,
    write: false,
  });
  return { text: outputFiles[0].contents, inputs: Object.values(metafile.outputs)[0].inputs };
}

function printParts(inputs) {
  const parts = new Map();
  for (const [file, { bytesInOutput }] of Object.entries(inputs)) {
    const part = /^src\/[\w-]+/.exec(file)?.[0] ?? file;
    parts.set(part, (parts.get(part) ?? 0) + bytesInOutput);
  }
  for (const [part, bytes] of [...parts].sort((a, b) => b[1] - a[1])) {
    // Gzip shares its dictionary among the parts, so a part alone has only its minified size.
    console.log(`size: ${kb(bytes).padStart(9)} min  ${part}`);
  }
}

for (const each of MEASURED) {
  const { text, inputs } = await bundle(each);
  const size = gzipSync(text, { level: 9 }).length;
  if (process.argv.includes('--parts')) printParts(inputs);
  const figure = `${kb(size)} min+gzip: ${each.what}, limit ${kb(each.limit)}`;
  if (size > each.limit) {
    console.error(`size: ${figure}: over by ${Math.ceil(size - each.limit)} bytes`);
    process.exitCode = 1;
  } else {
    console.log(`size: ${figure}`);
  }
}
