// Octets that came into a queue and of which there is no report: packets say by their waits how much was in front of them, and the port empties the queue
// at its own rate. What must have come in between two packets and was not seen is somebody's.
//
// Rule: jitter of one wait must not add up: only what raises the sum above all that went before counts (a running maximum). Before a packet that found the
// queue empty, or that came long after the one before had left, the port may have had nothing to do: that time proves nothing.

import type { ArrivalLog } from '../memory/arrivals.ts';
import type { BuildUp } from './culprit.ts';
import { timeOrderOf } from './order.ts';

/** Fewer octets in front of a packet are those of a packet that is on the wire. */
const EMPTY_BYTES = 3000;
const SILENCE_NS = 1e6;

/** What was not seen: in all, and when it came. */
export interface Unseen {
  bytes: number;
  times: Float64Array;
  /** Octets at each of the times. */
  pieces: Float64Array;
}

/**
 * Octets within the window that entered the queue of the arrivals for which `isOwn` holds, beyond `octets`, which the arrivals stand for; undefined where the rate
 * of the port is not known, or hardly anything arrived.
 */
export function unseenOf(
  log: ArrivalLog,
  octets: Float64Array,
  { fromNodeNs, toNodeNs, portBytesPerNs: rate }: BuildUp,
  isOwn: (arrival: number) => boolean,
): Unseen | undefined {
  const order = timeOrderOf(log).filter(
    (i) => isOwn(i) && log.enqueueNodeNs[i] >= fromNodeNs && log.enqueueNodeNs[i] <= toNodeNs,
  );
  if (rate <= 0 || order.length < 2) return undefined;
  const times: number[] = [];
  const pieces: number[] = [];
  let reported = 0;
  // What stood in the queue before the first report came is nobody's to tell: nodes that report from a certain wait on report nothing below it.
  const [first] = order;
  let highest = log.waitNs[first] * rate + (log.enqueueNodeNs[first] - fromNodeNs) * rate;
  let before = highest;
  let extra = 0;
  let leftNs = Infinity;
  for (const i of order) {
    // All that came in since the queue was empty, the packet itself not counted.
    const cameIn = log.waitNs[i] * rate + (log.enqueueNodeNs[i] - fromNodeNs) * rate;
    const more = cameIn - reported - highest;
    const hadDrained = log.waitNs[i] * rate < EMPTY_BYTES || log.enqueueNodeNs[i] > leftNs + SILENCE_NS;
    leftNs = log.enqueueNodeNs[i] + log.waitNs[i];
    if (more > 0 && hadDrained) {
      highest += more;
      before += more;
    } else if (more > 0) {
      times.push(log.enqueueNodeNs[i]);
      pieces.push(more);
      highest += more;
    }
    reported += log.lengthBytes[i];
    extra += octets[i] - log.lengthBytes[i];
  }
  const found = highest - before;
  const bytes = Math.max(0, found - Math.max(0, extra));
  const scale = found === 0 ? 0 : bytes / found;
  return {
    bytes,
    times: Float64Array.from(times),
    pieces: Float64Array.from(pieces, (one) => one * scale),
  };
}
