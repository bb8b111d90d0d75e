// INT-MD v2.1 and v1.0: shim header, metadata header and the stack of hops, found inside the packet of a report; and the header of INT-MX, which
// has no stack.
// Layout: INT v2.1 sections 5.5.1 (shim), 5.8 (metadata header), 5.7 (instruction bits); INT v1.0 sections 4.5 to 4.7. The two shims cannot be
// confused: the type fills the first octet in v1.0, and half of it in v2.1.
// Rule: guard before belief. DSCP 0x17 alone does not prove INT, so nothing is counted as a fault until the shim's type agrees.

import { Present, type HopBatch } from '../hop.ts';
import { popcount16, writeScaled64 } from './bytes.ts';
import type { SourceProfile } from './profile.ts';
import { MAX_LISTED_HOPS } from './outcome.ts';
import { Warning } from './reason.ts';

// Bound here, because an imported binding is loaded and checked at each use.
const {
  buffer: HAS_BUFFER,
  egressInterfaceId: HAS_EGRESS_INTERFACE_ID,
  egressInterfaceTxUtilization: HAS_EGRESS_INTERFACE_TX_UTILIZATION,
  egressTimestamp: HAS_EGRESS_TIMESTAMP,
  hopLatency: HAS_HOP_LATENCY,
  ingressInterfaceId: HAS_INGRESS_INTERFACE_ID,
  ingressTimestamp: HAS_INGRESS_TIMESTAMP,
  level2EgressInterfaceId: HAS_LEVEL2_EGRESS_INTERFACE_ID,
  level2IngressInterfaceId: HAS_LEVEL2_INGRESS_INTERFACE_ID,
  nodeId: HAS_NODE_ID,
  queueId: HAS_QUEUE_ID,
  queueOccupancy: HAS_QUEUE_OCCUPANCY,
} = Present;

/** Widths of the metadata: v2.1 has timestamps and level-2 interfaces of 8 octets, v1.0 timestamps of 4, GEANT level-2 interfaces of 4. */
export const IntLayout = { v21: 0, v10: 1, geant: 2 } as const;
const { v21: LAYOUT_V21, v10: LAYOUT_V10, geant: LAYOUT_GEANT } = IntLayout;

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
  /** See IntLayout. */
  layout: number = LAYOUT_V21;
  warnings = 0;
  nextProtocolType = 0;
  originalDscp = 0;
  originalPort = 0;
  originalProtocol = 0;

  reset(): void {
    this.isInt = false;
    this.hops = 0;
    this.hasNodeIds = false;
    this.layout = LAYOUT_V21;
    this.warnings = 0;
  }
}

const SHIM_TYPE_MD = 1;
const SHIM_TYPE_MX = 3;
const SHIM_BYTES = 4;
const METADATA_HEADER_BYTES = 12;
/** Shim and metadata header of v1.0; the Length of its shim counts both. */
const V10_HEAD_BYTES = 12;

/** Octets of baseline metadata for a v2.x bitmap; bits 4, 5, 6 are eight octets wide, the checksum complement included. */
export function baselineBytes(bitmap: number): number {
  return 4 * (popcount16(bitmap) + popcount16(bitmap & 0x0e00));
}

/** Octets of an entry for a v1.0 bitmap: level-2 interfaces are eight octets wide. */
function baselineBytesV10(bitmap: number): number {
  return 4 * (popcount16(bitmap) + popcount16(bitmap & 0x0200));
}

/** As GEANT's programs have it: timestamps are eight octets wide, level-2 interfaces four. */
function baselineBytesGeant(bitmap: number): number {
  return 4 * (popcount16(bitmap) + popcount16(bitmap & 0x0c00));
}

/**
 * Reads shim, header and stack at [o, end) and appends one hop per stack entry, oldest first; describes them in the stack.
 * Returns the offset behind the stack, or 0 when there is no usable INT-MD here (`warnings` of the stack then says why, if it was INT).
 * A cut stack keeps its newest entries; entries that the length promises but the fragment lacks are appended with nothing present.
 */
