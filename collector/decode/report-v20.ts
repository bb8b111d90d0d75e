// Telemetry Report v2.0: a group header and any number of individual reports, with INT-XD metadata or an INT-MD stack.
// Layout: specification v2.0 sections 3.1 (group), 3.2 (individual report), 3.3 (INT main contents).
// Rule: no report of a datagram is believed before the whole chain of Report Lengths was walked; one wrong length would invent reports.

import { HopOrigin, Present, ReportFlag, type HopBatch } from '../hop.ts';
import { InnerType, looksLikeEthernet } from './cursor.ts';
import type { DecodeInnerPacket } from './inner-packet.ts';
import { baselineBytes, type Metadata } from './baseline.ts';
import { IntLayout, type InbandStack } from './inband-stack.ts';
import type { DatagramOutcome, DialectDecoder } from './outcome.ts';
import type { SourceProfile } from './profile.ts';
import { Refusal, Warning } from './reason.ts';
import type { Rows } from './report-row.ts';

// Bound here, because an imported binding is loaded and checked at each use.
const { report: ORIGIN_REPORT } = HopOrigin;
const { nodeId: HAS_NODE_ID } = Present;
const { trackedFlow: FLAG_TRACKED_FLOW } = ReportFlag;
const {
  domainSpecific: INNER_DOMAIN_SPECIFIC,
  ethernet: INNER_ETHERNET,
  ipv4: INNER_IPV4,
  ipv6: INNER_IPV6,
  none: INNER_NONE,
  tlv: INNER_TLV,
} = InnerType;

const LAYOUT_V21 = IntLayout.v21;

const GROUP_BYTES = 8;
/** A fragment is filled to whole words. */
const MAX_FILL_BYTES = 3;
const MAIN_CONTENTS_BYTES = 8;
/** RepMdBits 0 and 9 to 14. */
const RESERVED_BITS = 0x807e;
const ReportType = { innerOnly: 0, int: 1 } as const;
/** Report Length that means "255 words or more, to the end of the payload" (section 3.2). */
const TO_THE_END = 0xff;

