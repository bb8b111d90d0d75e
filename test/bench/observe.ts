// Hops per second through decode and observe in memory, on one core: 1 k to 1 M live flows, each report of one of them at random.
// Datagrams are v2.0 groups of eight INT-XD postcards of 16 nodes and 128 queues. What setting flows and numbers into the bytes takes is not
// counted. Allocation: growth of the heap over many reports, in the leanest of the rounds.

import { measureOf, type Family, type Measure } from './measure.ts';
import { runChild } from './child.ts';

const SIZES = { '1k': 1_000, '10k': 10_000, '100k': 100_000, '1m': 1_000_000 } as const;

export interface ObserveResult {
  hopsPerSecond: number[];
  bytesPerReport: number[];
}

export const observeFamily: Family = {
  names: [
    ...Object.keys(SIZES).map((size) => `observe.hops-per-second.${size}`),
    'observe.single.hops-per-second.1k',
    'packet-path.bytes-per-report',
  ],
  async run(wanted) {
    const measures: Measure[] = [];
    for (const [size, flows] of Object.entries(SIZES)) {
      const isAllocation = size === '1k' && wanted('packet-path.bytes-per-report');
      const name = `observe.hops-per-second.${size}`;
      if (!wanted(name) && !isAllocation) continue;
      const { hopsPerSecond, bytesPerReport } = await runChild<ObserveResult>('observe-child.ts', [8, flows]);
      if (wanted(name)) measures.push(measureOf(name, 'hops/s', hopsPerSecond));
      if (isAllocation) {
        const least = Math.min(...bytesPerReport);
        measures.push(measureOf('packet-path.bytes-per-report', 'octets', [least]));
      }
    }
    if (wanted('observe.single.hops-per-second.1k')) {
      const { hopsPerSecond } = await runChild<ObserveResult>('observe-child.ts', [1, SIZES['1k']]);
      measures.push(measureOf('observe.single.hops-per-second.1k', 'hops/s', hopsPerSecond));
    }
    return measures;
  },
};
