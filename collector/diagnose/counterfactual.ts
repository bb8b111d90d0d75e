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
  const order = Array.from(octets.keys())
    .filter((i) => log.enqueueNodeNs[i] >= window.fromNodeNs && log.enqueueNodeNs[i] <= window.toNodeNs)
    .sort((a, b) => log.enqueueNodeNs[a] - log.enqueueNodeNs[b]);
  const times = Float64Array.from(order, (i) => log.enqueueNodeNs[i]);
  const bytes = Float64Array.from(order, (i) => octets[i]);
  const group = Int32Array.from(order, groupOf);
  const whole = areaWithout(times, bytes, group, window.portBytesPerNs, NOBODY);
  if (whole <= 0) return null;
  return Float64Array.from({ length: groups }, (_, one) =>
    Math.max(0, 1 - areaWithout(times, bytes, group, window.portBytesPerNs, one) / whole),
  );
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
