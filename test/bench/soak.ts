// `npm run soak [-- MINUTES] [--record]`: a load at half of what holds without loss, for ten minutes, with a scrape and an incident every five
// seconds. Every datagram must be accounted for; how memory grew and how fast webhooks left is printed. Ends with 1 when anything is missing; --record keeps
// the result for docs/reference/performance.md.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startCollectorProcess } from './collector-process.ts';
import { IncidentProbe } from './incident-probe.ts';
import { lossFreeRates, warmUp } from './ingest.ts';
import { percentile, short } from './measure.ts';
import { compileNative } from './native.ts';

const args = process.argv.slice(2);
const minutes = Number(args.find((arg) => !arg.startsWith('--')) ?? 10);
const TRIAL_DATAGRAMS = 200_000;
const EVERY_S = 5;

const native = compileNative();
if (native === undefined) throw new Error('soak: there is no C compiler (cc)');
const probe = await IncidentProbe.start();
const collector = await startCollectorProcess(probe.settings());
await warmUp(native, collector);
const load = { segments: 1, flows: 100_000 };
const held = Math.min(...(await lossFreeRates(native, collector, load, TRIAL_DATAGRAMS)));
const rate = Math.floor(held / 2);
const before = (await collector.settled()).datagrams;
console.log(`${short(held)} datagrams/s hold without loss; ${short(rate)} for ${minutes} minutes`);

let isOver = false;
const sending = native.send({ ...load, port: collector.port, seconds: minutes * 60, rate }).finally(() => (isOver = true));
const rssMib: number[] = [];
const scrapeMs: number[] = [];
let shots = 0;
for (let second = 0; !isOver; second++) {
  if (second % EVERY_S === 0) {
    probe.shoot(collector.port);
    shots++;
    const startedMs = performance.now();
    await (await fetch(`${collector.base}/metrics`)).text();
    scrapeMs.push(performance.now() - startedMs);
    rssMib.push(collector.rssMib());
  }
  if (second % 60 === 0) console.log(`  minute ${second / 60}: ${collector.rssMib().toFixed(0)} MiB`);
  await new Promise((resolve) => setTimeout(resolve, 1000));
}
const { sent } = await sending;
const { datagrams } = await collector.settled();
const webhookMs = await probe.times();
await collector.stop();
await probe.close();
native.dispose();

const received = datagrams.received - before.received;
const kernelDropped = datagrams.kernelDropped - before.kernelDropped;
const missing = sent + shots - received - kernelDropped;
// The first minute fills tables and heaps.
const steady = rssMib.slice(Math.min(rssMib.length - 2, 60 / EVERY_S));
const slope = slopeOf(steady) * (60 / EVERY_S);
const rows = [
  ['sent', short(sent + shots)],
  ['received', short(received)],
  ['dropped by the kernel', String(kernelDropped)],
  ['dropped late or by a fault', String((datagrams.dropped.late ?? 0) + (datagrams.dropped['internal-error'] ?? 0))],
  ['unaccounted on the way', String(missing)],
  ['unaccounted within', String(datagrams.unaccounted)],
  ['RSS at the end, MiB', (steady.at(-1) ?? 0).toFixed(0)],
  ['RSS slope, MiB a minute', slope.toFixed(3)],
  ['scrape p50 and p99, ms', `${percentile(scrapeMs, 0.5).toFixed(1)}, ${percentile(scrapeMs, 0.99).toFixed(1)}`],
  ['webhook p50 and p99, ms', `${percentile(webhookMs, 0.5).toFixed(1)}, ${percentile(webhookMs, 0.99).toFixed(1)}`],
];
if (args.includes('--record')) {
  const record = { minutes, rate: short(rate), rows };
  writeFileSync(join(import.meta.dirname, '../../docs/reference/soak.json'), `${JSON.stringify(record, undefined, 2)}\n`);
}
console.log(['| soak | |', '| --- | --- |', ...rows.map((row) => `| ${row.join(' | ')} |`)].join('\n'));
if (missing !== 0 || datagrams.unaccounted !== 0) process.exit(1);

/** Least-squares slope of values at equal distances, per step. */
function slopeOf(values: readonly number[]): number {
  const mean = (list: readonly number[]): number => list.reduce((sum, v) => sum + v, 0) / list.length;
  const [meanX, meanY] = [(values.length - 1) / 2, mean(values)];
  const above = values.reduce((sum, y, x) => sum + (x - meanX) * (y - meanY), 0);
  return above / values.reduce((sum, _y, x) => sum + (x - meanX) ** 2, 0);
}
