// Verdicts over whole logs: what is served before, what nobody was seen to send, what a filter kept back, many senders at once.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { attribute, type AttributionSources } from '../../../collector/diagnose/attribution.ts';
import { incastOf } from '../../../collector/diagnose/incast.ts';
import { unseenOf } from '../../../collector/diagnose/unseen.ts';
import { Edge, EDGE_WIDTH } from '../../../collector/edge.ts';
import { logOf, ONE_QUEUE, QUEUE_ROW, workload, type HandMadeArrival } from '../../support/arrivals.ts';

const RATE = 1;
const PACKET = 1000;

/** Packets through one queue that a port empties at RATE: [ns, flow]; with their waits. */
function queueOf(packets: readonly (readonly [number, number])[]): HandMadeArrival[] {
  let freeNs = 0;
  return [...packets]
    .sort((a, b) => a[0] - b[0])
    .map(([atNs, flow]) => {
      const startNs = Math.max(freeNs, atNs);
      freeNs = startNs + PACKET / RATE;
      return { atNs, flow, bytes: PACKET, waitNs: startNs - atNs };
    });
}

function edgeOf(arrivals: readonly HandMadeArrival[], changes: Partial<Record<keyof typeof Edge, number>> = {}): Float64Array {
  const own = arrivals.filter(({ queueRow }) => queueRow === undefined);
  const peak = own.reduce((most, arrival) => ((arrival.waitNs ?? 0) > (most.waitNs ?? 0) ? arrival : most));
  const edge = new Float64Array(EDGE_WIDTH);
  const fields: Partial<Record<keyof typeof Edge, number>> = {
    queueRow: QUEUE_ROW,
    buildUpNodeNs: 0,
    openedNodeNs: 0,
    peakNodeNs: peak.atNs,
    peakWaitNs: peak.waitNs ?? 0,
    peakDepthBytes: (peak.waitNs ?? 0) * RATE,
    lastNodeNs: Math.max(...own.map(({ atNs }) => atNs)),
    ...changes,
  };
  for (const [name, value] of Object.entries(fields)) edge[Edge[name as keyof typeof Edge]] = value;
  return edge;
}

function verdictOf(arrivals: HandMadeArrival[], changes: Partial<AttributionSources> = {}, edge = edgeOf(arrivals), loss = 0) {
  const log = logOf(arrivals);
  return attribute(edge, log, loss, {
    ...ONE_QUEUE,
    portBytesPerNs: RATE,
    senderOf: (i) => workload(`w${log.flowRow[i]}`),
    receiverOf: () => workload('db'),
    endsOf: (i) => [`host-${log.flowRow[i]}`, 'db'],
    ...changes,
  });
}

/** A steady trickle of flow 1 and a burst of flow 2 twice as fast as the port. */
const BURST = queueOf([
  ...Array.from({ length: 40 }, (_, i) => [i * 5000, 1] as const),
  ...Array.from({ length: 200 }, (_, i) => [10_000 + i * 500, 2] as const),
]);

describe('a burst that is all in the reports', () => {
  it('is the culprit, surely, and without it there is no queue', () => {
    const { culprits, confidence, pattern, evidence, victims } = verdictOf(BURST);
    expect(culprits[0]).toMatchObject({ workload: 'w2' });
    expect(culprits[0].counterfactual).toBeGreaterThan(0.95);
    expect(confidence).toBeGreaterThan(0.99);
    expect(evidence.coverage).toBeGreaterThan(0.95);
    expect(pattern).toBe('burst');
    expect(victims.map((victim) => victim.workload)).toEqual(['w1']);
  });
});

describe('a burst that nobody was seen to send', () => {
  const seen = BURST.filter(({ flow }) => flow === 1);

  it('is called unwatched, in no other name, and for certain it is not', () => {
    const { culprits, confidence, pattern } = verdictOf(seen);
    expect(culprits[0]).toMatchObject({ kind: 'unknown', workload: 'unwatched' });
    expect(culprits[0].counterfactual).toBeGreaterThan(0.9);
    expect(confidence).toBeLessThan(0.5);
    expect(pattern).toBe('unwatched');
  });

  it('is not claimed where chance may have left it out, unless event after event says the same', () => {
    const sampled = BURST.filter((_, i) => i % 40 === 0).map((arrival) => ({ ...arrival, weight: 8 }));
    expect(verdictOf(sampled).pattern).not.toBe('unwatched');
    const portAccount = { expected: 1e6, unseen: 6e5, reports: 2000, reported: 0.125 };
    expect(verdictOf(sampled, { portAccount }).pattern).toBe('unwatched');
  });

  it('is not claimed of a wait that the depth of the queue does not explain', () => {
    expect(verdictOf(seen, {}, edgeOf(seen, { peakDepthBytes: 100 })).pattern).not.toBe('unwatched');
  });

  it('is shared out among flows that a filter kept back, at half a confidence at most', () => {
    // That of TCP is known by its sequence.
    const kept = BURST.filter(({ flow }, i) => flow === 1 || i % 10 === 0).map((arrival) =>
      arrival.flow === 1 ? { ...arrival, sequence: (arrival.atNs / 5000) * (PACKET - 40) } : arrival,
    );
    const { culprits, confidence, pattern } = verdictOf(kept, { isFiltered: true });
    expect(culprits[0].workload).toBe('w2');
    expect(pattern).toBe('residual');
    expect(confidence).toBeLessThanOrEqual(0.5);
  });
});

