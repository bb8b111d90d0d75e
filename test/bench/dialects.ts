// What decoding costs by dialect: nanoseconds per datagram and per hop, and over the plain v2.0 postcard in the same round. One decoder has
// them all in turn, as in a fabric of several generations.

import { viewOf } from '../../collector/decode/bytes.ts';
import { decoderOver } from '../../collector/decode/decoder.ts';
import { DatagramOutcome, MAX_HOPS_PER_DATAGRAM, MAX_REPORTS_PER_DATAGRAM } from '../../collector/decode/outcome.ts';
import { HopBatch } from '../../collector/hop.ts';
import { raiseInlining } from '../../collector/inlining.ts';
import { DIALECT_SAMPLES, type DialectSample } from '../support/dialect-samples.ts';
import { measureOf, type Family, type Measure } from './measure.ts';

const ROUNDS = 9;
const TURNS = 200_000;
const ALLOCATION = 'dialect.bytes-per-datagram';

/** `dialect.NAME`, as a figure's name. */
function figureOf({ name }: DialectSample): string {
  return `dialect.${name.toLowerCase().replaceAll(/[ .]/g, '-')}`;
}

const DIALECT_RATIOS: readonly string[] = DIALECT_SAMPLES.slice(1).map((sample) => `${figureOf(sample)}.vs-postcard`);

export const dialectFamily: Family = {
  names: [
    ...DIALECT_SAMPLES.flatMap((sample) => [`${figureOf(sample)}.ns-per-datagram`, `${figureOf(sample)}.ns-per-hop`]),
    ...DIALECT_RATIOS,
    ALLOCATION,
  ],
  run(wanted) {
    raiseInlining();
    const batch = new HopBatch(MAX_HOPS_PER_DATAGRAM, MAX_REPORTS_PER_DATAGRAM);
    const decode = decoderOver(batch, new DatagramOutcome());
    const turn = ({ bytes, profile }: DialectSample, times: number): void => {
      const view = viewOf(bytes);
      for (let i = 0; i < times; i++) {
        batch.clear();
        decode(view, 0, bytes.length, profile);
      }
    };
    for (let warm = 0; warm < 5; warm++) for (const sample of DIALECT_SAMPLES) turn(sample, TURNS / 10);
    const costsNs = DIALECT_SAMPLES.map((): number[] => []);
    for (let round = 0; round < ROUNDS; round++) {
      DIALECT_SAMPLES.forEach((sample, i) => {
        const startedMs = performance.now();
        turn(sample, TURNS);
        costsNs[i].push(((performance.now() - startedMs) * 1e6) / TURNS);
      });
    }
    const perHop = costsNs.map((costs, i) => costs.map((cost) => cost / DIALECT_SAMPLES[i].hops));
    const measures = DIALECT_SAMPLES.flatMap((sample, i): Measure[] => [
      measureOf(`${figureOf(sample)}.ns-per-datagram`, 'ns', costsNs[i]),
      measureOf(`${figureOf(sample)}.ns-per-hop`, 'ns', perHop[i]),
      ...(i === 0
        ? []
        : [
            measureOf(
              `${figureOf(sample)}.vs-postcard`,
              'times',
              perHop[i].map((cost, round) => cost / perHop[0][round]),
            ),
          ]),
    ]);
    measures.push(measureOf(ALLOCATION, 'octets', [allocated(turn)]));
    return Promise.resolve(measures.filter(({ name }) => wanted(name)));
  },
};

/** Growth of the heap per datagram of any dialect, in the leanest of several runs. */
function allocated(turn: (sample: DialectSample, times: number) => void): number {
  let least = Infinity;
  for (let run = 0; run < 8; run++) {
    const before = process.memoryUsage().heapUsed;
    for (const sample of DIALECT_SAMPLES) turn(sample, TURNS / 10);
    const grown = process.memoryUsage().heapUsed - before;
    // A collection in between makes a run say nothing.
    if (grown >= 0) least = Math.min(least, grown / (DIALECT_SAMPLES.length * (TURNS / 10)));
  }
  return Math.round(least);
}
