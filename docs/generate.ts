// Writes docs/metrics.md from the metric table. Run by `npm run generate`; a test holds the two together.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { METRICS } from '../collector/metric.ts';

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

if (import.meta.main) writeFileSync(join(import.meta.dirname, 'metrics.md'), metricsPage());
