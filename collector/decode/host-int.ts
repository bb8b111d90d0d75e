// Intel Host-INT: what hosts at both ends of a path see of a flow, under the fixed header of Telemetry Report v0.5.
// Layout: intel/host-int, docs/Host_INT_fmt.md: NProto 4, a packet's head with an INT v0.5 stack of sink and source; NProto 3, packets that
// never came, inferred from a gap in the flow's own numbers.
// The time of a gap is in whole seconds, which tells nothing about a queue: it is passed over.
// Rule: each end knows its own interface and one moment: what it writes in the place of the others is a copy, and stays absent. Nothing
// subtracts the clocks of two hosts.

import { DIALECTS, HopOrigin, Present, ReportFlag, type HopBatch } from '../hop.ts';
import { InnerType } from './cursor.ts';
import type { InbandStack } from './inband-stack.ts';
import type { DecodeInnerPacket } from './inner-packet.ts';
import type { DecodeIntMd } from './int-md.ts';
import type { DatagramOutcome, DialectDecoder } from './outcome.ts';
import type { SourceProfile } from './profile.ts';
import { Refusal } from './reason.ts';
import type { Rows } from './report-row.ts';

// Bound here, because an imported binding is loaded and checked at each use.
const {
  egressInterfaceId: HAS_EGRESS_INTERFACE_ID,
  egressTimestamp: HAS_EGRESS_TIMESTAMP,
  ingressInterfaceId: HAS_INGRESS_INTERFACE_ID,
  ingressTimestamp: HAS_INGRESS_TIMESTAMP,
  nodeId: HAS_NODE_ID,
} = Present;
const { dropped: FLAG_DROPPED, trackedFlow: FLAG_TRACKED_FLOW } = ReportFlag;
const { report: ORIGIN_REPORT } = HopOrigin;
const DIALECT = DIALECTS.indexOf('host-int');

const FIXED_BYTES = 12;
const DROP_SUMMARY_BYTES = 24;
const NODE_ID_BYTES = 4;
const IPV4_BYTES = 20;
const TCP = 6;
const TCP_BYTES = 20;
const UDP_BYTES = 8;
const WRAP_UNITS = 0x1_0000_0000;
/** NProto of the fixed header. */
export const HostInt = { dropSummary: 3, latency: 4 } as const;

/** The decoder over a batch: it takes the one report at [start, end). On refusal nothing is appended and `outcome` says why. */
export function hostIntOver(
  batch: HopBatch,
  outcome: DatagramOutcome,
  stack: InbandStack,
  { appendDatagram, appendReport }: Rows,
  decodeInnerPacket: DecodeInnerPacket,
  decodeIntMd: DecodeIntMd,
): DialectDecoder {
  const { report: reportOf, present, origin, nodeId, ingressInterfaceId, egressInterfaceId } = batch;
  const { firstHop, hopCount, warnings, representedPackets } = batch.reports;

  function decodeHostInt(b: DataView, start: number, end: number, profile: SourceProfile): void {
    if (end - start < FIXED_BYTES) return outcome.reject(Refusal.groupShort, 0);
    const word = b.getUint32(start);
    outcome.sequenceBits = 32;
    outcome.hardwareId = word & 0x3f;
    outcome.sequenceNumber = b.getUint32(start + 4);
    const isDrop = ((word >>> 24) & 0x0f) === HostInt.dropSummary;
    if (isDrop) readDropSummary(b, start + FIXED_BYTES, end, profile);
    else readLatency(b, start + FIXED_BYTES, end, profile);
  }

  function readDropSummary(b: DataView, o: number, end: number, profile: SourceProfile): void {
    if (end - o < DROP_SUMMARY_BYTES) return outcome.reject(Refusal.groupShort, FIXED_BYTES);
    begin(b.getUint32(o + 4), profile);
    const row = appendReport(0, FLAG_DROPPED | FLAG_TRACKED_FLOW);
    representedPackets[row] = Math.max(1, b.getUint32(o + 20));
    const source = appendEnd(row, b.getUint32(o));
    ingressInterfaceId[source] = b.getUint16(o + 8);
    present[source] |= HAS_INGRESS_INTERFACE_ID;
    const sink = appendEnd(row, b.getUint32(o + 4));
    egressInterfaceId[sink] = b.getUint16(o + 10);
    present[sink] |= HAS_EGRESS_INTERFACE_ID;
    hopCount[row] = 2;
    stack.begin(0);
    warnings[row] = decodeInnerPacket(b, o + DROP_SUMMARY_BYTES, end, InnerType.ipv4, row, profile, false);
  }

  function appendEnd(report: number, id: number): number {
    const hop = batch.length++;
    reportOf[hop] = report;
    origin[hop] = ORIGIN_REPORT;
    nodeId[hop] = id;
    present[hop] = HAS_NODE_ID;
    return hop;
  }

  /** The sink's node id before the packet is an option of its command line: an IPv4 header begins otherwise than ids do. */
  function readLatency(b: DataView, o: number, end: number, profile: SourceProfile): void {
    if (end - o < IPV4_BYTES) return outcome.reject(Refusal.groupShort, FIXED_BYTES);
    const packet = isHostIntPacket(b, o, end) ? o : o + NODE_ID_BYTES;
    if (!isHostIntPacket(b, packet, end)) return outcome.reject(Refusal.hostIntPacket, packet - o + FIXED_BYTES);
    begin(0, profile);
    const row = appendReport(0, FLAG_TRACKED_FLOW);
    stack.begin(0);
    warnings[row] = decodeInnerPacket(b, packet, end, InnerType.ipv4, row, profile, false);
    decodeIntMd(b, shimAt(b, packet), end, row, profile);
    warnings[row] |= stack.warnings;
    hopCount[row] = batch.length - firstHop[row];
    outcome.nodeId = stack.hops > 0 ? stack.newestNodeId : 0;
    batch.datagrams.nodeId[batch.datagrams.length - 1] = outcome.nodeId;
    if (stack.hops < 2) return;
    present[firstHop[row]] &= ~(HAS_EGRESS_INTERFACE_ID | HAS_EGRESS_TIMESTAMP);
    present[batch.length - 1] &= ~(HAS_INGRESS_INTERFACE_ID | HAS_INGRESS_TIMESTAMP);
  }

  function begin(node: number, profile: SourceProfile): void {
    outcome.nodeId = node;
    outcome.hasHeader = true;
    outcome.framedReports = 1;
    appendDatagram(DIALECT, profile, WRAP_UNITS * profile.timestampUnitNs);
  }

  return decodeHostInt;
}

/** An IPv4 header without options, and behind its L4 header the shim of Host-INT. */
function isHostIntPacket(b: DataView, o: number, end: number): boolean {
  if (end - o < IPV4_BYTES || b.getUint8(o) !== 0x45) return false;
  const shim = shimAt(b, o);
  return shim + 4 <= end && b.getUint8(shim) === 3;
}

function shimAt(b: DataView, packet: number): number {
  return packet + IPV4_BYTES + (b.getUint8(packet + 9) === TCP ? TCP_BYTES : UDP_BYTES);
}
