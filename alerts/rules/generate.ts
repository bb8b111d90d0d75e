// Writes alerts/rules/hopscope.yaml from rules.ts. Run by `npm run generate`; a test holds the two together.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { RULE_GROUPS } from './rules.ts';

const HEAD = '# Generated from alerts/rules/rules.ts by `npm run generate`. Do not edit.\n';

/** The rule file as text. */
export function rulesYaml(): string {
  return HEAD + stringify({ groups: RULE_GROUPS }, { lineWidth: 0 });
}

if (import.meta.main) writeFileSync(join(import.meta.dirname, 'hopscope.yaml'), rulesYaml());
