import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const docs = await readdir(join(ROOT, 'docs'), { recursive: true });
const PAGES = ['README.md', ...docs.filter((name) => name.endsWith('.md')).map((name) => join('docs', name))];

export interface Snippet {
  readonly page: string;
  readonly line: number;
  readonly code: string;
}

/** Every fenced block of the kind in the README and in docs/, with the line it starts at. */
export async function snippets(kind: string, pages = PAGES): Promise<Snippet[]> {
  const found: Snippet[] = [];
  for (const page of pages) {
    const lines = (await readFile(join(ROOT, page), 'utf8')).split('\n');
    lines.forEach((line, at) => {
      if (line !== `\`\`\`${kind}`) return;
      found.push({ page, line: at + 1, code: lines.slice(at + 1, lines.indexOf('```', at)).join('\n') });
    });
  }
  return found;
}

/** The parts of a page that are one program together, in the order in which a reader copies them. */
export async function programsInParts(): Promise<Snippet[]> {
  const pages = new Map<string, Snippet>();
  for (const part of await snippets('ts part')) {
    const first = pages.get(part.page);
    pages.set(part.page, first ? { ...first, code: `${first.code}\n${part.code}` } : part);
  }
  return [...pages.values()];
}

/** What a program says that it prints: a comment of one word, behind a line that logs. */
export const wordsPrintedBy = (code: string): string[] =>
  [...code.matchAll(/console\.log\(.*; \/\/ (\S+)$/gm)].map(([, word = '']) => word);

/** What a program may be called on disk. */
export const fileOf = ({ page, line }: Snippet, ending = '.ts') =>
  `${page.replaceAll('/', '-')}-line-${line}${ending}`;
