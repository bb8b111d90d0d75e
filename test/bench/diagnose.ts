// What a verdict costs on the calm thread: culprits, counterfactuals, victims and confidence over a full log of one event, beside the mere sum of its
// octets by workload, which is what a naive answer costs.

import { attribute } from '../../collector/diagnose/attribution.ts';
import { Edge, EDGE_WIDTH } from '../../collector/edge.ts';
import type { Owner } from '../../collector/event.ts';
import { logOf, ONE_QUEUE, QUEUE_ROW } from '../support/arrivals.ts';
import { measureOf, percentile, type Family } from './measure.ts';

const NAMES = ['diagnose.ms-per-event', 'diagnose.ms-per-event.p99', 'diagnose.vs-naive'] as const;
const ROUNDS = 60;
const ARRIVALS = 8192;
const WORKLOADS = 16;
/** Octets per ns: 10 Gbit/s, which the senders exceed by a tenth. */
const RATE = 1.25;
const EVERY_NS = 1090;

const log = logOf(
  Array.from({ length: ARRIVALS }, (_, i) => ({ atNs: i * EVERY_NS, flow: 1 + ((i * 7) % 600), bytes: 1500, waitNs: i * 110 })),
);
const owners = Array.from({ length: WORKLOADS }, (_, i): Owner => ({
  kind: 'pod',
  namespace: 'n',
  workload: `w${i}`,
  confidence: 1,
}));
const ownerOf = (arrival: number): Owner => owners[log.flowRow[arrival] % WORKLOADS];
const edge = new Float64Array(EDGE_WIDTH);
edge[Edge.queueRow] = QUEUE_ROW;
edge[Edge.peakNodeNs] = edge[Edge.lastNodeNs] = (ARRIVALS - 1) * EVERY_NS;
edge[Edge.peakWaitNs] = (ARRIVALS - 1) * 110;

function verdict(): void {
  const { culprits } = attribute(edge, log, 0, {
    ...ONE_QUEUE,
    portBytesPerNs: RATE,
    senderOf: ownerOf,
    receiverOf: ownerOf,
    endsOf: (i) => [String(log.flowRow[i]), 'one'],
  });
  if (culprits.length === 0) throw new Error('nobody is blamed');
}

function naive(): void {
  const sums = new Map<string, number>();
  for (let i = 0; i < log.length; i++) {
    const { workload } = ownerOf(i);
    sums.set(workload, (sums.get(workload) ?? 0) + log.lengthBytes[i]);
  }
  if (sums.size !== WORKLOADS) throw new Error('somebody is missing');
}

function msOf(work: () => void): number {
  const startedMs = performance.now();
  work();
  return performance.now() - startedMs;
}

export const diagnoseFamily: Family = {
  names: NAMES,
  run: (wanted) => {
    for (let i = 0; i < ROUNDS; i++) {
      verdict();
      naive();
    }
    const ours: number[] = [];
    const theirs: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      ours.push(msOf(verdict));
      theirs.push(msOf(naive));
    }
    const ratios = ours.map((ms, round) => ms / theirs[round]);
    return Promise.resolve(
      [
        measureOf(NAMES[0], 'ms', ours),
        measureOf(NAMES[1], 'ms', [percentile(ours, 0.99)]),
        measureOf(NAMES[2], 'times', ratios),
      ].filter(({ name }) => wanted(name)),
    );
  },
};
