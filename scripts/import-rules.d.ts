export const RULES: readonly {
  readonly of: RegExp;
  readonly may: string;
  readonly values: RegExp;
  readonly types?: RegExp;
}[];
export const PEERS: readonly { readonly of: RegExp; readonly name: RegExp }[];
export function importFault(from: string, to: string, kind: 'value' | 'type' | 'dynamic'): string | undefined;