/** The decoder over a batch: a datagram [start, end) whose lengths contradict each other appends nothing. */
export function reportV20Over(
  batch: HopBatch,
  outcome: DatagramOutcome,
  stack: InbandStack,
  { appendDatagram, appendReport }: Rows,
  { readBaseline, readDropReason }: Metadata,
  decodeInnerPacket: DecodeInnerPacket,
): DialectDecoder {
  const { report: reportOf, present, origin, nodeId } = batch;
  const { firstHop, hopCount, flowParts, warnings: warningsOf } = batch.reports;

  function decodeReportV20(b: DataView, start: number, end: number, profile: SourceProfile): void {
    if (end - start < GROUP_BYTES) return outcome.reject(Refusal.groupShort, 0);
    const word = b.getUint32(start);
    outcome.sequenceBits = 22;
    outcome.hardwareId = (word >>> 22) & 0x3f;
    outcome.sequenceNumber = word & 0x3fffff;
    outcome.nodeId = b.getUint32(start + 4);
    outcome.hasHeader = true;

    appendDatagram(2, profile, 0);
    const reports = batch.reports.length;
    let o = start + GROUP_BYTES;
    let index = 0;
    // A report is only believed when the lengths of all agree: the caller takes everything back when one does not.
    for (; end - o >= 4; index++) {
      const head = b.getUint32(o);
      const isInt = head >>> 28 === ReportType.int;
      const words = (head >>> 16) & 0xff;
      // BMv2 programs (laofan13/P4-INT) send Report Length 0; an INT report cannot be shorter than two words, so it is certain. Only the
      // first report of a datagram: behind a good one, a 0 is a fault.
      const hasNoLength = words === 0 && isInt && index === 0 && !profile.strict;
      const next = words === TO_THE_END || hasNoLength ? end : o + 4 + words * 4;
      if (next > end) return outcome.reject(Refusal.reportOverrun, o - start);
      // With Report Length 0, MD Length still counts.
      if (isInt && next - o - 4 < MAIN_CONTENTS_BYTES + ((head >>> 8) & 0xff) * 4) {
        return outcome.reject(Refusal.reportLength, o - start);
      }
      const refusal = decodeIndividualReport(b, o, next, head, index, profile);
      if (refusal !== 0) outcome.refuseReport(index, refusal, o - start);
      o = next;
    }
    if (index === 0) return outcome.reject(Refusal.noReport, GROUP_BYTES);
    outcome.framedReports = index;
    if (o < end && batch.reports.length > reports) warningsOf[batch.reports.length - 1] |= Warning.trailing;
  }

  /** Takes the report at [o, end), whose first word is `head`. */
  function decodeIndividualReport(
    b: DataView,
    o: number,
    end: number,
    head: number,
    index: number,
    profile: SourceProfile,
  ): number {
    const reportType = head >>> 28;
    if (reportType > ReportType.int) return Refusal.reportType;
    const isInt = reportType === ReportType.int;
    const metadataBytes = isInt ? ((head >>> 8) & 0xff) * 4 : 0;
    const domainBits = isInt ? b.getUint16(o + 8) : 0;
    let metadataBits = isInt ? b.getUint16(o + 4) : 0;
    let neededBytes = baselineBytes(metadataBits, LAYOUT_V21);
    if (neededBytes > metadataBytes) {
      // The width of reserved bits is not specified: they take four octets where MD Length has room for that, and none elsewhere.
      metadataBits &= ~RESERVED_BITS;
      neededBytes = baselineBytes(metadataBits, LAYOUT_V21);
      if (neededBytes > metadataBytes) return Refusal.metadataShort;
    }

    let warnings = 0;
    const words = (head >>> 16) & 0xff;
    if (words === 0 && isInt) warnings |= Warning.reportLengthZero;
    if (words === TO_THE_END && end - o - 4 < TO_THE_END * 4) warnings |= Warning.reportLength255Short;
    if (neededBytes < metadataBytes) warnings |= domainBits === 0 ? Warning.metadataExtra : Warning.domainUnknown;
    else if (domainBits !== 0) warnings |= Warning.domainMetadataMissing;

    const flags = (head >>> 4) & 0x0f;
    const metadata = o + 4 + MAIN_CONTENTS_BYTES;
    const inner = isInt ? metadata + metadataBytes : o + 4;
    const innerType = (head >>> 24) & 0x0f;
    if (metadataBytes > 0 && isPacketFirst(b, metadata, inner, end, innerType)) return Refusal.metadataMisplaced;
    const row = appendReport(index, flags);
    const lookForInt = (flags & FLAG_TRACKED_FLOW) !== 0 || !isInt;
    stack.begin(MAX_FILL_BYTES);
    warnings |= decodeInnerContents(b, inner, end, innerType, row, profile, lookForInt);

    readOwnHop(b, metadata, metadata + metadataBytes, metadataBits, isInt, row, profile);
    hopCount[row] = batch.length - firstHop[row];
    warningsOf[row] = warnings;
    return 0;
  }

  /**
   * The reporter's own hop: the newest stack entry when that names the reporter, which the main contents then complete; else the main
   * contents; else (an inner-only report, or no metadata beside a stack) nowhere.
   */
  function readOwnHop(
    b: DataView,
    o: number,
    end: number,
    bits: number,
    isInt: boolean,
    row: number,
    profile: SourceProfile,
  ): void {
    const newest = batch.length - 1;
    if (stack.hops > 0 && stack.hasNodeIds && stack.newestNodeId === outcome.nodeId) {
      if (o < end) readMainMetadata(b, o, end, bits, newest, profile);
      return;
    }
    if (!isInt || (stack.hops > 0 && o === end)) return;
    const hop = batch.length++;
    reportOf[hop] = row;
    origin[hop] = ORIGIN_REPORT;
    nodeId[hop] = outcome.nodeId;
    present[hop] = HAS_NODE_ID;
    readMainMetadata(b, o, end, bits, hop, profile);
  }

  /** Baseline metadata of RepMdBits: as in an INT stack, but bit 15 is queue id and drop reason (section 3.3). */
  function readMainMetadata(b: DataView, o: number, end: number, bits: number, hop: number, profile: SourceProfile): void {
    // Bit 0 is reserved here; an exporter that sets it sends its node id first.
    let next = readBaseline(b, (bits & 0x8000) !== 0 ? o + 4 : o, end, bits, hop, profile, LAYOUT_V21);
    for (let bit = 0x0040; bit > 0x0001; bit >>>= 1) if ((bits & bit) !== 0) next += 4;
    if ((bits & 0x0001) !== 0 && next + 4 <= end) readDropReason(b, next, hop);
  }

  function decodeInnerContents(
    b: DataView,
    o: number,
    end: number,
    innerType: number,
    row: number,
    profile: SourceProfile,
    lookForInt: boolean,
  ): number {
    if (innerType === INNER_NONE) return o < end ? Warning.innerWithInnerType0 : 0;
    if (innerType === INNER_TLV) return decodeTlvs(b, o, end, row, profile, lookForInt);
    if (innerType === INNER_DOMAIN_SPECIFIC) return Warning.domainUnknown;
    if (innerType > INNER_IPV6) return Warning.innerTypeReserved;
    const actualType = actualInnerType(b, o, end, innerType);
    const warnings = actualType === innerType ? 0 : Warning.innerTypeMismatch;
    return warnings | decodeInnerPacket(b, o, end, actualType, row, profile, lookForInt);
  }

  /** InType 1 (section 3.4): TLV types 1, 2, 3 are packets (Ethernet, IPv4, IPv6); others are skipped by their length. */
  function decodeTlvs(b: DataView, o: number, end: number, row: number, profile: SourceProfile, lookForInt: boolean): number {
    let warnings = 0;
    while (end - o >= 4) {
      const next = o + 4 + b.getUint8(o + 1) * 4;
      if (next > end) return warnings | Warning.tlvOverrun;
      const type = b.getUint8(o) >>> 4;
      if (type >= 1 && type <= 3 && flowParts[row] === 0) {
        warnings |= decodeInnerPacket(b, o + 4, next, type + 2, row, profile, lookForInt);
      } else if (type === 0) warnings |= Warning.domainUnknown;
      o = next;
    }
    return warnings;
  }

  return decodeReportV20;
}

