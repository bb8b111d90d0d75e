// Who filled the queue: octets per report, the window, and what must never count for more than it was.

import { describe, expect, it } from 'vitest';
import { blame, occupancyOf, octetsOf, type BuildUp } from '../../../collector/diagnose/culprit.ts';
import { partiesOf } from '../../../collector/diagnose/parties.ts';
import type { Owner } from '../../../collector/event.ts';
import type { ArrivalLog } from '../../../collector/memory/arrivals.ts';
import { logOf, workload, type HandMadeArrival } from '../../support/arrivals.ts';

const WINDOW: BuildUp = { fromNodeNs: 0, toNodeNs: 1_000_000, portBytesPerNs: 1.25 };
const total = (arrivals: HandMadeArrival[], loss = 0, window = WINDOW): number =>
  octetsOf(logOf(arrivals), loss, window).reduce((sum, octets) => sum + octets, 0);

describe('octets that a report stands for', () => {
  it('are the packet itself where every packet is reported', () => {
    const udp = Array.from({ length: 10 }, (_, i) => ({ atNs: i * 1000, flow: 1 }));
    expect(total(udp)).toBe(15_000);
  });

  it('grow by report loss without a sequence, and do not with one: it covers what was lost', () => {
    const udp = Array.from({ length: 10 }, (_, i) => ({ atNs: i * 2400, flow: 1 }));
    expect(total(udp, 0.5)).toBe(30_000);
    // Every second report of a TCP flow is missing.
    const tcp = Array.from({ length: 50 }, (_, i) => ({ atNs: i * 2400, flow: 1, bytes: 1500, sequence: i * 2896 }));
    const sent = 50 * 2 * 1500;
    expect(Math.abs(total(tcp, 0.5) / sent - 1)).toBeLessThan(0.03);
  });

  it.each([
    [
      'a pure ACK behind data',
      [
        { atNs: 0, flow: 1, sequence: 0 },
        { atNs: 50_000, flow: 1, sequence: 64_000, bytes: 40 },
      ],
      68_000,
    ],
    ['a retransmission', [0, 1, 2, 1, 3].map((n, i) => ({ atNs: i * 1200, flow: 1, sequence: n * 1448 })), 7_600],
    [
      'reports in pairwise swapped order',
      [1, 0, 3, 2, 5, 4].map((n) => ({ atNs: n * 1200, flow: 1, sequence: n * 1448 })),
      9_100,
    ],
    ['the wrap of the sequence', [-1, 0, 1].map((n, i) => ({ atNs: i * 1200, flow: 1, sequence: n * 1448 })), 4_550],
  ])('%s counts what was sent', (_name, arrivals, octets) => {
    expect(Math.abs(total(arrivals) / octets - 1)).toBeLessThan(0.1);
  });

  it('flows that nobody keeps apart do not make one sequence', () => {
    expect(total([0, 100_000].map((sequence, i) => ({ atNs: i * 100_000, flow: 0, sequence })))).toBe(3000);
  });

  it('what a flow sent before the window, or long ago, is not in it', () => {
    const window = { ...WINDOW, fromNodeNs: 900_000 };
    const early = [
      { atNs: 800_000, flow: 1, sequence: 0 },
      { atNs: 1_000_000, flow: 1, sequence: 200_000 },
    ];
    const inside = octetsOf(logOf(early), 0, window)[1];
    expect(inside).toBeLessThan(115_000);
    const longAgo = [
      { atNs: 0, flow: 1, sequence: 0 },
      { atNs: 1e9, flow: 1, sequence: 10_000_000 },
    ];
    expect(octetsOf(logOf(longAgo), 0, { ...WINDOW, fromNodeNs: 1e9 - 500_000, toNodeNs: 1e9 })[1]).toBe(1500);
  });

  it('are never more than the port could carry meanwhile', () => {
    const leap = (sequence: number): HandMadeArrival[] => [
      { atNs: 0, flow: 1, sequence: 0 },
      { atNs: 1_000, flow: 1, sequence },
    ];
    // 1250 octets fit into the time between.
    expect(octetsOf(logOf(leap(6_000)), 0, WINDOW)[1]).toBe(1250 + 1500);
    // So much cannot have come: another connection has the same ports now.
    expect(octetsOf(logOf(leap(1_000_000)), 0, WINDOW)[1]).toBe(1500);
  });
});

