// What came into a queue and was in no report: what waits prove, and what they do not.

import { expect, it } from 'vitest';
import { octetsOf } from '../../../collector/diagnose/culprit.ts';
import { unseenOf } from '../../../collector/diagnose/unseen.ts';
import { logOf, type HandMadeArrival } from '../../support/arrivals.ts';

const RATE = 1.25;
const PACKET_NS = 1500 / RATE;

/** Octets that were not seen among packets of 1500 octets. */
function unseen(arrivals: HandMadeArrival[]): number {
  const log = logOf(arrivals);
  const last = Math.max(...arrivals.map(({ atNs }) => atNs));
  const window = { fromNodeNs: arrivals[0].atNs, toNodeNs: last, portBytesPerNs: RATE };
  return unseenOf(log, octetsOf(log, 0, window), window, () => true)!.bytes;
}
/** A queue that grows by a packet with each packet that comes, at twice the rate of the port; `missing` of two are not reported. */
const burst = (fromNs: number, packets: number, firstWaitNs = 0): HandMadeArrival[] =>
  Array.from({ length: packets }, (_, i) => ({
    flow: 1,
    atNs: fromNs + (i * PACKET_NS) / 2,
    waitNs: firstWaitNs + (i * PACKET_NS) / 2,
  }));

it('is nothing where the reports explain the waits', () => {
  expect(unseen(burst(0, 100))).toBe(0);
});

it('is what must have come between two packets, by how much longer the second one waits', () => {
  const all = burst(0, 200);
  const half = all.filter((_, i) => i % 2 === 0);
  expect(unseen(half) / (100 * 1500)).toBeGreaterThan(0.95);
  expect(unseen(half) / (100 * 1500)).toBeLessThan(1.05);
});

it('is not what a port that had nothing to do might have sent', () => {
  expect(unseen([...burst(0, 100), ...burst(25e6, 100)])).toBe(0);
  // The first packets of the second burst are not reported either.
  expect(unseen([...burst(0, 100), ...burst(25e6, 100, 20 * PACKET_NS)])).toBe(0);
});
