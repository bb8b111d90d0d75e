// How much smaller a queue would have been without somebody: the arrivals that were seen, again through an empty queue that drains at line rate
// (Lindley's recursion, 1952), once complete and once without each candidate.
// Rule: open loop. Senders that listen would have used the room, so for TCP this is an upper bound, and is called one.

import type { ArrivalLog } from '../memory/arrivals.ts';
import type { BuildUp } from './culprit.ts';

/**
 * For each group below `groups`, 1 minus the area under the queue without it over the area with all, 0 to 1; null when the rate of the port is not known
 * or no queue comes of the arrivals. `octets`: what each arrival of `log` stands for; `groupOf` maps an arrival to its group, or to none (negative).
 */
export function counterfactualShares(
  log: ArrivalLog,
  octets: Float64Array,
  window: BuildUp,
  groups: number,
  groupOf: (arrival: number) => number,
): Float64Array | null {
  if (window.portBytesPerNs <= 0) return null;
  const { times, bytes, arrival } = spread(log, octets, window);
  normalise(bytes, log, window);
  const group = Int32Array.from(arrival, groupOf);
  const whole = areaWithout(times, bytes, group, window.portBytesPerNs, NOBODY);
  if (whole <= 0) return null;
  return Float64Array.from({ length: groups }, (_, one) =>
    Math.max(0, 1 - areaWithout(times, bytes, group, window.portBytesPerNs, one) / whole),
  );
}

/** Further from what must have come in than this, octets are missing that belong to somebody else. */
const MAX_CORRECTION = 1.25;

/**
 * A congested port is busy: what came in is what it sent meanwhile and what is queued at the end. A queue that stands for long is the small difference
 * of two large sums, so that estimates which are off by a per cent would let it run dry, or grow without end.
 */
function normalise(bytes: Float64Array, log: ArrivalLog, window: BuildUp): void {
  const total = bytes.reduce((sum, one) => sum + one, 0);
  let newest = -1;
  for (let i = 0; i < log.length; i++) {
    const isInside = log.enqueueNodeNs[i] >= window.fromNodeNs && log.enqueueNodeNs[i] <= window.toNodeNs;
    if (isInside && (newest < 0 || log.enqueueNodeNs[i] > log.enqueueNodeNs[newest])) newest = i;
  }
  if (newest < 0 || total === 0) return;
  const busyNs = log.enqueueNodeNs[newest] + log.waitNs[newest] - window.fromNodeNs;
  const factor = (busyNs * window.portBytesPerNs + log.lengthBytes[newest]) / total;
  if (factor > MAX_CORRECTION || factor < 1 / MAX_CORRECTION) return;
  for (let i = 0; i < bytes.length; i++) bytes[i] *= factor;
}

/** Pieces that one arrival is spread over, and all of them together. */
const MAX_PIECES = 64;
const MAX_ALL_PIECES = 32_768;
const GENERATIONS = 1024;

interface Pieces {
  times: Float64Array;
  bytes: Float64Array;
  /** The arrival of the log that each is a piece of. */
  arrival: number[];
}

/**
 * The arrivals within the window, in order. One that stands for many packets (sampled, filtered, lost) did not come at once: its octets are spread
 * evenly over the time since its flow was last seen. As one lump it would make a queue of its own.
 */
function spread(log: ArrivalLog, octets: Float64Array, window: BuildUp): Pieces {
  const order = Array.from(octets.keys())
    .filter((i) => log.enqueueNodeNs[i] >= window.fromNodeNs && log.enqueueNodeNs[i] <= window.toNodeNs)
    .sort((a, b) => log.enqueueNodeNs[a] - log.enqueueNodeNs[b]);
  const mostPieces = Math.max(1, Math.min(MAX_PIECES, Math.floor(MAX_ALL_PIECES / Math.max(1, order.length))));
  const lastOfFlowNs = new Map<number, number>();
  const pieces: { ns: number; bytes: number; arrival: number }[] = [];
  for (const i of order) {
    const atNs = log.enqueueNodeNs[i];
    const flow = log.flowRow[i] * GENERATIONS + (log.flowGeneration[i] % GENERATIONS);
    const sinceNs = atNs - (lastOfFlowNs.get(flow) ?? Math.max(window.fromNodeNs, atNs - octets[i] / window.portBytesPerNs));
    lastOfFlowNs.set(flow, atNs);
    const packets = Math.round(octets[i] / Math.max(1, log.lengthBytes[i]));
    const count = Math.max(1, Math.min(mostPieces, packets));
    for (let piece = 0; piece < count; piece++)
      pieces.push({ ns: atNs - (sinceNs * piece) / count, bytes: octets[i] / count, arrival: i });
  }
  pieces.sort((a, b) => a.ns - b.ns);
  return {
    times: Float64Array.from(pieces, ({ ns }) => ns),
    bytes: Float64Array.from(pieces, ({ bytes }) => bytes),
    arrival: pieces.map(({ arrival }) => arrival),
  };
}

/** A group that no arrival is in. */
const NOBODY = -2;

/** Octets times ns under a queue that these arrivals fill and a port empties, those of the group `skipped` left out. */
function areaWithout(times: Float64Array, bytes: Float64Array, group: Int32Array, bytesPerNs: number, skipped: number): number {
  let queued = 0;
  let area = 0;
  let before = times[0];
  for (let i = 0; i < times.length; i++) {
    if (group[i] === skipped) continue;
    const passedNs = times[i] - before;
    const busyNs = Math.min(passedNs, queued / bytesPerNs);
    area += queued * busyNs - 0.5 * bytesPerNs * busyNs * busyNs;
    queued = Math.max(0, queued - bytesPerNs * passedNs) + bytes[i];
    before = times[i];
  }
  return area + (queued * queued) / (2 * bytesPerNs);
}
