// One JSON line per telemetry report: the contract of `hopscope decode`. Raw values as they were on the wire.
// Rule: a value that the report did not carry is null, a 64-bit number is a decimal string, keys may be added and never change.

import { addressText, ipv6Text } from './address.ts';
import type { DatagramOutcome } from './decode/outcome.ts';
import { REFUSAL_TEXT, REFUSALS, UNKNOWN_DIALECTS, warningNames } from './decode/reason.ts';
import {
  addressFamilyOf,
  destinationPortOf,
  FLOW_WORDS,
  OUTER_WORDS,
  FlowPart,
  FlowWord,
  protocolOf,
  sourcePortOf,
  tunnelOf,
} from './flow-key.ts';
import { DIALECTS, HOP_ORIGINS, LINK_COUNTERS, LinkCounter, LinkStatus, Present, ReportFlag, type HopBatch } from './hop.ts';

/** Dialects whose header names the node. */
const NAMES_NODE: ReadonlySet<string> = new Set(['report-v1.0', 'report-v2.0', 'host-int']);

/**
 * All lines for one datagram: decoded and refused reports in their order, then the counters of interfaces; or one line for a rejected
 * datagram. `dropReasons`: their names by number.
 */
export function reportLines(
  frame: number,
  source: string | null,
  batch: HopBatch,
  outcome: DatagramOutcome,
  dropReasons: ReadonlyMap<number, string> = new Map(),
): object[] {
  if (outcome.rejected !== 0) {
    return [{ frame, rejected: REFUSALS[outcome.rejected], detail: rejectionDetail(outcome) }];
  }
  const lines: { report: number }[] = [];
  for (let report = 0; report < batch.reports.length; report++)
    lines.push(reportLine(frame, source, batch, outcome, dropReasons, report));
  for (let i = 0; i < outcome.refusedReports; i++) {
    const rejected = REFUSALS[outcome.refusedCode[i]];
    const detail = `${REFUSAL_TEXT[rejected]}, report ${outcome.refusedIndex[i]} at octet ${outcome.refusedAt[i]}`;
    lines.push(Object.assign({ frame, report: outcome.refusedIndex[i] }, { rejected, detail }));
  }
  lines.sort((a, b) => a.report - b.report);
  return [...lines, ...Array.from({ length: batch.links.length }, (_, link) => linkLine(frame, source, batch, outcome, link))];
}

/** The counters of an interface; what its agent does not tell is null. */
function linkLine(frame: number, source: string | null, batch: HopBatch, outcome: DatagramOutcome, row: number): object {
  const { links, datagrams } = batch;
  const told = (counter: number): number | null => {
    const value = links.counters[row * LINK_COUNTERS + counter];
    return value < 0 ? null : value;
  };
  const status = links.status[row];
  const isKnown = status !== LinkStatus.unknown;
  const { inOctets, inPackets, inDiscards, inErrors, outOctets, outPackets, outDiscards, outErrors } = LinkCounter;
  return {
    frame,
    source,
    ...agentOf(outcome),
    dialect: DIALECTS[datagrams.dialect[links.datagram[row]]],
    interfaceId: links.interfaceId[row],
    speedBitsPerSecond: told(LinkCounter.speedBitsPerSecond),
    adminUp: isKnown ? (status & LinkStatus.adminUp) !== 0 : null,
    operationalUp: isKnown ? (status & LinkStatus.operationalUp) !== 0 : null,
    receive: { octets: told(inOctets), packets: told(inPackets), discards: told(inDiscards), errors: told(inErrors) },
    transmit: { octets: told(outOctets), packets: told(outPackets), discards: told(outDiscards), errors: told(outErrors) },
  };
}

/** The agent of sFlow, whose datagrams may come from another address. */
function agentOf({ agentKey, agentWords }: DatagramOutcome): { agent?: string } {
  return agentKey === 0 ? {} : { agent: addressText(agentWords, 0) };
}

/** What is wrong with a rejected datagram and where; names a format that is not decoded. */
export function rejectionDetail(outcome: DatagramOutcome): string {
  if (outcome.unknownDialect !== 0) {
    const name = UNKNOWN_DIALECTS[outcome.unknownDialect - 1];
    const what =
      name === 'unrecognised'
        ? `no known telemetry format (version nibble ${outcome.versionNibble})`
        : `${name} is recognised, and no telemetry that is decoded`;
    return `${what}, at octet 0`;
  }
  return `${REFUSAL_TEXT[REFUSALS[outcome.rejected]]}, at octet ${outcome.rejectedAt}`;
}

