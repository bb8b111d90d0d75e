// `hopscope why`: asks a running collector, and says plainly when it cannot be reached.

import { askCollector } from './ask-collector.ts';
import type { Config } from './config.ts';
import type { WhyAnswer } from './why.ts';

export interface WhyOptions {
  at?: string;
  config?: string;
  url?: string;
  json?: boolean;
}

/** The answer of the collector. Throws an Error with a plain sentence when there is none. */
export async function askWhy(subject: string, { at, url }: WhyOptions, config: Config): Promise<WhyAnswer> {
  const query = new URLSearchParams({ subject, ...(at === undefined ? {} : { at }) });
  const otherwise = ': start one ("hopscope start"), or give its address with --url or --config';
  return (await askCollector(config, { path: `/api/v1/why?${query.toString()}`, url, otherwise })) as WhyAnswer;
}
