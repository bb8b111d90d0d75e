// INT-MD v2.1: shim header, 12-octet metadata header and the stack of hops, found inside the packet of a report.
// Layout: INT v2.1 sections 5.5.1 (shim), 5.8 (metadata header), 5.7 (instruction bits).
// Rule: guard before belief. DSCP 0x17 alone does not prove INT, so nothing is counted as a fault until the shim's type agrees.

import { Present, type HopBatch } from '../hop.ts';
import { popcount16, u16, u24, u32, writeScaled64 } from './bytes.ts';
import type { SourceProfile } from './profile.ts';
import { MAX_LISTED_HOPS } from './outcome.ts';
import { Warning } from './reason.ts';

/** NPT of the shim: what its 16-bit field holds. 3 is not defined. */
export const NextProtocolType = { originalDscp: 0, originalPort: 1, originalProtocol: 2 } as const;

/** What the last stack contained; reused for every report. */
export class IntStack {
  /** True when there was INT at all: what it overwrote can be restored, even if its stack is at fault. */
  isInt = false;
  hops = 0;
  /** Node id of the newest hop; `hasNodeIds` tells whether the bitmap asked for node ids at all. */
  newestNodeId = 0;
  hasNodeIds = false;
  warnings = 0;
  nextProtocolType = 0;
  originalDscp = 0;
  originalPort = 0;
  originalProtocol = 0;

  reset(): void {
    this.isInt = false;
    this.hops = 0;
    this.hasNodeIds = false;
    this.warnings = 0;
  }
}

const SHIM_TYPE_MD = 1;
const SHIM_BYTES = 4;
const METADATA_HEADER_BYTES = 12;

/** Octets of baseline metadata for a v2.x bitmap; bits 4, 5, 6 are eight octets wide, the checksum complement included. */
export function baselineBytes(bitmap: number): number {
  return 4 * (popcount16(bitmap) + popcount16(bitmap & 0x0e00));
}

/**
 * Reads shim, header and stack at [o, end) and appends one hop per stack entry to `batch`, oldest first.
 * Returns the offset behind the stack, or 0 when there is no usable INT-MD here (`stack.warnings` then says why, if it was INT).
 * A cut stack keeps its newest entries; entries that the length promises but the fragment lacks are appended with nothing present.
 */
export function decodeIntMd(
  b: Uint8Array,
  o: number,
  end: number,
  batch: HopBatch,
  report: number,
  profile: SourceProfile,
  stack: IntStack,
): number {
  stack.reset();
  if (end - o < SHIM_BYTES) return 0;
  const nextProtocolType = (b[o] >>> 2) & 3;
  if (b[o] >>> 4 !== SHIM_TYPE_MD || nextProtocolType > NextProtocolType.originalProtocol) return 0;
  if (end - o < SHIM_BYTES + METADATA_HEADER_BYTES) {
    stack.warnings = Warning.intShort;
    return 0;
  }
  const word = u32(b, o + 4);
  if (word >>> 28 !== 2) {
    stack.warnings = Warning.intVersion;
    return 0;
  }
  stack.isInt = true;
  stack.nextProtocolType = nextProtocolType;
  // Octet 3 by the specification. laofan13/P4-INT writes octet 2, which is reserved: a value only there can be nothing else.
  stack.originalDscp = (b[o + 3] === 0 ? b[o + 2] : b[o + 3]) >>> 2;
  stack.originalPort = u16(b, o + 2);
  stack.originalProtocol = b[o + 3];
  const stackBytes = b[o + 1] * 4 - METADATA_HEADER_BYTES;
  if (stackBytes < 0) {
    stack.warnings = Warning.intLength;
    return 0;
  }
  const bitmap = u16(b, o + 8);
  const domainInstruction = u16(b, o + 12);
  const hopBytes = ((word >>> 8) & 0x1f) * 4;
  if (hopBytes < baselineBytes(bitmap) || (hopBytes === 0 && stackBytes !== 0) || bitmap === 0) {
    stack.warnings = Warning.hopMl;
    return 0;
  }
  if (stackBytes % hopBytes !== 0) {
    if (domainInstruction === 0) {
      stack.warnings = Warning.intStackRemainder;
      return 0;
    }
    // Source-only metadata of a domain that is not known: its size is not on the wire, so the split cannot be trusted.
    stack.warnings = Warning.domainUnknown;
    return 0;
  }

  const first = o + SHIM_BYTES + METADATA_HEADER_BYTES;
  const hops = stackBytes / hopBytes;
  if (domainInstruction !== 0) stack.warnings |= Warning.domainUnknown;
  if (first + stackBytes > end) stack.warnings |= Warning.intTruncated;
  stack.hasNodeIds = (bitmap & 0x8000) !== 0 && first + 4 <= end;
  stack.newestNodeId = stack.hasNodeIds && hops > 0 ? u32(b, first) : 0;
  // Entries that were cut off cost no octets: only so many are listed, or a small datagram would fill the batch with nothing.
  const isListed = batch.length + hops <= MAX_LISTED_HOPS;
  const listed = isListed ? hops : Math.min(hops, Math.ceil(Math.max(0, end - first) / hopBytes));
  stack.hops = listed;
  for (let hop = listed - 1; hop >= 0; hop--) {
    appendEntry(b, first + hop * hopBytes, end, bitmap, batch, report, profile);
  }
  return first + stackBytes;
}