/** Of senders of which nothing was seen before. */
const blameOf = (log: ArrivalLog, ownerOf: (arrival: number) => Owner, counts?: (arrival: number) => boolean) =>
  blame(log, octetsOf(log, 0, WINDOW), WINDOW, partiesOf(log, ownerOf), () => 0, counts);

describe('blame', () => {
  it('a steady elephant does not take the blame for a burst, and a trickle from before takes none', () => {
    // Beta bursts 300 packets; alpha had one report a second earlier, and one now.
    const arrivals: HandMadeArrival[] = [
      { atNs: -1e9, flow: 1, sequence: 0, bytes: 1500 },
      ...Array.from({ length: 300 }, (_, i) => ({ atNs: 1000 + i * 1200, flow: 2 })),
      { atNs: 400_000, flow: 1, sequence: 30_000_000, bytes: 1500 },
    ];
    const log = logOf(arrivals);
    const owners = [workload('none'), workload('alpha'), workload('beta')];
    const verdict = blameOf(log, (i) => owners[log.flowRow[i]]);
    expect(verdict.culprits[0]).toMatchObject({ workload: 'beta', flows: 1 });
    expect(verdict.culprits[0].buildUpShare).toBeGreaterThan(0.99);
  });

  it('names the ten largest flows that took part, largest first, and only owners that did', () => {
    const log = logOf([
      ...Array.from({ length: 12 }, (_, i) => ({ atNs: 100 + i, flow: i + 1, bytes: 100 + ((i * 5) % 12) * 100 })),
      { atNs: 2e6, flow: 13 },
    ]);
    const verdict = blameOf(log, (i) => workload(log.flowRow[i] === 13 ? 'late' : 'swarm'));
    expect(verdict.flows.map(({ bytes }) => bytes)).toEqual(Array.from({ length: 10 }, (_, i) => 1200 - i * 100));
    expect(verdict.flows.every(({ arrival, bytes }) => log.lengthBytes[arrival] === bytes)).toBe(true);
    expect(verdict.culprits.map((culprit) => culprit.workload)).toEqual(['swarm']);
    const few = blameOf(
      log,
      () => workload('late'),
      (i) => log.flowRow[i] === 13 || log.flowRow[i] === 1,
    );
    expect(few.flows).toEqual([{ arrival: 0, bytes: 100 }]);
  });

  it('a name is not known because somebody is sure that it is unknown', () => {
    const log = logOf([{ atNs: 100, flow: 1 }]);
    expect(blameOf(log, () => ({ ...workload('unknown', 'unknown'), confidence: 1 })).identifiedShare).toBe(0);
  });

  it('adds up flows of one workload, says how much is unknown, and how few reports it rests on', () => {
    const log = logOf([...[1, 2, 3].map((flow) => ({ atNs: flow * 100, flow })), { atNs: 500, flow: 4 }, { atNs: 2e6, flow: 4 }]);
    const verdict = blameOf(log, (i) => (log.flowRow[i] === 4 ? workload('unknown', 'unknown') : workload('swarm')));
    expect(verdict.culprits.map((c) => [c.workload, c.buildUpShare, c.flows])).toEqual([
      ['swarm', 0.75, 3],
      ['unknown', 0.25, 1],
    ]);
    expect(verdict.identifiedShare).toBe(0.75);
    expect(verdict.effectiveReports).toBe(4);
    expect(verdict.reportedBytes).toBe(6000);
  });

  it('counts reports and what was reported, only of arrivals that matter and lie in the window', () => {
    const log = logOf([-5, 0, 500_000, 1_000_000, 1_000_001].map((atNs, flow) => ({ atNs, flow, bytes: 100 })));
    const verdict = blameOf(
      log,
      () => workload('a'),
      (i) => i !== 2,
    );
    expect(verdict).toMatchObject({ reports: 2, reportedBytes: 200, totalBytes: 200 });
    expect(verdict.culprits[0].flows).toBe(2);
  });

  it('knows pods by name where there are any, sixteen at most, and tells only of surely known owners', () => {
    const log = logOf(Array.from({ length: 20 }, (_, i) => ({ atNs: i, flow: i })));
    const of = (confidence: number, hasPods: boolean) =>
      blameOf(log, (i) => ({
        ...workload('a'),
        confidence,
        ...(hasPods ? { pod: `a-${i}` } : {}),
      }));
    expect(of(0.8, true).culprits[0].pods).toHaveLength(16);
    expect(of(0.8, false).culprits[0]).not.toHaveProperty('pods');
    expect(of(0.8, true).identifiedShare).toBe(1);
    expect(of(0.79, true).identifiedShare).toBe(0);
  });

  it('names eight at most, and of nothing nobody', () => {
    const log = logOf(Array.from({ length: 12 }, (_, i) => ({ atNs: i, flow: i })));
    expect(blameOf(log, (i) => workload(`w${i}`)).culprits).toHaveLength(8);
    expect(blameOf(logOf([]), () => workload('a'))).toMatchObject({
      culprits: [],
      totalBytes: 0,
      effectiveReports: 0,
      identifiedShare: 0,
    });
  });
});

