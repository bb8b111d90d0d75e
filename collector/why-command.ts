// `hopscope why`: asks a running collector, and says plainly when it cannot be reached.

import { readSecrets, type Config } from './config.ts';
import type { WhyAnswer } from './why.ts';

export interface WhyOptions {
  at?: string;
  config?: string;
  url?: string;
  json?: boolean;
}

const PATIENCE_MS = 10_000;

/** The answer of the collector. Throws an Error with a plain sentence when there is none. */
export async function askWhy(subject: string, { at, url }: WhyOptions, config: Config): Promise<WhyAnswer> {
  const { address, port } = config.http;
  const host = address === '0.0.0.0' || address === '::' ? '127.0.0.1' : address;
  const base = url ?? `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  const query = new URLSearchParams({ subject, ...(at === undefined ? {} : { at }) });
  const { httpToken } = readSecrets(config);
  let response: Response;
  try {
    response = await fetch(`${base}/api/v1/why?${query.toString()}`, {
      headers: httpToken === undefined ? {} : { authorization: `Bearer ${httpToken}` },
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  } catch {
    throw new Error(`no collector answers at ${base}: start one ("hopscope start"), or give its address with --url or --config`);
  }
  const answer = (await response.json()) as WhyAnswer & { error?: string };
  if (!response.ok) throw new Error(answer.error ?? `the collector at ${base} answers with status ${response.status}`);
  return answer;
}
