// Who filled the queue: octets that each workload put in during the build-up.
// The window is half of the accuracy (PrintQueue, SIGCOMM'22): from the last moment the queue was nearly empty to its peak.
// Rule: a report is not a packet. TCP sequence deltas say what was sent between two reports; otherwise a report stands for
// 1 / (1 - loss) packets (Horvitz-Thompson).

import type { Culprit, Owner } from '../event.ts';
import type { ArrivalLog } from '../memory/arrivals.ts';
import { HALF_SEQUENCE, TCP_HEADER_BYTES, TCP_SEGMENT_BYTES } from '../tcp.ts';
import { flowKeyOf, timeOrderOf } from './order.ts';
import type { Parties } from './parties.ts';

/** Two reports of a flow that lie further apart say nothing about what was sent between them in the window. */
const MAX_GAP_NS = 5e6;
/** A flow comes in at most so many times as fast as the port sends. */
const MOST_TIMES_RATE = 8;
const MAX_CULPRITS = 8;
const MAX_FLOWS = 10;
const MAX_PODS = 16;
/** An owner that is known as surely as this is known. */
const SURE = 0.8;

/** The culprits of one build-up, largest first, and what the shares rest on. */
export interface Blame {
  culprits: Culprit[];
  /** An arrival of each of the largest flows, and the octets of the flow, largest first. */
  flows: { arrival: number; bytes: number }[];
  /** Estimated octets of all senders, and those of the packets that were really reported. */
  totalBytes: number;
  reportedBytes: number;
  /** Reports within the build-up. */
  reports: number;
  /** Kish's effective sample size: (sum w)^2 / sum w^2. */
  effectiveReports: number;
  identifiedShare: number;
}

/** The build-up, on the node's own clock, and the port behind the queue (octets per ns, 0 when not known). */
export interface BuildUp {
  fromNodeNs: number;
  toNodeNs: number;
  portBytesPerNs: number;
}

/**
 * Octets within the build-up that each arrival of `log` stands for. `lossRatio` is the report loss of the node, 0 to below 1.
 * TCP: itself, and what the sequence advanced since the flow's last report beyond that, headers added, as far as it lies in the build-up and
 * the port could carry it. A sequence that does not advance (retransmission, pure ACK, late report) stands for its own packet only.
 */
export function octetsOf(log: ArrivalLog, lossRatio: number, window: BuildUp): Float64Array {
  const octets = new Float64Array(log.length);
  const inverse = 1 / (1 - Math.min(lossRatio, 0.95));
  const maxGapNs = Math.max(MAX_GAP_NS, window.toNodeNs - window.fromNodeNs);
  const newestOfFlow = new Map<number, number>();
  for (const i of timeOrderOf(log)) {
    octets[i] = log.lengthBytes[i] * log.weight[i] * inverse;
    if (log.hasTcpSequence[i] === 0 || log.flowRow[i] === 0) continue;
    const flow = flowKeyOf(log, i);
    const newest = newestOfFlow.get(flow);
    const delta = newest === undefined ? 0 : (log.tcpSequence[i] - log.tcpSequence[newest]) >>> 0;
    if (newest !== undefined && (delta === 0 || delta >= HALF_SEQUENCE)) continue;
    newestOfFlow.set(flow, i);
    if (newest === undefined) continue;
    const gapNs = log.enqueueNodeNs[i] - log.enqueueNodeNs[newest];
    if (gapNs <= 0 || gapNs > maxGapNs) continue;
    // Segments of one flow are as long as the longer of the two that were seen, or as usual where both carry nothing.
    const payload = Math.max(log.lengthBytes[i], log.lengthBytes[newest]) - TCP_HEADER_BYTES;
    const sent = delta + Math.ceil(delta / (payload > 0 ? payload : TCP_SEGMENT_BYTES)) * TCP_HEADER_BYTES;
    const carried = window.portBytesPerNs > 0 ? window.portBytesPerNs * gapNs : Infinity;
    const insideNs = log.enqueueNodeNs[i] - Math.max(window.fromNodeNs, log.enqueueNodeNs[newest]);
    // The sequence of a segment is where it begins: what it advanced by is the segment before, and those in between that were not seen.
    const between = Math.max(0, sent - log.lengthBytes[newest]);
    // No line into the queue is so much faster than the one out of it: another connection has the same ports.
    if (between > MOST_TIMES_RATE * carried) continue;
    octets[i] = log.lengthBytes[i] + Math.min(between, carried) * Math.min(1, Math.max(0, insideNs) / gapNs);
  }
  return octets;
}