export type DecodeIntMd = (b: DataView, o: number, end: number, report: number, profile: SourceProfile) => number;
/**
 * Reads baseline metadata bits 1 to 8 at [o, end) into hop `row`; the same layout serves INT-MD v2.1 stacks and the
 * RepMdBits of Telemetry Report v2.0. All ones in a whole unit means "not available" (INT v2.1 section 5.8) and stays absent; what the
 * row has already stays as it is.
 */
export type ReadBaseline = (
  b: DataView,
  o: number,
  end: number,
  bitmap: number,
  row: number,
  profile: SourceProfile,
  layout: number,
) => number;

/** The readers over a batch, and over the stack that they describe what they found in. */
export function intMdOver(batch: HopBatch, stack: IntStack): { decodeIntMd: DecodeIntMd; readBaseline: ReadBaseline } {
  const { report: reportOf, present, nodeId, ingressInterfaceId, egressInterfaceId, hopLatencyNs, queueId } = batch;
  const { queueOccupancy, ingressTimestampWords, egressTimestampWords, egressInterfaceTxUtilization } = batch;
  const { level2IngressInterfaceId, level2EgressInterfaceId, bufferId, bufferOccupancy } = batch;

  function decodeIntMd(b: DataView, o: number, end: number, report: number, profile: SourceProfile): number {
    stack.reset();
    if (end - o < SHIM_BYTES) return 0;
    if (b.getUint8(o) === SHIM_TYPE_MD) return decodeIntMdV10(b, o, end, report, profile);
    const nextProtocolType = (b.getUint8(o) >>> 2) & 3;
    const type = b.getUint8(o) >>> 4;
    if ((type !== SHIM_TYPE_MD && type !== SHIM_TYPE_MX) || nextProtocolType > NextProtocolType.originalProtocol) return 0;
    if (end - o < SHIM_BYTES + METADATA_HEADER_BYTES) {
      stack.warnings = Warning.intShort;
      return 0;
    }
    const word = b.getUint32(o + 4);
    if (word >>> 28 !== 2) {
      stack.warnings = Warning.intVersion;
      return 0;
    }
    stack.isInt = true;
    stack.nextProtocolType = nextProtocolType;
    // Octet 3 by the specification. laofan13/P4-INT writes octet 2, which is reserved: a value only there can be nothing else.
    stack.originalDscp = (b.getUint8(o + 3) === 0 ? b.getUint8(o + 2) : b.getUint8(o + 3)) >>> 2;
    stack.originalPort = b.getUint16(o + 2);
    stack.originalProtocol = b.getUint8(o + 3);
    const stackBytes = b.getUint8(o + 1) * 4 - METADATA_HEADER_BYTES;
    if (stackBytes < 0) {
      stack.warnings = Warning.intLength;
      return 0;
    }
    // INT-MX carries instructions only: its nodes report for themselves.
    if (type === SHIM_TYPE_MX) return o + SHIM_BYTES + METADATA_HEADER_BYTES + stackBytes;
    const bitmap = b.getUint16(o + 8);
    const domainInstruction = b.getUint16(o + 12);
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

    if (domainInstruction !== 0) stack.warnings |= Warning.domainUnknown;
    return readStack(b, o + SHIM_BYTES + METADATA_HEADER_BYTES, end, stackBytes, hopBytes, bitmap, report, profile);
  }

  /** v1.0: Length of the shim is its third octet and counts the shim, DSCP the upper six bits of its fourth. */
  function decodeIntMdV10(b: DataView, o: number, end: number, report: number, profile: SourceProfile): number {
    if (end - o < V10_HEAD_BYTES) {
      stack.warnings = Warning.intShort;
      return 0;
    }
    const word = b.getUint32(o + 4);
    const bitmap = b.getUint16(o + 8);
    const hopBytes = ((word >>> 8) & 0x1f) * 4;
    const version = word >>> 28;
    // ONOS says version 0 and means 1: in v0.5 the second octet holds the size of an entry, and is not 0.
    const isOnos = version === 0 && !profile.strict && (word & 0x00ff0000) === 0 && hopBytes === baselineBytesV10(bitmap);
    if (version !== 1 && !isOnos) {
      stack.warnings = Warning.intVersion;
      return 0;
    }
    stack.isInt = true;
    stack.nextProtocolType = NextProtocolType.originalDscp;
    stack.originalDscp = b.getUint8(o + 3) >>> 2;
    if (isOnos) stack.warnings |= Warning.versionNibble;
    const stackBytes = b.getUint8(o + 2) * 4 - V10_HEAD_BYTES;
    if (stackBytes < 0) {
      stack.warnings |= Warning.intLength;
      return 0;
    }
    const isGeant = !profile.strict && hopBytes !== baselineBytesV10(bitmap) && hopBytes === baselineBytesGeant(bitmap);
    stack.layout = isGeant ? LAYOUT_GEANT : LAYOUT_V10;
    if (isGeant) stack.warnings |= Warning.intWidths;
    if (bitmap === 0 || hopBytes < (isGeant ? baselineBytesGeant(bitmap) : baselineBytesV10(bitmap))) {
      stack.warnings |= Warning.hopMl;
      return 0;
    }
    if (stackBytes % hopBytes !== 0) {
      stack.warnings |= Warning.intStackRemainder;
      return 0;
    }
    return readStack(b, o + V10_HEAD_BYTES, end, stackBytes, hopBytes, bitmap, report, profile);
  }

  /** Appends the entries at [first, first + stackBytes), as many as there are; returns the offset behind them. */
  function readStack(
    b: DataView,
    first: number,
    end: number,
    stackBytes: number,
    hopBytes: number,
    bitmap: number,
    report: number,
    profile: SourceProfile,
  ): number {
    const hops = stackBytes / hopBytes;
    if (first + stackBytes > end) stack.warnings |= Warning.intTruncated;
    stack.hasNodeIds = (bitmap & 0x8000) !== 0 && first + 4 <= end;
    stack.newestNodeId = stack.hasNodeIds && hops > 0 ? b.getUint32(first) : 0;
    // Entries that were cut off cost no octets: only so many are listed, or a small datagram would fill the batch with nothing.
    const isListed = batch.length - batch.datagramFirstHop + hops <= MAX_LISTED_HOPS;
    const listed = isListed ? hops : Math.min(hops, Math.ceil(Math.max(0, end - first) / hopBytes));
    stack.hops = listed;
    for (let hop = listed - 1; hop >= 0; hop--) {
      appendEntry(b, first + hop * hopBytes, end, bitmap, report, profile);
    }
    return first + stackBytes;
  }

  /** Appends one stack entry; words behind `end` stay absent. */
  function appendEntry(b: DataView, o: number, end: number, bitmap: number, report: number, profile: SourceProfile): void {
    const row = batch.length++;
    reportOf[row] = report;
    present[row] = 0;
    if ((bitmap & 0x8000) !== 0) {
      if (o + 4 > end) return;
      const id = b.getUint32(o);
      if (id !== 0xffffffff) {
        nodeId[row] = id;
        present[row] |= HAS_NODE_ID;
      }
      o += 4;
    }
    readBaseline(b, o, end, bitmap, row, profile, stack.layout);
  }

  function readBaseline(
    b: DataView,
    o: number,
    end: number,
    bitmap: number,
    row: number,
    profile: SourceProfile,
    layout: number,
  ): number {
    const had = present[row];
    let found = 0;
    read: {
      if ((bitmap & 0x4000) !== 0) {
        if (o + 4 > end) break read;
        // All ones in one half means that this half is not available.
        const pair = b.getUint32(o);
        if (pair >>> 16 !== 0xffff && (had & HAS_INGRESS_INTERFACE_ID) === 0) {
          ingressInterfaceId[row] = pair >>> 16;
          found |= HAS_INGRESS_INTERFACE_ID;
        }
        if ((pair & 0xffff) !== 0xffff && (had & HAS_EGRESS_INTERFACE_ID) === 0) {
          egressInterfaceId[row] = pair & 0xffff;
          found |= HAS_EGRESS_INTERFACE_ID;
        }
        o += 4;
      }
      if ((bitmap & 0x2000) !== 0) {
        if (o + 4 > end) break read;
        const latency = b.getUint32(o);
        if (latency !== 0xffffffff && (had & HAS_HOP_LATENCY) === 0) {
          hopLatencyNs[row] = latency * profile.timestampUnitNs;
          found |= HAS_HOP_LATENCY;
        }
        o += 4;
      }
      if ((bitmap & 0x1000) !== 0) {
        if (o + 4 > end) break read;
        const occupancy = b.getUint32(o);
        if (occupancy !== 0xffffffff && (had & HAS_QUEUE_OCCUPANCY) === 0) {
          queueId[row] = occupancy >>> 24;
          queueOccupancy[row] = occupancy & 0xffffff;
          found |= HAS_QUEUE_ID | HAS_QUEUE_OCCUPANCY;
        }
        o += 4;
      }
      if ((bitmap & 0x0800) !== 0) {
        const bytes = layout === LAYOUT_V10 ? 4 : 8;
        if (o + bytes > end) break read;
        // All ones in the whole unit: a short stamp is one word, a long one two.
        const low = b.getUint32(o + bytes - 4);
        const high = bytes === 8 ? b.getUint32(o) : low === 0xffffffff ? low : 0;
        if ((high !== 0xffffffff || low !== 0xffffffff) && (had & HAS_INGRESS_TIMESTAMP) === 0) {
          writeScaled64(ingressTimestampWords, row, high, low, profile.timestampUnitNs);
          found |= HAS_INGRESS_TIMESTAMP;
        }
        o += bytes;
      }
      if ((bitmap & 0x0400) !== 0) {
        const bytes = layout === LAYOUT_V10 ? 4 : 8;
        if (o + bytes > end) break read;
        // All ones in the whole unit: a short stamp is one word, a long one two.
        const low = b.getUint32(o + bytes - 4);
        const high = bytes === 8 ? b.getUint32(o) : low === 0xffffffff ? low : 0;
        if ((high !== 0xffffffff || low !== 0xffffffff) && (had & HAS_EGRESS_TIMESTAMP) === 0) {
          writeScaled64(egressTimestampWords, row, high, low, profile.timestampUnitNs);
          found |= HAS_EGRESS_TIMESTAMP;
        }
        o += bytes;
      }
      if ((bitmap & 0x0380) === 0) break read;
      if ((bitmap & 0x0200) !== 0) {
        const isShort = layout === LAYOUT_GEANT;
        const bytes = isShort ? 4 : 8;
        if (o + bytes > end) break read;
        const ingress = isShort ? b.getUint16(o) : b.getUint32(o);
        const egress = isShort ? b.getUint16(o + 2) : b.getUint32(o + 4);
        const absent = isShort ? 0xffff : 0xffffffff;
        if (ingress !== absent && (had & HAS_LEVEL2_INGRESS_INTERFACE_ID) === 0) {
          level2IngressInterfaceId[row] = ingress;
          found |= HAS_LEVEL2_INGRESS_INTERFACE_ID;
        }
        if (egress !== absent && (had & HAS_LEVEL2_EGRESS_INTERFACE_ID) === 0) {
          level2EgressInterfaceId[row] = egress;
          found |= HAS_LEVEL2_EGRESS_INTERFACE_ID;
        }
        o += bytes;
      }
      if ((bitmap & 0x0100) !== 0) {
        if (o + 4 > end) break read;
        const utilization = b.getUint32(o);
        if (utilization !== 0xffffffff && (had & HAS_EGRESS_INTERFACE_TX_UTILIZATION) === 0) {
          egressInterfaceTxUtilization[row] = utilization;
          found |= HAS_EGRESS_INTERFACE_TX_UTILIZATION;
        }
        o += 4;
      }
      if ((bitmap & 0x0080) !== 0) {
        if (o + 4 > end) break read;
        const buffer = b.getUint32(o);
        if (buffer !== 0xffffffff && (had & HAS_BUFFER) === 0) {
          bufferId[row] = buffer >>> 24;
          bufferOccupancy[row] = buffer & 0xffffff;
          found |= HAS_BUFFER;
        }
        o += 4;
      }
    }
    present[row] = had | found;
    return o;
  }

  return { decodeIntMd, readBaseline };
}
