// `hopscope webhooks status|dead|replay|enable`: how endpoints stand, and what was given up.

import type { Config } from './config.ts';
import { askCollector } from './ask-collector.ts';
import type { DeadLetter } from './store/outbox.ts';

type Write = (text: string) => void;

/** Which dead letters; times as ISO 8601. */
export interface DeadLetterChoice {
  id?: string;
  endpoint?: string;
  since?: string;
  until?: string;
}

function ask(config: Config, path: string, body?: object): Promise<unknown> {
  return askCollector(config, { path: `/api/v1/webhooks${path}`, body, otherwise: '; what waits is on its disk meanwhile' });
}

export async function showEndpoints(config: Config, write: Write): Promise<void> {
  const { endpoints } = (await ask(config, '')) as {
    endpoints: { name: string; url: string; state: string; pending: number; deadLetters: number }[];
  };
  for (const { name, url, state, pending, deadLetters } of endpoints) {
    write(`${name} ${url}: ${state}, ${pending} waiting, ${deadLetters} given up`);
  }
}

export async function showDeadLetters(
  config: Config,
  { id, endpoint, since, until }: DeadLetterChoice,
  write: Write,
): Promise<void> {
  const said = Object.entries({ id, endpoint, since, until }).filter((pair): pair is [string, string] => pair[1] !== undefined);
  const { deadLetters } = (await ask(config, `/dead?${new URLSearchParams(said).toString()}`)) as { deadLetters: DeadLetter[] };
  for (const letter of deadLetters) {
    write(`${new Date(letter.diedUnixMs).toISOString()} ${letter.id} ${letter.type} to ${letter.endpoint}: ${letter.reason}`);
  }
}

export async function replay(config: Config, choice: DeadLetterChoice & { as: string }, write: Write): Promise<void> {
  const { as: who, id, endpoint, since, until } = choice;
  const { replayed } = (await ask(config, '/replay', { who, id, endpoint, since, until })) as { replayed: string[] };
  write(`${replayed.length} sent anew${replayed.length === 0 ? '' : `: ${replayed.join(' ')}`}`);
}

export async function enable(config: Config, endpoint: string, who: string): Promise<void> {
  await ask(config, '/enable', { who, endpoint });
}