interface Group {
  owner: Owner;
  bytes: number;
  usualBytes: number;
  flows: number;
  pods: Set<string>;
}

/**
 * Shares of the build-up by owner of the sender. `octets` as from octetsOf; `paceOf`: octets per ns that the flow of an arrival used to send, 0 when it was
 * not there before; `counts` says which arrivals matter. What a culprit held of the queue is left to occupancyOf.
 */
export function blame(
  log: ArrivalLog,
  octets: Float64Array,
  window: BuildUp,
  { sender, flow, senders, owner: ownerOf, keys, firstArrival }: Parties,
  paceOf: (arrival: number) => number,
  counts: (arrival: number) => boolean = () => true,
): Blame {
  const groups = keys.map((_, one): Group => {
    return { owner: senders[ownerOf.indexOf(one)], bytes: 0, usualBytes: 0, flows: 0, pods: new Set() };
  });
  const flowBytes = new Float64Array(firstArrival.length);
  /** By flow: the group that it was counted in, plus one. */
  const countedIn = new Uint32Array(firstArrival.length);
  const sums = { total: 0, squares: 0, identified: 0, reported: 0, reports: 0 };
  const spanNs = window.toNodeNs - window.fromNodeNs;
  for (let i = 0; i < log.length; i++) {
    if (log.enqueueNodeNs[i] < window.fromNodeNs || log.enqueueNodeNs[i] > window.toNodeNs || !counts(i)) continue;
    const owner = senders[sender[i]];
    const counted = ownerOf[sender[i]];
    const group = groups[counted];
    group.bytes += octets[i];
    if (owner.pod !== undefined && group.pods.size < MAX_PODS) group.pods.add(owner.pod);
    if (countedIn[flow[i]] !== counted + 1) {
      countedIn[flow[i]] = counted + 1;
      group.flows++;
      group.usualBytes += paceOf(i) * spanNs;
    }
    flowBytes[flow[i]] += octets[i];
    sums.total += octets[i];
    sums.squares += octets[i] * octets[i];
    sums.reported += log.lengthBytes[i];
    sums.reports++;
    if (owner.kind !== 'unknown' && owner.confidence >= SURE) sums.identified += octets[i];
  }
  return {
    culprits: groups
      .filter(({ flows }) => flows > 0)
      .sort((a, b) => b.bytes - a.bytes)
      .slice(0, MAX_CULPRITS)
      .map((group) => culpritOf(group, sums.total)),
    flows: firstArrival
      .map((arrival, one) => ({ arrival, bytes: flowBytes[one] }))
      .filter(({ bytes }) => bytes > 0)
      .sort((a, b) => b.bytes - a.bytes)
      .slice(0, MAX_FLOWS),
    totalBytes: sums.total,
    reportedBytes: sums.reported,
    reports: sums.reports,
    effectiveReports: sums.squares === 0 ? 0 : (sums.total * sums.total) / sums.squares,
    identifiedShare: sums.total === 0 ? 0 : sums.identified / sums.total,
  };
}

function culpritOf({ owner, bytes, usualBytes, flows, pods }: Group, totalBytes: number): Culprit {
  return {
    namespace: owner.namespace,
    workload: owner.workload,
    kind: owner.kind,
    ...(pods.size === 0 ? {} : { pods: [...pods] }),
    buildUpShare: totalBytes === 0 ? 0 : bytes / totalBytes,
    buildUpBytes: Math.round(bytes),
    occupancyShare: 0,
    excessShare: bytes === 0 ? 0 : Math.max(0, 1 - usualBytes / bytes),
    flows,
    counterfactual: null,
  };
}

/**
 * Shares of a queue by index of the owner: over a busy period the area under its depth is the sum of size times residence of its packets, so that it splits by
 * who sent them. `octets` are those of the whole event, `isOwn` tells the packets of the queue.
 */
export function occupancyOf(
  log: ArrivalLog,
  octets: Float64Array,
  window: BuildUp,
  { sender, owner, keys }: Parties,
  isOwn: (arrival: number) => boolean,
): Float64Array {
  const areas = new Float64Array(keys.length);
  let all = 0;
  for (let i = 0; i < log.length; i++) {
    if (log.enqueueNodeNs[i] < window.fromNodeNs || log.enqueueNodeNs[i] > window.toNodeNs || !isOwn(i)) continue;
    const area = octets[i] * log.waitNs[i];
    areas[owner[sender[i]]] += area;
    all += area;
  }
  return all === 0 ? areas : areas.map((area) => area / all);
}
