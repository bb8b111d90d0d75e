// `npm run bench`: measures and prints a table; JSON with --json; --record keeps it for docs/reference/performance.md, which
// `npm run generate` makes of it. `npm run bench -- NAME...` runs the figures whose names begin so.

import { writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { dialectFamily } from './dialects.ts';
import { diagnoseFamily } from './diagnose.ts';
import { fabricFamily } from './fabric.ts';
import { ingestFamily } from './ingest.ts';
import { observeFamily } from './observe.ts';
import { processFamily } from './process.ts';
import { vethFamily } from './veth.ts';
import { tableOf, type Family, type Measure } from './measure.ts';

const FAMILIES: readonly Family[] = [
  observeFamily,
  dialectFamily,
  diagnoseFamily,
  fabricFamily,
  ingestFamily,
  vethFamily,
  processFamily,
];

const RECORD = join(import.meta.dirname, '../../docs/reference/performance.json');

const args = process.argv.slice(2);
const names = args.filter((arg) => !arg.startsWith('--'));
const isJson = args.includes('--json');
const say = (text: string): void => void process.stderr.write(`${text}\n`);
const wanted = (name: string): boolean =>
  names.length === 0 || names.some((begin) => name === begin || name.startsWith(`${begin}.`));

const known = FAMILIES.flatMap((family) => family.names);
for (const name of names) {
  if (!known.some((one) => one === name || one.startsWith(`${name}.`))) {
    say(`bench: no figure is called ${name}; there are:\n  ${known.join('\n  ')}`);
    process.exit(1);
  }
}
const measures: Measure[] = [];
for (const family of FAMILIES) if (family.names.some(wanted)) measures.push(...(await family.run(wanted, say)));
if (args.includes('--record')) {
  const machine = `${cpus()[0].model.trim()}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.version}`;
  writeFileSync(RECORD, `${JSON.stringify({ machine, measures }, undefined, 2)}\n`);
}
if (isJson) console.log(JSON.stringify(measures));
else console.log(tableOf(measures));
