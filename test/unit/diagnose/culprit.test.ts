// Who filled the queue: octets per report, the window, and what must never count for more than it was.

import { describe, expect, it } from 'vitest';
import { blame, octetsOf, type BuildUp } from '../../../collector/diagnose/culprit.ts';
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
    const verdict = blame(log, octetsOf(log, 0, WINDOW), WINDOW, (i) => owners[log.flowRow[i]]);
    expect(verdict.culprits[0]).toMatchObject({ workload: 'beta', flows: 1 });
    expect(verdict.culprits[0].buildUpShare).toBeGreaterThan(0.99);
  });

  it('adds up flows of one workload, says how much is unknown, and how few reports it rests on', () => {
    const log = logOf([...[1, 2, 3].map((flow) => ({ atNs: flow * 100, flow })), { atNs: 500, flow: 4 }, { atNs: 2e6, flow: 4 }]);
    const verdict = blame(log, octetsOf(log, 0, WINDOW), WINDOW, (i) =>
      log.flowRow[i] === 4 ? workload('unknown', 'unknown') : workload('swarm'),
    );
    expect(verdict.culprits.map((c) => [c.workload, c.buildUpShare, c.flows])).toEqual([
      ['swarm', 0.75, 3],
      ['unknown', 0.25, 1],
    ]);
    expect(verdict.identifiedShare).toBe(0.75);
    expect(verdict.effectiveReports).toBe(4);
    expect(verdict.reportedBytes).toBe(6000);
  });
});
