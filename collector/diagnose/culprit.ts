// Who filled the queue: octets that each workload put in during the build-up.
// The window is half of the accuracy (PrintQueue, SIGCOMM'22): from the last moment the queue was nearly empty to its peak.
// Rule: a report is not a packet. TCP sequence deltas say what was sent between two reports; otherwise a report stands for
// 1 / (1 - loss) packets (Horvitz-Thompson).

import type { Culprit, Owner } from '../event.ts';
import type { ArrivalLog } from '../memory/arrivals.ts';

/** Octets of headers per TCP segment, added to sequence deltas. */
const TCP_HEADER_BYTES = 54;
const MAX_CULPRITS = 8;

/** The culprits of one build-up, largest first, and what the shares rest on. */
export interface Blame {
  culprits: Culprit[];
  totalBytes: number;
  /** Kish's effective sample size: (sum w)^2 / sum w^2. */
  effectiveReports: number;
  identifiedShare: number;
  /** Fraction of the packets that reports were seen of, by loss and by thinning of the log. */
  samplingRatio: number;
}

/** Octets that each arrival of `log` stands for. `lossRatio` is the report loss of the node, 0 to below 1. */
export function octetsOf(log: ArrivalLog, lossRatio: number): Float64Array {
  const octets = new Float64Array(log.length);
  const inverse = 1 / (1 - Math.min(lossRatio, 0.95));
  const lastOfFlow = new Map<string, number>();
  for (let i = 0; i < log.length; i++) {
    octets[i] = log.lengthBytes[i] * log.weight[i] * inverse;
    if (log.hasTcpSequence[i] === 0 || log.flowRow[i] === 0) continue;
    const flow = `${log.flowRow[i]}/${log.flowGeneration[i]}`;
    const last = lastOfFlow.get(flow);
    lastOfFlow.set(flow, i);
    if (last === undefined) continue;
    const delta = (log.tcpSequence[i] - log.tcpSequence[last]) >>> 0;
    // Zero or a jump back is a retransmission or a pure ACK: the packet itself is then all that is known.
    if (delta === 0 || delta > 0x4000_0000) continue;
    const segments = Math.max(1, Math.round(delta / Math.max(1, log.lengthBytes[i] - 40)));
    octets[i] = delta + segments * TCP_HEADER_BYTES;
  }
  return octets;
}

/** Shares by owner of the sender over arrivals in [fromNodeNs, toNodeNs]. `ownerOf` maps an arrival to its sending owner. */
export function blame(
  log: ArrivalLog,
  octets: Float64Array,
  fromNodeNs: number,
  toNodeNs: number,
  lossRatio: number,
  ownerOf: (arrival: number) => Owner,
): Blame {
  const groups = new Map<string, { owner: Owner; bytes: number; flows: Set<number> }>();
  let total = 0;
  let squares = 0;
  let identified = 0;
  let weights = 0;
  let count = 0;
  for (let i = 0; i < log.length; i++) {
    if (log.enqueueNodeNs[i] < fromNodeNs || log.enqueueNodeNs[i] > toNodeNs) continue;
    const owner = ownerOf(i);
    const key = `${owner.kind}/${owner.namespace}/${owner.workload}`;
    const group = groups.get(key) ?? { owner, bytes: 0, flows: new Set<number>() };
    groups.set(key, group);
    group.bytes += octets[i];
    group.flows.add(log.flowRow[i]);
    total += octets[i];
    squares += octets[i] * octets[i];
    weights += log.weight[i];
    count++;
    if (owner.kind !== 'unknown' && owner.confidence >= 0.8) identified += octets[i];
  }
  const culprits = [...groups.values()]
    .sort((a, b) => b.bytes - a.bytes)
    .slice(0, MAX_CULPRITS)
    .map(({ owner, bytes, flows }) => ({
      namespace: owner.namespace,
      workload: owner.workload,
      kind: owner.kind,
      buildUpShare: total === 0 ? 0 : bytes / total,
      buildUpBytes: Math.round(bytes),
      flows: flows.size,
    }));
  return {
    culprits,
    totalBytes: total,
    effectiveReports: squares === 0 ? 0 : (total * total) / squares,
    identifiedShare: total === 0 ? 0 : identified / total,
    samplingRatio: weights === 0 ? 0 : (count / weights) * (1 - lossRatio),
  };
}
