import { isMultipart, unknownBody } from './node/body.js';

/**
 * The body of a request, read from a copy: parsed where it is JSON, so that spaces and the order of members do not
 * count; else its bytes.
 * @throws UsageError INVALID_OPTIONS when it was read before, or is multipart
 */
export async function fetchBody(request: Request): Promise<unknown> {
  if (!request.body) return undefined;
  if (request.bodyUsed) throw unknownBody('was read before the handler');
  const type = request.headers.get('content-type');
  if (isMultipart(type)) throw unknownBody('is multipart');
  const bytes = new Uint8Array(await request.clone().arrayBuffer());
  if (bytes.length === 0) return undefined;
  if (!/[/+]json\b/i.test(type ?? '')) return bytes;
  try {
    return { json: JSON.parse(new TextDecoder().decode(bytes)) as unknown };
  } catch {
    return bytes;
  }
}