/** Appends one stack entry; words behind `end` stay absent. */
function appendEntry(
  b: Uint8Array,
  o: number,
  end: number,
  bitmap: number,
  batch: HopBatch,
  report: number,
  profile: SourceProfile,
): void {
  const row = batch.length++;
  batch.report[row] = report;
  batch.present[row] = 0;
  if ((bitmap & 0x8000) !== 0) {
    if (o + 4 > end) return;
    const nodeId = u32(b, o);
    if (nodeId !== 0xffffffff) {
      batch.nodeId[row] = nodeId;
      batch.present[row] |= Present.nodeId;
    }
    o += 4;
  }
  readBaseline(b, o, end, bitmap, batch, row, profile);
}

/**
 * Reads baseline metadata bits 1 to 8 at [o, end) into hop `row`; the same layout serves INT-MD v2.1 stacks and the
 * RepMdBits of Telemetry Report v2.0. All ones in a whole unit means "not available" (INT v2.1 section 5.8) and stays absent; what the
 * row has already stays as it is.
 */
export function readBaseline(
  b: Uint8Array,
  o: number,
  end: number,
  bitmap: number,
  batch: HopBatch,
  row: number,
  profile: SourceProfile,
): number {
  const absent = ~batch.present[row];
  if ((bitmap & 0x4000) !== 0) {
    if (o + 4 > end) return o;
    readInterfacePair(b, o, batch, row);
    o += 4;
  }
  if ((bitmap & 0x2000) !== 0) {
    if (o + 4 > end) return o;
    const latency = u32(b, o);
    if (latency !== 0xffffffff && (absent & Present.hopLatency) !== 0) {
      batch.hopLatencyNs[row] = latency * profile.timestampUnitNs;
      batch.present[row] |= Present.hopLatency;
    }
    o += 4;
  }
  if ((bitmap & 0x1000) !== 0) {
    if (o + 4 > end) return o;
    if (u32(b, o) !== 0xffffffff && (absent & Present.queueOccupancy) !== 0) {
      batch.queueId[row] = b[o];
      batch.queueOccupancy[row] = u24(b, o + 1);
      batch.present[row] |= Present.queueId | Present.queueOccupancy;
    }
    o += 4;
  }
  if ((bitmap & 0x0800) !== 0) {
    if (o + 8 > end) return o;
    const high = u32(b, o);
    const low = u32(b, o + 4);
    if ((high !== 0xffffffff || low !== 0xffffffff) && (absent & Present.ingressTimestamp) !== 0) {
      writeScaled64(batch.ingressTimestampWords, row, high, low, profile.timestampUnitNs);
      batch.present[row] |= Present.ingressTimestamp;
    }
    o += 8;
  }
  if ((bitmap & 0x0400) !== 0) {
    if (o + 8 > end) return o;
    const high = u32(b, o);
    const low = u32(b, o + 4);
    if ((high !== 0xffffffff || low !== 0xffffffff) && (absent & Present.egressTimestamp) !== 0) {
      writeScaled64(batch.egressTimestampWords, row, high, low, profile.timestampUnitNs);
      batch.present[row] |= Present.egressTimestamp;
    }
    o += 8;
  }
  if ((bitmap & 0x0200) !== 0) {
    if (o + 8 > end) return o;
    const ingress = u32(b, o);
    const egress = u32(b, o + 4);
    if (ingress !== 0xffffffff && (absent & Present.level2IngressInterfaceId) !== 0) {
      batch.level2IngressInterfaceId[row] = ingress;
      batch.present[row] |= Present.level2IngressInterfaceId;
    }
    if (egress !== 0xffffffff && (absent & Present.level2EgressInterfaceId) !== 0) {
      batch.level2EgressInterfaceId[row] = egress;
      batch.present[row] |= Present.level2EgressInterfaceId;
    }
    o += 8;
  }
  if ((bitmap & 0x0100) !== 0) {
    if (o + 4 > end) return o;
    const utilization = u32(b, o);
    if (utilization !== 0xffffffff && (absent & Present.egressInterfaceTxUtilization) !== 0) {
      batch.egressInterfaceTxUtilization[row] = utilization;
      batch.present[row] |= Present.egressInterfaceTxUtilization;
    }
    o += 4;
  }
  if ((bitmap & 0x0080) !== 0) {
    if (o + 4 > end) return o;
    if (u32(b, o) !== 0xffffffff && (absent & Present.buffer) !== 0) {
      batch.bufferId[row] = b[o];
      batch.bufferOccupancy[row] = u24(b, o + 1);
      batch.present[row] |= Present.buffer;
    }
    o += 4;
  }
  return o;
}

/** A pair of 16-bit interfaces; all ones in one half means that half is not available. */
function readInterfacePair(b: Uint8Array, o: number, batch: HopBatch, row: number): void {
  const absent = ~batch.present[row];
  const ingress = u16(b, o);
  const egress = u16(b, o + 2);
  if (ingress !== 0xffff && (absent & Present.ingressInterfaceId) !== 0) {
    batch.ingressInterfaceId[row] = ingress;
    batch.present[row] |= Present.ingressInterfaceId;
  }
  if (egress !== 0xffff && (absent & Present.egressInterfaceId) !== 0) {
    batch.egressInterfaceId[row] = egress;
    batch.present[row] |= Present.egressInterfaceId;
  }
}
