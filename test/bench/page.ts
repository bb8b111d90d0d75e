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
  '- `observe`: v2.0 groups of eight postcards, each of one of so many live flows at random, of 16 nodes and 128 queues; `single`: one',
  '  postcard a datagram.',
  '- `fabric`: events of the simulated fabric per second on one core, alone, and with the reports of all switches and the ground truth; same seeds, in turn.',
  '- `webhook`: from the sending of the postcard that opens an incident to the request at the receiver, under 200,000 datagrams a second.',
  '',
  '## Where the time of a hop goes, and what the limit is',
  '',
  'Not reached here: hops per second in memory (with a million flows the goal is met in some runs and missed by a few per cent in others), and',
  'four times the rate of Node’s socket for plain datagrams.',
  '',
  'A hop costs about 135 ns with a thousand flows. Samples of the processor (`perf record` over V8’s `--perf-prof`) put 38 % of it into decoding',
  '(two fifths of that into the packet inside the report), 19 % into the queue, 17 % into the flow, 12 % into the clock and 14 % into what is',
  'done once for a datagram. No single instruction stands out: the samples spread over some 1,500 instructions, for 20 reads from the wire,',
  'some 45 columns and 60 fields of three table rows. V8 checks the index of typed array accesses and whether the buffer was detached; that',
  'cannot be switched off. What was tried, with its effect on a hop: decoders and stages as closures over constant columns (−13 %), a',
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