function reportLine(
  frame: number,
  source: string | null,
  batch: HopBatch,
  outcome: DatagramOutcome,
  dropReasons: ReadonlyMap<number, string>,
  row: number,
) {
  const r = batch.reports;
  const flags = r.flags[row];
  const firstHop = r.firstHop[row];
  const hops: object[] = [];
  let dropReason: number | null = null;
  for (let hop = firstHop; hop < firstHop + r.hopCount[row]; hop++) {
    hops.push(hopOf(batch, hop));
    if ((batch.present[hop] & Present.dropReason) !== 0) dropReason = batch.dropReason[hop];
  }
  const datagram = r.datagram[row];
  const d = batch.datagrams;
  const dialect = DIALECTS[d.dialect[datagram]];
  return {
    frame,
    report: r.indexInDatagram[row],
    source,
    ...agentOf(outcome),
    dialect,
    hardwareId: d.hardwareId[datagram],
    sequenceNumber: d.sequenceNumber[datagram],
    ...(NAMES_NODE.has(dialect) ? { nodeId: d.nodeId[datagram] } : {}),
    dropped: (flags & ReportFlag.dropped) !== 0,
    congestedQueue: (flags & ReportFlag.congestedQueue) !== 0,
    trackedFlow: (flags & ReportFlag.trackedFlow) !== 0,
    ...(dialect === 'report-v2.0' ? { intermediate: (flags & ReportFlag.intermediate) !== 0 } : {}),
    dropReason,
    ...(dropReason !== null && dropReasons.has(dropReason) ? { dropReasonText: dropReasons.get(dropReason) } : {}),
    ...(r.representedPackets[row] === 1 ? {} : { packets: r.representedPackets[row] }),
    ...(r.vlanId[row] === 0 ? {} : { vlanId: r.vlanId[row] }),
    hops,
    flow: flowOf(batch, row),
    ...(r.outerParts[row] === 0 ? {} : { outer: outerOf(batch, row) }),
    warnings: warningNames(r.warnings[row]),
  };
}

/** The eight base keys always; level-2 interfaces, utilization and buffer only where the hop carried them. */
function hopOf(batch: HopBatch, hop: number): object {
  const present = batch.present[hop];
  const has = (bit: number): boolean => (present & bit) !== 0;
  return {
    nodeId: has(Present.nodeId) ? batch.nodeId[hop] : null,
    ingressInterfaceId: has(Present.ingressInterfaceId) ? batch.ingressInterfaceId[hop] : null,
    egressInterfaceId: has(Present.egressInterfaceId) ? batch.egressInterfaceId[hop] : null,
    queueId: has(Present.queueId) ? batch.queueId[hop] : null,
    queueOccupancy: has(Present.queueOccupancy) ? batch.queueOccupancy[hop] : null,
    hopLatency: has(Present.hopLatency) ? batch.hopLatencyNs[hop] : null,
    ingressTimestamp: has(Present.ingressTimestamp) ? batch.ingressTimestampNs[hop].toString() : null,
    egressTimestamp: has(Present.egressTimestamp) ? batch.egressTimestampNs[hop].toString() : null,
    origin: HOP_ORIGINS[batch.origin[hop]],
    ...(has(Present.level2IngressInterfaceId) ? { level2IngressInterfaceId: batch.level2IngressInterfaceId[hop] } : {}),
    ...(has(Present.level2EgressInterfaceId) ? { level2EgressInterfaceId: batch.level2EgressInterfaceId[hop] } : {}),
    ...(has(Present.egressInterfaceTxUtilization)
      ? { egressInterfaceTxUtilization: batch.egressInterfaceTxUtilization[hop] }
      : {}),
    ...(has(Present.buffer) ? { bufferId: batch.bufferId[hop], bufferOccupancy: batch.bufferOccupancy[hop] } : {}),
  };
}

function flowOf(batch: HopBatch, row: number): object | null {
  const r = batch.reports;
  const parts = r.flowParts[row];
  if ((parts & FlowPart.addresses) === 0) return null;
  const at = row * FLOW_WORDS;
  return {
    ...endpointsOf(r.flowKey, at, parts),
    ttl: r.ttl[row],
    dscp: r.dscp[row],
    ecn: r.ecn[row],
    packetLengthBytes: r.packetLengthBytes[row],
    ...(addressFamilyOf(r.flowKey, at) === 4 ? { ipIdentification: r.ipIdentification[row] } : {}),
    ...((parts & FlowPart.tcpSequence) !== 0 ? { tcpSequence: r.tcpSequence[row] } : {}),
    ...tunnelOf(r.flowKey, at),
  };
}

/** The outermost packet, where the flow travels in a tunnel. */
function outerOf(batch: HopBatch, row: number): object {
  const r = batch.reports;
  return { ...endpointsOf(r.outerKey, row * OUTER_WORDS, r.outerParts[row]), dscp: r.outerDscp[row] };
}

/** The ends of a packet, of whose key the parts in `parts` (see FlowPart) are known; ports are null where they are not. */
export function endpointsOf(key: Uint32Array, at: number, parts: number) {
  const hasPorts = (parts & FlowPart.ports) !== 0;
  const textOf = addressFamilyOf(key, at) === 6 ? ipv6Text : addressText;
  return {
    sourceAddress: textOf(key, at + FlowWord.source),
    destinationAddress: textOf(key, at + FlowWord.destination),
    protocol: protocolOf(key, at),
    sourcePort: hasPorts ? sourcePortOf(key, at) : null,
    destinationPort: hasPorts ? destinationPortOf(key, at) : null,
  };
}