describe('a queue that is served last', () => {
  const OTHER = QUEUE_ROW + 1;
  const flood = Array.from({ length: 100 }, (_, i) => ({ atNs: i * 1000, flow: 2, bytes: 950, waitNs: 50, queueRow: OTHER }));
  const starved = Array.from({ length: 5 }, (_, i) => ({ atNs: i * 2000, flow: 1, bytes: 100, waitNs: 100_000 - i * 2000 }));
  const edge = edgeOf(starved, { hasOthers: 1, peakDepthBytes: 500 });

  it('is starved by whoever is served before it', () => {
    const verdict = verdictOf([...starved, ...flood], { sharesPort: true, rankOf: () => 2 }, edge);
    expect(verdict).toMatchObject({ isStarved: true, pattern: 'priority' });
    expect(verdict.culprits[0].workload).toBe('w2');
    expect(verdict.victims.map((victim) => victim.workload)).toContain('w1');
    expect(verdict.confidence).toBeGreaterThan(0.9);
  });

  it('is starved, too, where a filter keeps most of that back: what is missing of the wait is theirs, and no more than half sure', () => {
    // The other queue of the same rank is told of whole; of the flood one packet in twenty is.
    const equal = Array.from({ length: 10 }, (_, i) => ({
      atNs: i * 9000,
      flow: 3,
      bytes: 950,
      waitNs: 50,
      sequence: i * 910,
      queueRow: OTHER + 1,
    }));
    const some = flood.filter((_, i) => i % 20 === 0);
    const rankOf = (row: number): number => (row === OTHER ? 2 : 1);
    const verdict = verdictOf([...starved, ...some, ...equal], { sharesPort: true, isFiltered: true, rankOf }, edge);
    expect(verdict).toMatchObject({ isStarved: true, pattern: 'priority' });
    expect(verdict.culprits.map(({ workload: name }) => name).slice(0, 2)).toEqual(['w2', 'w3']);
    expect(verdict.culprits[0].buildUpShare).toBeGreaterThan(0.8);
    expect(verdict.confidence).toBeLessThanOrEqual(0.5);
  });

  it('accuses nobody surely where it is not known which queue is served first', () => {
    const verdict = verdictOf([...starved, ...flood], { sharesPort: true }, edgeOf(starved, { peakDepthBytes: 500 }));
    expect(verdict.isStarved).toBe(false);
    expect(verdict.confidence).toBeLessThan(0.5);
  });
});

describe('what was not seen', () => {
  it('is nothing where all was, whatever the arrivals; and never more than was left out', () => {
    const packets = fc.array(fc.tuple(fc.integer({ min: 0, max: 100_000 }), fc.integer({ min: 1, max: 4 })), {
      minLength: 2,
      maxLength: 150,
    });
    fc.assert(
      fc.property(packets, (list) => {
        const all = queueOf(list);
        const window = { fromNodeNs: all[0].atNs, toNodeNs: all.at(-1)!.atNs, portBytesPerNs: RATE };
        const own = (): boolean => true;
        const bytesOf = (arrivals: HandMadeArrival[]): number => {
          const log = logOf(arrivals);
          return unseenOf(log, log.lengthBytes, window, own)?.bytes ?? 0;
        };
        const idleNs = idleOf(all);
        expect(bytesOf(all)).toBeLessThanOrEqual(idleNs * RATE + 1e-6);
        const seen = all.filter(({ flow }) => flow !== 1);
        if (seen.length > 1)
          expect(bytesOf(seen)).toBeLessThanOrEqual((all.length - seen.length) * PACKET + idleNs * RATE + 1e-6);
      }),
      { numRuns: 300, seed: 20_261_127 },
    );
  });

  /** Time that the port had nothing to send between the first and the last packet: a build-up has none. */
  function idleOf(arrivals: readonly HandMadeArrival[]): number {
    let idleNs = 0;
    let freeNs = arrivals[0].atNs;
    for (const { atNs, waitNs = 0 } of arrivals) {
      idleNs += Math.max(0, atNs + waitNs - freeNs);
      freeNs = atNs + waitNs + PACKET / RATE;
    }
    return idleNs;
  }
});

describe('an incast', () => {
  const answers = (senders: number, jitterNs: number, receivers = 1): HandMadeArrival[] =>
    Array.from({ length: senders * 10 }, (_, i) => ({
      atNs: (i % senders) * jitterNs + Math.floor(i / senders) * 1000,
      flow: (i % senders) * receivers + (i % receivers),
      bytes: PACKET,
    }));
  const found = (arrivals: HandMadeArrival[], receivers = 1) => {
    const log = logOf(arrivals);
    const window = { fromNodeNs: 0, toNodeNs: 1e9, portBytesPerNs: RATE };
    return incastOf(
      log,
      log.lengthBytes,
      window,
      () => true,
      (i) => [`s${log.flowRow[i]}`, `r${log.flowRow[i] % receivers}`],
    );
  };

  it('is eight senders or more that begin together, towards one receiver', () => {
    expect(found(answers(24, 1000))).toMatchObject({ senders: 24, share: 1 });
    expect(found(answers(8, 1000))?.senders).toBe(8);
  });

  it.each([
    ['seven senders', answers(7, 1000), 1],
    ['senders that begin one after the other', answers(24, 50_000), 1],
    ['senders to two receivers', answers(24, 1000, 2), 2],
  ] as const)('%s are none', (_what, arrivals, receivers) => {
    expect(found([...arrivals], receivers)).toBeUndefined();
  });
});
