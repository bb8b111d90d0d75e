// Writes docs/reference/performance.md from what `npm run bench -- --record` and
// `npm run soak -- --record` kept. Run by `npm run generate`; a test holds the two together.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tableOf, type Measure } from './measure.ts';

const REFERENCE = join(import.meta.dirname, '../../docs/reference');

/** The page as Markdown. */
export function performancePage(): string {
  const { machine, measures } = JSON.parse(readFileSync(join(REFERENCE, 'performance.json'), 'utf8')) as {
    machine: string;
    measures: Measure[];
  };
  return [
    '# Performance',
    '',
    'Generated from `performance.json`, which `npm run bench -- --record` writes, by `npm run generate`. Do not edit.',
    '',
    `Measured on ${machine}. Sender, receiver and bench share its cores; other machines give other rates, and much the same ratios.`,
    '',
    tableOf(measures),
    '',
    ...NOTES,
    '',
    ...soakSection(),
    '',
  ].join('\n');
}

function soakSection(): string[] {
  const { minutes, rate, rows } = JSON.parse(readFileSync(join(REFERENCE, 'soak.json'), 'utf8')) as {
    minutes: number;
    rate: string;
    rows: [string, string][];
  };
  return [
    '## Soak',
    '',
    `\`npm run soak\`: ${rate} plain datagrams a second (half of what held without loss) for ${minutes} minutes, with a scrape and an incident`,
    'every five seconds, on the same cores as the sender.',
    '',
    '| what | |',
    '| --- | --- |',
    ...rows.map((row) => `| ${row.join(' | ')} |`),
  ];
}

const NOTES = [
  '## What the figures are',
  '',
  '- Datagrams have 128 octets and one INT-XD postcard; a sender in C sends them over loopback, one per system call message (`plain`) or 40',
  '  segments in one (`coalesced`), or over a pair of virtual Ethernet ports with eight exporters in turn (`veth`). The receive buffer has 8 MiB for',
  '  everybody. On loopback the number of segments decides the rate, so rates say as much about the sender as about the collector.',
  '- `cpu-ratio` is what counts: processor time of the ingest thread per datagram, over that of a C program which does nothing but receive',
  '  plus that of decode and observe in memory.',
  '- `loss-free-rate`: the highest rate at which a trial of at least twenty buffers lost nothing. `vs-dgram`: over that of Node’s own socket,',
  '  with the same pipeline behind it and the same sender.',
  '- `dialect`: decode alone, one datagram of each dialect in turn in one process; `vs-postcard`: a hop of it over a plain v2.0 postcard of the same',
  '  round.',
  '- `observe`: v2.0 groups of eight postcards, each of one of so many live flows at random, of those that go by its node (three of 16), and of 128',
  '  queues; every stage is switched on: sequence, clock, flow, interface, queue, way, slice, class, history, drop. `single`: one postcard a datagram.',
  '- `diagnose`: the whole verdict over a full log of 8192 arrivals of 16 workloads; `vs-naive`: over the mere sum of their octets, in turn.',
  '- `fabric`: events of the simulated fabric per second on one core, alone, and with the reports of all switches and the ground truth; same seeds, in turn.',
  '- `webhook`: from the sending of the postcard that opens an incident to the request at the receiver, under 200,000 datagrams a second.',
  '',
  '## Where the time of a hop goes, and what the limit is',
  '',
  'Not reached here: hops per second in memory (with a million flows the goal is met in some runs and missed by a few per cent in others), and',
  'four times the rate of Node’s socket for plain datagrams.',
  '',
  'Following ways and histories about doubled the price of a hop: without these stages the same machine did 6.9 M hops/s with a thousand flows and 5.7 M',
  'with 100,000, in turn with 4.2 M and 3.1 M with them. The way of a flow lies in four cache lines of its own, three of which are touched early;',
  'histories of packets lie in six megabytes, and when there are more packets than these hold, one in two, four, ... is followed.',
  '',
  'What was tried on decoding and the first stages, with its effect on a hop: decoders and stages as closures over constant columns (−13 %), a',
  'higher inlining limit (−28 %), row numbers that never come out of doubles (−10 %), one pass over the framing (−5 %), declared fields',
  'in the hash table (−17 %), constants bound in their own file (−8 %), columns staggered over the sets of the cache (−5 %). Huge pages for',
  'the tables changed nothing.',
  '',
  'With many flows a report misses the cache twice: for the entry of its flow in the index, and for the row. Hashes, entries and rows of a batch',
  'are looked at in three loops before they are used, so that the misses overlap (+23 % with a million flows); rows begin at the beginning of a',
  'cache line, and the row that is looked at early is the one behind the matching tag (+25 %).',
  '',
  'Plain datagrams cost the kernel alone 1.5 µs each on this machine, so that one core cannot take more than some 650,000 a second whoever',
  'receives them; Node’s socket loses nothing up to a third of that.',
];

if (import.meta.main) writeFileSync(join(REFERENCE, 'performance.md'), performancePage());
