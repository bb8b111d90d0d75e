// Telemetry Report v0.5 as SD-Fabric (stratum/fabric-tna) sends it: one report per datagram, no length fields.
// Layout: telemetry report specification v0.5 sections 3.1 to 3.3; deviations: D, Q, F seen as specified.
// Rule: timestamps are the low 32 bits of the device clock; they wrap and never become absolute here.

import { HopOrigin, Present, ReportFlag, type HopBatch } from '../hop.ts';
import { u24, writeScaled64 } from './bytes.ts';
import { InnerType } from './cursor.ts';
import type { DecodeInnerPacket } from './inner-packet.ts';
import type { InbandStack } from './inband-stack.ts';
import type { DatagramOutcome, DialectDecoder } from './outcome.ts';
import type { SourceProfile } from './profile.ts';
import { Refusal } from './reason.ts';
import type { Rows } from './report-row.ts';

// Bound here, because an imported binding is loaded and checked at each use.
const { report: ORIGIN_REPORT } = HopOrigin;
const {
  dropReason: HAS_DROP_REASON,
  egressInterfaceId: HAS_EGRESS_INTERFACE_ID,
  egressTimestamp: HAS_EGRESS_TIMESTAMP,
  ingressInterfaceId: HAS_INGRESS_INTERFACE_ID,
  ingressTimestamp: HAS_INGRESS_TIMESTAMP,
  nodeId: HAS_NODE_ID,
  queueId: HAS_QUEUE_ID,
  queueOccupancy: HAS_QUEUE_OCCUPANCY,
} = Present;
const { congestedQueue: FLAG_CONGESTED_QUEUE, dropped: FLAG_DROPPED, trackedFlow: FLAG_TRACKED_FLOW } = ReportFlag;

const FIXED_BYTES = 12;
const DROP_BYTES = 12;
const LOCAL_BYTES = 16;
const WRAP_UNITS = 0x1_0000_0000;

/** NProto values of section 3.1; 3 and 4 are Intel Host-INT's and are named by the caller, not decoded. */
const NextProtocol = { ethernet: 0, drop: 1, switchLocal: 2 } as const;

/** The decoder over a batch: it takes the one report at [start, end). On refusal nothing is appended and `outcome` says why. */
export function reportV05Over(
  batch: HopBatch,
  outcome: DatagramOutcome,
  stack: InbandStack,
  { appendDatagram, appendReport }: Rows,
  decodeInnerPacket: DecodeInnerPacket,
): DialectDecoder {
  const { report: reportOf, present, origin, nodeId, ingressInterfaceId, egressInterfaceId, queueId, queueOccupancy } = batch;
  const { dropReason, ingressTimestampWords, egressTimestampWords } = batch;
  const { hopCount, warnings } = batch.reports;

  function decodeReportV05(b: DataView, start: number, end: number, profile: SourceProfile): void {
    if (end - start < FIXED_BYTES) return outcome.reject(Refusal.groupShort, 0);
    const word = b.getUint32(start);
    const nextProtocol = (word >>> 24) & 0x0f;
    outcome.sequenceBits = 32;
    outcome.hardwareId = word & 0x3f;
    outcome.sequenceNumber = b.getUint32(start + 4);
    if (nextProtocol > NextProtocol.switchLocal) return outcome.reject(Refusal.nextProtocol, 0);
    const headerBytes =
      nextProtocol === NextProtocol.drop ? DROP_BYTES : nextProtocol === NextProtocol.switchLocal ? LOCAL_BYTES : 0;
    if (end - start < FIXED_BYTES + headerBytes) return outcome.reject(Refusal.groupShort, FIXED_BYTES);
    const o = start + FIXED_BYTES;
    outcome.hasHeader = true;
    outcome.nodeId = nextProtocol === NextProtocol.ethernet ? 0 : b.getUint32(o);
    outcome.framedReports = 1;

    const flags =
      ((word & 0x00800000) !== 0 ? FLAG_DROPPED : 0) |
      ((word & 0x00400000) !== 0 ? FLAG_CONGESTED_QUEUE : 0) |
      ((word & 0x00200000) !== 0 ? FLAG_TRACKED_FLOW : 0);
    appendDatagram(0, profile, WRAP_UNITS * profile.timestampUnitNs);
    const report = appendReport(0, flags);
    const hop = batch.length++;
    reportOf[hop] = report;
    origin[hop] = ORIGIN_REPORT;
    present[hop] = HAS_INGRESS_TIMESTAMP;
    writeScaled64(ingressTimestampWords, hop, 0, b.getUint32(start + 8), profile.timestampUnitNs);
    if (nextProtocol !== NextProtocol.ethernet) {
      nodeId[hop] = outcome.nodeId;
      ingressInterfaceId[hop] = b.getUint16(o + 4);
      egressInterfaceId[hop] = b.getUint16(o + 6);
      queueId[hop] = b.getUint8(o + 8);
      present[hop] |= HAS_NODE_ID | HAS_INGRESS_INTERFACE_ID | HAS_EGRESS_INTERFACE_ID | HAS_QUEUE_ID;
    }
    if (nextProtocol === NextProtocol.drop) {
      dropReason[hop] = b.getUint8(o + 9);
      present[hop] |= HAS_DROP_REASON;
    } else if (nextProtocol === NextProtocol.switchLocal) {
      queueOccupancy[hop] = u24(b, o + 9);
      writeScaled64(egressTimestampWords, hop, 0, b.getUint32(o + 12), profile.timestampUnitNs);
      present[hop] |= HAS_QUEUE_OCCUPANCY | HAS_EGRESS_TIMESTAMP;
    }
    hopCount[report] = 1;
    stack.begin(0);
    warnings[report] = decodeInnerPacket(b, o + headerBytes, end, InnerType.ethernet, report, profile, false);
  }

  return decodeReportV05;
}
