// Telemetry Report v2.0: a group header and any number of individual reports, with INT-XD metadata or an INT-MD stack.
// Layout: specification v2.0 sections 3.1 (group), 3.2 (individual report), 3.3 (INT main contents).
// Rule: the whole chain of Report Lengths is walked before any report is believed; one wrong length would invent reports.

import { Present, ReportFlag, type HopBatch } from '../hop.ts';
import { u16, u32 } from './bytes.ts';
import { decodeInnerPacket, InnerType, looksLikeEthernet } from './inner-packet.ts';
import { baselineBytes, readBaseline, type IntStack } from './int-md.ts';
import type { DatagramOutcome } from './outcome.ts';
import type { SourceProfile } from './profile.ts';
import { Refusal, Warning } from './reason.ts';
import { appendReport } from './report-row.ts';

const GROUP_BYTES = 8;
const MAIN_CONTENTS_BYTES = 8;
/** RepMdBits 0 and 9 to 14. */
const RESERVED_BITS = 0x807e;
const ReportType = { innerOnly: 0, int: 1 } as const;
/** Report Length that means "255 words or more, to the end of the payload" (section 3.2). */
const TO_THE_END = 0xff;

/** Decodes the datagram [start, end) of `b` into `batch`. A datagram whose lengths contradict each other appends nothing. */
export function decodeReportV20(
  b: Uint8Array,
  start: number,
  end: number,
  profile: SourceProfile,
  batch: HopBatch,
  outcome: DatagramOutcome,
  stack: IntStack,
): void {
  if (end - start < GROUP_BYTES) return outcome.reject(Refusal.groupShort, 0);
  const word = u32(b, start);
  outcome.sequenceBits = 22;
  outcome.hardwareId = (word >>> 22) & 0x3f;
  outcome.sequenceNumber = word & 0x3fffff;
  outcome.nodeId = u32(b, start + 4);
  outcome.hasHeader = true;

  let o = start + GROUP_BYTES;
  let framed = 0;
  while (end - o >= 4) {
    const next = reportEnd(b, o, end, framed === 0 && !profile.strict);
    if (next > end) return outcome.reject(Refusal.reportOverrun, o - start);
    if (b[o] >>> 4 === ReportType.int && next - o - 4 < mainContentsBytes(b, o)) {
      return outcome.reject(Refusal.reportLength, o - start);
    }
    framed++;
    o = next;
  }
  if (framed === 0) return outcome.reject(Refusal.noReport, GROUP_BYTES);
  outcome.framedReports = framed;
  const trailing = o < end;
  const reports = batch.reports.length;

  o = start + GROUP_BYTES;
  for (let index = 0; index < framed; index++) {
    const next = reportEnd(b, o, end, index === 0 && !profile.strict);
    const refusal = decodeIndividualReport(b, o, next, index, profile, batch, outcome, stack);
    if (refusal !== 0) outcome.refuseReport(index, refusal, o - start);
    o = next;
  }
  if (trailing && batch.reports.length > reports) batch.reports.warnings[batch.reports.length - 1] |= Warning.trailing;
}

/** Octets of fixed main contents and metadata of an INT report; with Report Length 0, MD Length still counts. */
function mainContentsBytes(b: Uint8Array, o: number): number {
  return MAIN_CONTENTS_BYTES + b[o + 2] * 4;
}

/** Where the report at `o` ends: by its length, or the end of the datagram for 0xff and for a 0 that `mayLackLength` tolerates. */
function reportEnd(b: Uint8Array, o: number, end: number, mayLackLength: boolean): number {
  const words = b[o + 1];
  if (words === TO_THE_END) return end;
  // BMv2 programs (laofan13/P4-INT) send Report Length 0; an INT report cannot be shorter than two words, so it is certain. Only the
  // first report of a datagram: behind a good one, a 0 is a fault.
  if (words === 0 && b[o] >>> 4 === ReportType.int && mayLackLength) return end;
  return o + 4 + words * 4;
}

function decodeIndividualReport(
  b: Uint8Array,
  o: number,
  end: number,
  index: number,
  profile: SourceProfile,
  batch: HopBatch,
  outcome: DatagramOutcome,
  stack: IntStack,
): number {
  const reportType = b[o] >>> 4;
  if (reportType > ReportType.int) return Refusal.reportType;
  const innerType = b[o] & 0x0f;
  const isInt = reportType === ReportType.int;
  const metadataBytes = isInt ? b[o + 2] * 4 : 0;
  const domainBits = isInt ? u16(b, o + 8) : 0;
  let metadataBits = isInt ? u16(b, o + 4) : 0;
  // The width of reserved bits is not specified: they take four octets where MD Length has room for that, and none elsewhere.
  if (baselineBytes(metadataBits) > metadataBytes) metadataBits &= ~RESERVED_BITS;
  const neededBytes = baselineBytes(metadataBits);
  if (neededBytes > metadataBytes) return Refusal.metadataShort;

  let warnings = 0;
  if (b[o + 1] === 0 && isInt) warnings |= Warning.reportLengthZero;
  if (b[o + 1] === TO_THE_END && end - o - 4 < 255 * 4) warnings |= Warning.reportLength255Short;
  if (neededBytes < metadataBytes) warnings |= domainBits === 0 ? Warning.metadataExtra : Warning.domainUnknown;
  else if (domainBits !== 0) warnings |= Warning.domainMetadataMissing;

  const flags = b[o + 3] >>> 4;
  const row = appendReport(batch, 2, index, flags, outcome, profile, 0);
  const r = batch.reports;
  const metadata = o + 4 + MAIN_CONTENTS_BYTES;
  const inner = isInt ? metadata + metadataBytes : o + 4;
  const lookForInt = (flags & ReportFlag.trackedFlow) !== 0 || !isInt;
  stack.reset();
  warnings |= decodeInnerContents(b, inner, end, innerType, batch, row, profile, lookForInt, stack);

  readOwnHop(b, metadata, metadata + metadataBytes, metadataBits, isInt, batch, row, profile, outcome.nodeId, stack);
  r.hopCount[row] = batch.length - r.firstHop[row];
  r.warnings[row] = warnings;
  return 0;
}

