// Telemetry Report v1.0: one report per datagram, a header whose Length counts its optional metadata, then the packet to the end.
// Layout: telemetry report specification v1.0 sections 3.1 to 3.3.
// Rule: programs disagree on where D, Q and F are. The specification has six reserved bits before them, ONOS and its kin behind; bits that are
// reserved in one reading and flags in the other decide, and where both are set the specification is right.

import { HopOrigin, Present, ReportFlag, type HopBatch } from '../hop.ts';
import { popcount16, writeScaled64 } from './bytes.ts';
import { InnerType } from './cursor.ts';
import type { DecodeInnerPacket } from './inner-packet.ts';
import type { Metadata } from './baseline.ts';
import { IntLayout, type InbandStack } from './inband-stack.ts';
import type { DatagramOutcome, DialectDecoder } from './outcome.ts';
import type { SourceProfile } from './profile.ts';
import { Refusal, Warning } from './reason.ts';
import type { Rows } from './report-row.ts';

// Bound here, because an imported binding is loaded and checked at each use.
const { report: ORIGIN_REPORT } = HopOrigin;
const { hopLatency: HAS_HOP_LATENCY, ingressTimestamp: HAS_INGRESS_TIMESTAMP, nodeId: HAS_NODE_ID } = Present;
const { congestedQueue: FLAG_CONGESTED_QUEUE, dropped: FLAG_DROPPED, trackedFlow: FLAG_TRACKED_FLOW } = ReportFlag;

const FIXED_BYTES = 16;
const FIXED_WORDS = 4;
const WRAP_UNITS = 0x1_0000_0000;
/** NProt values of section 3.1, and what the packet begins with. */
const INNER_TYPES = [InnerType.ethernet, InnerType.ipv4, InnerType.ipv6] as const;
/** D, Q, F as ONOS has them, and the bits between them and hw_id, which are reserved there. */
const EARLY_FLAGS = 0x7000;
const EARLY_RESERVED = 0x0fc0;
/** RepMdBits in INT's own numbering: ports, latency and queue; egress timestamp; utilization. Queue with drop reason has none. */
const [METADATA_FIRST, METADATA_EGRESS, METADATA_DROP, METADATA_UTILIZATION] = [0x38, 0x04, 0x02, 0x01];

/** The decoder over a batch: it takes the one report at [start, end). On refusal nothing is appended and `outcome` says why. */
export function reportV10Over(
  batch: HopBatch,
  outcome: DatagramOutcome,
  stack: InbandStack,
  { appendDatagram, appendReport }: Rows,
  { readBaseline, readDropReason }: Metadata,
  decodeInnerPacket: DecodeInnerPacket,
): DialectDecoder {
  const { report: reportOf, present, origin, nodeId, ingressTimestampWords } = batch;
  const { hopCount, firstHop, warnings: warningsOf } = batch.reports;
  const { timestampWrapNs } = batch.datagrams;

  function decodeReportV10(b: DataView, start: number, end: number, profile: SourceProfile): void {
    if (end - start < FIXED_BYTES) return outcome.reject(Refusal.groupShort, 0);
    const word = b.getUint32(start);
    const headerBytes = ((word >>> 24) & 0x0f) * 4;
    const metadataBits = (word >>> 15) & 0x3f;
    const nextProtocol = (word >>> 21) & 7;
    outcome.sequenceBits = 32;
    outcome.hardwareId = word & 0x3f;
    outcome.nodeId = b.getUint32(start + 4);
    outcome.sequenceNumber = b.getUint32(start + 8);
    if (headerBytes < FIXED_BYTES || headerBytes > end - start) return outcome.reject(Refusal.headerLength, 0);
    if (headerBytes < (FIXED_WORDS + popcount16(metadataBits)) * 4) return outcome.reject(Refusal.metadataShort, 0);
    if (nextProtocol >= INNER_TYPES.length) return outcome.reject(Refusal.nextProtocol, 0);
    outcome.hasHeader = true;
    outcome.framedReports = 1;

    const isEarly = !profile.strict && (word & EARLY_FLAGS) !== 0 && (word & EARLY_RESERVED) === 0;
    const flags = isEarly ? word >>> 12 : word >>> 6;
    appendDatagram(1, profile, WRAP_UNITS * profile.timestampUnitNs);
    const row = appendReport(
      0,
      ((flags & 4) !== 0 ? FLAG_DROPPED : 0) |
        ((flags & 2) !== 0 ? FLAG_CONGESTED_QUEUE : 0) |
        ((flags & 1) !== 0 ? FLAG_TRACKED_FLOW : 0),
    );
    stack.begin(0);
    let warnings = isEarly ? Warning.flagsMisplaced : 0;
    const inner = INNER_TYPES[nextProtocol];
    warnings |= decodeInnerPacket(b, start + headerBytes, end, inner, row, profile, (flags & 1) !== 0);
    // Programs of GEANT send stamps of 64 bits in their stacks; what is 32 bits beside them lies in the same turn.
    if (stack.layout === IntLayout.geant) {
      timestampWrapNs[batch.datagrams.length - 1] = 0;
      warnings |= dropFalseLatency(batch.length - 1);
    }
    readOwnHop(b, start, metadataBits, row, profile);
    hopCount[row] = batch.length - firstHop[row];
    warningsOf[row] = warnings;
  }

  /** The sink of GEANT's program has lost its ingress time, and subtracts nothing from its egress time: that is no latency. */
  function dropFalseLatency(hop: number): number {
    const isLost = ingressTimestampWords[hop * 2] === 0 && ingressTimestampWords[hop * 2 + 1] === 0;
    if (stack.hops === 0 || !isLost || (present[hop] & HAS_INGRESS_TIMESTAMP) === 0 || (present[hop] & HAS_HOP_LATENCY) === 0)
      return 0;
    present[hop] &= ~(HAS_HOP_LATENCY | HAS_INGRESS_TIMESTAMP);
    return Warning.latencyIsTime;
  }

  /**
   * The reporter's own hop: the newest stack entry when that names the reporter, which the header then completes; else the header, unless a
   * stack is all that there is to tell.
   */
  function readOwnHop(b: DataView, start: number, metadataBits: number, row: number, profile: SourceProfile): void {
    let hop = batch.length - 1;
    if (stack.hops === 0 || !stack.hasNodeIds || stack.newestNodeId !== outcome.nodeId) {
      if (stack.hops > 0 && metadataBits === 0) return;
      hop = batch.length++;
      reportOf[hop] = row;
      origin[hop] = ORIGIN_REPORT;
      nodeId[hop] = outcome.nodeId;
      present[hop] = HAS_NODE_ID;
    }
    if ((present[hop] & HAS_INGRESS_TIMESTAMP) === 0) {
      writeScaled64(ingressTimestampWords, hop, 0, b.getUint32(start + 12), profile.timestampUnitNs);
      present[hop] |= HAS_INGRESS_TIMESTAMP;
    }
    // Length was checked against these bits: all of it is there.
    let o = start + FIXED_BYTES;
    const end = o + popcount16(metadataBits) * 4;
    o = readBaseline(b, o, end, (metadataBits & METADATA_FIRST) << 9, hop, profile, IntLayout.v10);
    o = readBaseline(b, o, end, (metadataBits & METADATA_EGRESS) << 8, hop, profile, IntLayout.v10);
    if ((metadataBits & METADATA_DROP) !== 0) {
      readDropReason(b, o, hop);
      o += 4;
    }
    readBaseline(b, o, end, (metadataBits & METADATA_UTILIZATION) << 8, hop, profile, IntLayout.v10);
  }

  return decodeReportV10;
}
