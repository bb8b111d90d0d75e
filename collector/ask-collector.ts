// A question to the running collector over its own HTTP, for commands that need its answer.

import { readSecrets, type Config } from './config.ts';

const PATIENCE_MS = 10_000;

export interface Question {
  path: string;
  /** Sent as JSON with POST; without it, GET. */
  body?: object;
  /** Where the collector is, when not where the configuration says. */
  url?: string;
  /** What to do when nobody answers. */
  otherwise: string;
}

/** The answer. Throws an Error with a plain sentence where none comes, or a refusal. */
export async function askCollector(config: Config, { path, body, url, otherwise }: Question): Promise<unknown> {
  const { address, port } = config.http;
  const host = address === '0.0.0.0' || address === '::' ? '127.0.0.1' : address;
  const base = url ?? `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  const { httpToken } = readSecrets(config);
  let response: Response;
  try {
    response = await fetch(`${base}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...(httpToken !== undefined && { authorization: `Bearer ${httpToken}` }),
      },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  } catch {
    throw new Error(`no collector answers at ${base}${otherwise}`);
  }
  const answer = (await response.json()) as { error?: string };
  if (!response.ok) throw new Error(answer.error ?? `the collector at ${base} answers with status ${response.status}`);
  return answer;
}
