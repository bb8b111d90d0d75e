// Writes the dashboards as JSON beside their code. Run by `npm run generate`; a test holds the two together.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard';
import { remediation } from './remediation.ts';
import { underlayNow } from './underlay-now.ts';

/** By the name of its file. */
export const DASHBOARDS: Readonly<Record<string, () => Dashboard>> = { 'underlay-now': underlayNow, remediation };

/** A dashboard as the text of its file. */
export function dashboardJson(name: string): string {
  return `${JSON.stringify(DASHBOARDS[name](), null, 2)}\n`;
}

if (import.meta.main) {
  for (const name of Object.keys(DASHBOARDS)) writeFileSync(join(import.meta.dirname, `${name}.json`), dashboardJson(name));
}
