// Writes the dashboards as JSON beside their code. Run by `npm run generate`; a test holds the two together.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { underlayNow } from './underlay-now.ts';

/** A dashboard as the text of its file. */
export function dashboardJson(): string {
  return `${JSON.stringify(underlayNow(), null, 2)}\n`;
}

if (import.meta.main) writeFileSync(join(import.meta.dirname, 'underlay-now.json'), dashboardJson());
