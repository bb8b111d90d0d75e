// A whole collector in this process on loopback, with free ports and nothing said but errors.

import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { parseConfig } from '../../collector/config.ts';
import { startCollector, type Collector } from '../../collector/main.ts';

export interface TestCollector extends Collector {
  base: string;
  /** Everything that was said, in order. */
  said: string[];
}

export async function startTestCollector(settings: object = {}): Promise<TestCollector> {
  const said: string[] = [];
  const say = (message: string): void => void said.push(message);
  const config = parseConfig(
    stringify({
      ingest: { address: '127.0.0.1', port: 0 },
      http: { port: 0 },
      store: { path: join(mkdtempSync(join(tmpdir(), 'hopscope-store-')), 'hopscope.db') },
      ...settings,
    }),
  );
  const collector = await startCollector(config, { info: say, notice: say, error: say });
  return Object.assign(collector, { base: `http://127.0.0.1:${collector.httpPort}`, said });
}

/** Value of one Prometheus sample by its full name with labels, or the sum over all samples of a name. */
export function metricOf(text: string, name: string): number {
  const lines = text.split('\n').filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
  if (lines.length === 0) throw new Error(`no sample of ${name}`);
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
