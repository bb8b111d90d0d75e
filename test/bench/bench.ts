// `npm run bench`: measures, prints a table, and JSON with --json. `npm run bench -- NAME...` runs the figures whose names begin so.

import { ingestFamily } from './ingest.ts';
import { observeFamily } from './observe.ts';
import { processFamily } from './process.ts';
import { vethFamily } from './veth.ts';
import { tableOf, type Family, type Measure } from './measure.ts';

const FAMILIES: readonly Family[] = [observeFamily, ingestFamily, vethFamily, processFamily];

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
if (isJson) console.log(JSON.stringify(measures.map(({ name, value, unit, spread }) => ({ name, value, unit, spread }))));
else console.log(tableOf(measures));