/**
 * True when the packet that InType announces begins where the metadata should be, and none begins where it should: a program that puts its
 * metadata behind the inner headers (an INT-MX one does). Addresses read as latencies would be hops that nobody made.
 */
function isPacketFirst(b: DataView, metadata: number, inner: number, end: number, innerType: number): boolean {
  if (innerType !== INNER_IPV4 && innerType !== INNER_IPV6) return false;
  const version = innerType === INNER_IPV4 ? 4 : 6;
  if (b.getUint8(metadata) >>> 4 !== version) return false;
  return inner >= end || actualInnerType(b, inner, end, innerType) === INNER_NONE;
}

/**
 * What the inner contents really begin with. Some programs announce IPv4 or IPv6 and send Ethernet, or the other version: the version
 * nibble is then wrong, and what is there instead shows itself. INNER_NONE: neither.
 */
function actualInnerType(b: DataView, o: number, end: number, innerType: number): number {
  if (innerType === INNER_ETHERNET || o >= end) return innerType;
  const version = b.getUint8(o) >>> 4;
  if (version === (innerType === INNER_IPV4 ? 4 : 6)) return innerType;
  if (looksLikeEthernet(b, o, end)) return INNER_ETHERNET;
  return version === 4 ? INNER_IPV4 : version === 6 ? INNER_IPV6 : INNER_NONE;
}
