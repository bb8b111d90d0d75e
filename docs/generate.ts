// Writes docs/metrics.md from the metric table, and docs/reference/performance.md from what `npm run bench -- --record` kept. Run by
// `npm run generate`; a test holds them together.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { METRICS } from '../collector/metric.ts';
import { tableOf, type Measure } from '../test/bench/measure.ts';

/** The page as Markdown. */
export function metricsPage(): string {
  const rows = METRICS.map((m) => `| \`${m.name}\` | ${m.type} | ${m.labels.map((l) => `\`${l}\``).join(', ')} | ${m.help} |`);
  return [
    '# Metrics',
    '',
    'Generated from `collector/metric.ts` by `npm run generate`. Do not edit.',
    '',
    'Node.js process metrics of prom-client (`process_*`, `nodejs_*`) are exposed beside these.',
    '',
    '| name | type | labels | meaning |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

const REFERENCE = join(import.meta.dirname, 'reference');

/** The page of the recorded benchmark as Markdown. */
export function performancePage(): string {
  const { machine, measures } = JSON.parse(readFileSync(join(REFERENCE, 'performance.json'), 'utf8')) as {
    machine: string;
    measures: Measure[];
  };
  const text = readFileSync(join(REFERENCE, 'performance.template.md'), 'utf8');
  return text.replace('{{machine}}', machine).replace('{{table}}', tableOf(measures));
}

if (import.meta.main) {
  writeFileSync(join(import.meta.dirname, 'metrics.md'), metricsPage());
  writeFileSync(join(REFERENCE, 'performance.md'), performancePage());
}
