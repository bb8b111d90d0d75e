// Writes docs/metrics.md from the metric table, and docs/reference/codes.md from the decoder's codes. Run by `npm run generate`; a test holds them
// together.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { REFUSAL_TEXT, WARNING_TEXT } from '../collector/decode/reason.ts';
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

/** Every code that a decoder can give, as Markdown. */
export function codesPage(): string {
  const rows = (texts: Record<string, string>): string[] =>
    Object.entries(texts).flatMap(([code, text]) => (text === '' ? [] : [`| \`${code}\` | ${text} |`]));
  return [
    '# Codes of the decoders',
    '',
    'Generated from `collector/decode/reason.ts` by `npm run generate`. Do not edit.',
    '',
    'A code is stable: a new one is added, none changes its meaning. `hopscope decode` prints them; the collector counts them.',
    '',
    '## Refusals',
    '',
    'Of a whole datagram (`hopscope_datagrams_rejected_total`), or of one report in a good datagram (`hopscope_reports_refused_total`).',
    '',
    '| code | what is wrong |',
    '| --- | --- |',
    ...rows(REFUSAL_TEXT),
    '',
    '## Warnings',
    '',
    'Of a report that is decoded all the same (`hopscope_decode_warnings_total`). Those that begin with `E_` refuse a part of it: the flow',
    'stands, and no hop is invented.',
    '',
    '| code | what was noticed |',
    '| --- | --- |',
    ...rows(WARNING_TEXT),
    '',
  ].join('\n');
}

if (import.meta.main) {
  writeFileSync(join(import.meta.dirname, 'metrics.md'), metricsPage());
  writeFileSync(join(import.meta.dirname, 'reference', 'codes.md'), codesPage());
}
