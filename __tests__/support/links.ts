/** Code is no prose: what looks like a link in it is none. */
const withoutCode = (text: string) => text.replace(/^```[\s\S]*?^```$/gm, '').replace(/`[^`\n]*`/g, '');

export interface Link {
  readonly target: string;
  /** Empty for a place on the page itself. */
  readonly path: string;
  readonly anchor: string | undefined;
  readonly isAbsolute: boolean;
}

/** Where the links of a page in Markdown lead. */
export function linksIn(text: string): Link[] {
  return [...withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => {
    const [path = '', anchor] = target.split('#');
    return { target, path, anchor, isAbsolute: /^[a-z]+:/.test(target) };
  });
}