/**
 * The reporter's own hop: the newest stack entry when that names the reporter, which the main contents then complete; else the main
 * contents; else (an inner-only report, or no metadata beside a stack) nowhere.
 */
function readOwnHop(
  b: Uint8Array,
  o: number,
  end: number,
  bits: number,
  isInt: boolean,
  batch: HopBatch,
  row: number,
  profile: SourceProfile,
  nodeId: number,
  stack: IntStack,
): void {
  const newest = batch.length - 1;
  if (stack.hops > 0 && stack.hasNodeIds && stack.newestNodeId === nodeId) {
    if (o < end) readMainMetadata(b, o, end, bits, batch, newest, profile);
    return;
  }
  if (!isInt || (stack.hops > 0 && o === end)) return;
  const hop = batch.length++;
  batch.report[hop] = row;
  batch.nodeId[hop] = nodeId;
  batch.present[hop] = Present.nodeId;
  readMainMetadata(b, o, end, bits, batch, hop, profile);
}

/** Baseline metadata of RepMdBits: as in an INT stack, but bit 15 is queue id and drop reason (section 3.3). */
function readMainMetadata(
  b: Uint8Array,
  o: number,
  end: number,
  bits: number,
  batch: HopBatch,
  hop: number,
  profile: SourceProfile,
): void {
  // Bit 0 is reserved here; an exporter that sets it sends its node id first.
  let next = readBaseline(b, (bits & 0x8000) !== 0 ? o + 4 : o, end, bits, batch, hop, profile);
  for (let bit = 0x0040; bit > 0x0001; bit >>>= 1) if ((bits & bit) !== 0) next += 4;
  if ((bits & 0x0001) === 0 || next + 4 > end || u32(b, next) === 0xffffffff) return;
  if ((batch.present[hop] & Present.queueId) === 0) batch.queueId[hop] = b[next];
  batch.dropReason[hop] = b[next + 1];
  batch.present[hop] |= Present.queueId | Present.dropReason;
}

function decodeInnerContents(
  b: Uint8Array,
  o: number,
  end: number,
  innerType: number,
  batch: HopBatch,
  row: number,
  profile: SourceProfile,
  lookForInt: boolean,
  stack: IntStack,
): number {
  if (innerType === InnerType.none) return o < end ? Warning.innerWithInnerType0 : 0;
  if (innerType === InnerType.tlv) return decodeTlvs(b, o, end, batch, row, profile, lookForInt, stack);
  if (innerType === InnerType.domainSpecific) return Warning.domainUnknown;
  if (innerType > InnerType.ipv6) return Warning.innerTypeReserved;
  const actualType = actualInnerType(b, o, end, innerType);
  const warnings = actualType === innerType ? 0 : Warning.innerTypeMismatch;
  return warnings | decodeInnerPacket(b, o, end, actualType, batch, row, profile, lookForInt, stack);
}

/**
 * What the inner contents really begin with. Some programs announce IPv4 or IPv6 and send Ethernet, or the other version: the version
 * nibble is then wrong, and what is there instead shows itself. InnerType.none: neither.
 */
function actualInnerType(b: Uint8Array, o: number, end: number, innerType: number): number {
  if (innerType === InnerType.ethernet || o >= end) return innerType;
  const version = b[o] >>> 4;
  if (version === (innerType === InnerType.ipv4 ? 4 : 6)) return innerType;
  if (looksLikeEthernet(b, o, end)) return InnerType.ethernet;
  return version === 4 ? InnerType.ipv4 : version === 6 ? InnerType.ipv6 : InnerType.none;
}

/** InType 1 (section 3.4): TLV types 1, 2, 3 are packets (Ethernet, IPv4, IPv6); others are skipped by their length. */
function decodeTlvs(
  b: Uint8Array,
  o: number,
  end: number,
  batch: HopBatch,
  row: number,
  profile: SourceProfile,
  lookForInt: boolean,
  stack: IntStack,
): number {
  let warnings = 0;
  while (end - o >= 4) {
    const next = o + 4 + b[o + 1] * 4;
    if (next > end) return warnings | Warning.tlvOverrun;
    const type = b[o] >>> 4;
    if (type >= 1 && type <= 3 && batch.reports.flowParts[row] === 0) {
      warnings |= decodeInnerPacket(b, o + 4, next, type + 2, batch, row, profile, lookForInt, stack);
    } else if (type === 0) warnings |= Warning.domainUnknown;
    o = next;
  }
  return warnings;
}
