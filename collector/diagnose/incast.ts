// Incast: many senders answer one receiver at the same moment, and none of them is to blame by itself. Definition as in science of Meta's incasts (IMC'24):
// eight senders or more, four fifths of the build-up to one address, and their first packets within a few round trips.

import type { ArrivalLog } from '../memory/arrivals.ts';
import type { BuildUp } from './culprit.ts';

/** How many sent to one receiver, and how much of the build-up that was. */
export interface Incast {
  senders: number;
  share: number;
}

const MIN_SENDERS = 8;
const MIN_SHARE = 0.8;
/** First packets of so many of the senders come within this, or within the part of the build-up below. */
const TOGETHER = 0.8;
const TOGETHER_NS = 200e3;
/** Of the octets to the receiver: a sender of less takes no part. */
const MIN_PART = 0.01;

/** The incast that the arrivals of a build-up are, or undefined. */
export function incastOf(
  log: ArrivalLog,
  octets: Float64Array,
  { fromNodeNs, toNodeNs }: BuildUp,
  counts: (arrival: number) => boolean,
  endsOf: (arrival: number) => readonly [source: string, destination: string] | undefined,
): Incast | undefined {
  const receivers = new Map<string, { bytes: number; senders: Map<string, { bytes: number; firstNs: number }> }>();
  let total = 0;
  for (let i = 0; i < log.length; i++) {
    if (log.enqueueNodeNs[i] < fromNodeNs || log.enqueueNodeNs[i] > toNodeNs || !counts(i)) continue;
    total += octets[i];
    const ends = endsOf(i);
    if (ends === undefined) continue;
    const [source, destination] = ends;
    const receiver = receivers.get(destination) ?? {
      bytes: 0,
      senders: new Map<string, { bytes: number; firstNs: number }>(),
    };
    receivers.set(destination, receiver);
    receiver.bytes += octets[i];
    const sender = receiver.senders.get(source) ?? {
      bytes: 0,
      firstNs: Infinity,
    };
    receiver.senders.set(source, sender);
    sender.bytes += octets[i];
    sender.firstNs = Math.min(sender.firstNs, log.enqueueNodeNs[i]);
  }
  const [first] = [...receivers.values()].sort((a, b) => b.bytes - a.bytes);
  if (first === undefined || first.bytes < MIN_SHARE * total) return undefined;
  const senders = [...first.senders.values()].filter(({ bytes }) => bytes >= MIN_PART * first.bytes);
  if (senders.length < MIN_SENDERS) return undefined;
  const starts = senders.map(({ firstNs }) => firstNs).sort((a, b) => a - b);
  const most = Math.ceil(starts.length * TOGETHER);
  let narrowest = Infinity;
  for (let i = 0; i + most <= starts.length; i++) narrowest = Math.min(narrowest, starts[i + most - 1] - starts[i]);
  return narrowest <= TOGETHER_NS ? { senders: senders.length, share: first.bytes / total } : undefined;
}