describe('octets by sequence, to the octet', () => {
  const second = (sequence: number, atNs = 100_000, bytes = 1000, firstBytes = 1000, window = WINDOW): number =>
    octetsOf(
      logOf([
        { atNs: 0, flow: 1, bytes: firstBytes, sequence: 0 },
        { atNs, flow: 1, bytes, sequence },
      ]),
      0,
      window,
    )[1];

  it('three segments in between are three segments with their headers', () => {
    expect(second(4 * 960)).toBe(1000 + 3 * 1000);
    expect(second(960)).toBe(1000);
  });

  it('segments are as long as the longer of the two, or as usual where both carry nothing', () => {
    expect(second(4 * 960, 100_000, 540, 1000)).toBe(540 + 3 * 1000);
    expect(second(2920, 100_000, 40, 40)).toBe(40 + 2920 + 2 * 40 - 40);
  });

  it('half a sequence space ahead is behind, and what lies longer ago than both limits says nothing', () => {
    expect(second(0x8000_0000, 1e12, 1000, 1000, { ...WINDOW, toNodeNs: 1e13 })).toBe(1000);
    const long = { ...WINDOW, toNodeNs: 20e6 };
    expect(second(4 * 960, 6e6, 1000, 1000, long)).toBe(4000);
    expect(second(4 * 960, 6e6, 1000, 1000, { ...WINDOW, fromNodeNs: 5e6, toNodeNs: 6e6 })).toBe(1000);
  });

  it('of an unknown rate nothing is too much', () => {
    expect(second(1_000_000, 1000, 1000, 1000, { ...WINDOW, portBytesPerNs: 0 })).toBeGreaterThan(1_000_000);
  });

  it('tells who sends more than before: its flows, and what they used to send', () => {
    // Flows 1 and 2 send 3000 octets each in the window; flow 1 did so before.
    const log = logOf([0, 1, 2, 3].map((i) => ({ atNs: 5000 + i * 1000, flow: 1 + (i % 2) })));
    const window = { ...WINDOW, fromNodeNs: 5000, toNodeNs: 8000 };
    const verdict = blame(
      log,
      octetsOf(log, 0, window),
      window,
      partiesOf(log, (i) => workload(`w${log.flowRow[i]}`)),
      (i) => (log.flowRow[i] === 1 ? 1 : 0.25),
    );
    expect(Object.fromEntries(verdict.culprits.map((one) => [one.workload, one.excessShare]))).toEqual({ w1: 0, w2: 0.75 });
    expect(verdict.flows.map(({ arrival, bytes }) => [log.flowRow[arrival], bytes])).toEqual([
      [1, 3000],
      [2, 3000],
    ]);
  });
});

it('the area under a queue splits by who stood in it for how long, over the packets of that queue in the window', () => {
  const log = logOf([
    { atNs: -1, flow: 1, waitNs: 9999 },
    { atNs: 0, flow: 1, waitNs: 300 },
    { atNs: WINDOW.toNodeNs, flow: 2, waitNs: 100 },
    { atNs: 20, flow: 3, waitNs: 9999 },
    { atNs: 2e6, flow: 2, waitNs: 9999 },
  ]);
  const parties = partiesOf(log, (i) => workload(`w${log.flowRow[i]}`));
  const shares = occupancyOf(log, octetsOf(log, 0, WINDOW), WINDOW, parties, (i) => log.flowRow[i] !== 3);
  expect([...shares.values()]).toEqual([0.75, 0.25, 0]);
});
