// INT-MD v0.5, v1.0 and v2.x: metadata header and stack of hops, found inside the packet of a report; and the header of INT-MX, which has no
// stack.
// Layout: INT v2.1 sections 5.5 (shims), 5.8 (metadata header), 5.7 (instruction bits); INT v1.0 sections 4.5 to 4.7; INT v0.5 section 4. The shims
// cannot be confused: the type fills the first octet up to v1.0, and half of it in v2.x.
// Rule: guard before belief. DSCP 0x17 alone does not prove INT, so nothing is counted as a fault until the shim's type agrees.

import { HopOrigin, Present, type HopBatch } from '../hop.ts';
import { baselineBytes, type ReadBaseline } from './baseline.ts';
import { popcount16 } from './bytes.ts';
import { certainEnd, IntLayout, listedHops, Overwritten, type InbandStack } from './inband-stack.ts';
import type { SourceProfile } from './profile.ts';
import { Warning } from './reason.ts';

// Bound here, because an imported binding is loaded and checked at each use.
const { nodeId: HAS_NODE_ID } = Present;
const { v21: LAYOUT_V21, v10: LAYOUT_V10, geant: LAYOUT_GEANT, v05: LAYOUT_V05 } = IntLayout;
/** By layout. */
const ORIGINS = [HopOrigin.intMdV21, HopOrigin.intMdV10, HopOrigin.intMdV10, HopOrigin.intMdV05] as const;

export const SHIM_TYPE_MD = 1;
export const SHIM_TYPE_MX = 3;
/** Intel Host-INT's own type in a v0.5 shim: a sequence number of the flow follows the stack. */
const SHIM_TYPE_HOST_INT = 3;
const HOST_INT_SEQUENCE_BYTES = 4;
const SHIM_BYTES = 4;
/** Metadata header of v2.x, and of v1.0 and v0.5. */
const V21_HEADER_BYTES = 12;
const V10_HEADER_BYTES = 8;
const V05_TAIL_BYTES = 4;
/** NOP, NOP, kind 8, length 10 (RFC 7323 appendix A): how nearly every TCP packet's options begin. */
const TCP_TIMESTAMPS = 0x0101_080a;

/**
 * Reads shim, header and stack at [o, end), as they lie behind TCP or UDP, and appends one hop per stack entry, oldest first; describes them
 * in the stack. Returns the offset behind the stack, or 0 when there is no usable INT here (`warnings` of the stack then says why, if it
 * was INT). A cut stack keeps its newest entries; entries that the length promises but the fragment lacks are appended with nothing
 * present.
 */
export type DecodeIntMd = (b: DataView, o: number, end: number, report: number, profile: SourceProfile) => number;

/** As DecodeIntMd, at a v2.x metadata header whose shim was read already: `bytes` octets of header and stack, without a stack for INT-MX. */
export type DecodeIntHeader = (
  b: DataView,
  o: number,
  end: number,
  bytes: number,
  isMx: boolean,
  report: number,
  profile: SourceProfile,
) => number;

export interface IntMd {
  decodeIntMd: DecodeIntMd;
  decodeIntHeader: DecodeIntHeader;
  /** As DecodeIntMd, at a shim of v1.0 or v0.5 in a tunnel, whose fourth octet is not a DSCP. */
  decodeOlderInTunnel: DecodeIntMd;
}

/** The readers over a batch, and over the stack that they describe what they found in. */
export function intMdOver(batch: HopBatch, stack: InbandStack, readBaseline: ReadBaseline): IntMd {
  const { report: reportOf, present, origin, nodeId } = batch;

  function decodeIntMd(b: DataView, o: number, end: number, report: number, profile: SourceProfile): number {
    stack.reset();
    if (end - o < SHIM_BYTES) return 0;
    const first = b.getUint8(o);
    if (first === SHIM_TYPE_MD || first === SHIM_TYPE_HOST_INT) return decodeOlder(b, o, end, report, profile, false);
    const overwritten = (b.getUint8(o) >>> 2) & 3;
    const type = b.getUint8(o) >>> 4;
    if ((type !== SHIM_TYPE_MD && type !== SHIM_TYPE_MX) || overwritten > Overwritten.protocol) return 0;
    const bytes = b.getUint8(o + 1) * 4;
    const next = decodeIntHeader(b, o + SHIM_BYTES, end, bytes, type === SHIM_TYPE_MX, report, profile);
    stack.overwritten = overwritten;
    // Octet 3 by the specification. laofan13/P4-INT writes octet 2, which is reserved: a value only there can be nothing else.
    stack.originalDscp = (b.getUint8(o + 3) === 0 ? b.getUint8(o + 2) : b.getUint8(o + 3)) >>> 2;
    stack.originalPort = b.getUint16(o + 2);
    stack.originalProtocol = b.getUint8(o + 3);
    return next;
  }

  function decodeIntHeader(
    b: DataView,
    o: number,
    end: number,
    bytes: number,
    isMx: boolean,
    report: number,
    profile: SourceProfile,
  ): number {
    stack.reset();
    if (end - o < V21_HEADER_BYTES) return refuse(Warning.intShort);
    const word = b.getUint32(o);
    if (word >>> 28 !== 2) return refuse(Warning.intVersion);
    stack.isInt = true;
    stack.overwritten = Overwritten.nothing;
    const stackBytes = bytes - V21_HEADER_BYTES;
    if (stackBytes < 0) return refuse(Warning.intLength);
    const bitmap = b.getUint16(o + 4);
    // INT-MX carries instructions only: its nodes report for themselves.
    if (isMx) {
      if (!profile.intMxStack || stackBytes === 0 || stackBytes !== baselineBytes(bitmap, LAYOUT_V21)) return o + bytes;
      stack.warnings |= Warning.mxStack;
      return readStack(b, o + V21_HEADER_BYTES, end, 1, stackBytes, bitmap, report, profile);
    }
    const hopBytes = ((word >>> 8) & 0x1f) * 4;
    const neededBytes = baselineBytes(bitmap, LAYOUT_V21);
    if (hopBytes < neededBytes || bitmap === 0) return refuse(Warning.hopMl);
    // Domain-specific metadata that no entry has room for can only be the source's own, behind the last entry.
    let sourceOnlyBytes = 0;
    if (b.getUint16(o + 8) !== 0) {
      const known = profile.intSourceOnlyBytes.get(b.getUint16(o + 6));
      if (known === undefined) {
        if (hopBytes === neededBytes || stackBytes % hopBytes !== 0) return refuse(Warning.domainUnknown);
        stack.warnings |= Warning.domainUnknown;
      } else sourceOnlyBytes = known;
    }
    const hops = (stackBytes - sourceOnlyBytes) / hopBytes;
    if (hops < 0 || hops !== Math.floor(hops)) return refuse(Warning.intStackRemainder);
    if ((word & 0x06000000) !== 0) stack.warnings |= Warning.intHopsMissing;
    return readStack(b, o + V21_HEADER_BYTES, end, hops, hopBytes, bitmap, report, profile) + sourceOnlyBytes;
  }

  /** v1.0 and v0.5: Length of the shim is its third octet and counts the shim. */
  function decodeOlder(b: DataView, o: number, end: number, report: number, profile: SourceProfile, isTunnel: boolean): number {
    // Timestamps of TCP stand where the shim would, and begin as it does.
    if (b.getUint32(o) === TCP_TIMESTAMPS) return 0;
    if (end - o < SHIM_BYTES + V10_HEADER_BYTES) return refuse(Warning.intShort);
    const word = b.getUint32(o + 4);
    const bitmap = b.getUint16(o + 8);
    const version = word >>> 28;
    // The last five bits of the second octet are the size of an entry in v0.5, and reserved in v1.0.
    if (version === 0 && (word & 0x001f0000) !== 0) return decodeV05(b, o, end, word, bitmap, report, profile, isTunnel);
    // ONOS says version 0 and means 1.
    const isOnos = version === 0 && !profile.strict;
    if (version !== 1 && !isOnos) return refuse(Warning.intVersion);
    const hopBytes = ((word >>> 8) & 0x1f) * 4;
    const isByTheLetter = hopBytes === baselineBytes(bitmap, LAYOUT_V10);
    const isGeant = version === 1 && !profile.strict && !isByTheLetter && hopBytes === baselineBytes(bitmap, LAYOUT_GEANT);
    // v1.0 knows no domains: entries are as long as the bitmap says, or this is no INT. The options of a TCP packet can look like a shim.
    if (bitmap === 0 || (!isByTheLetter && !isGeant)) return refuse(isOnos ? Warning.intVersion : Warning.hopMl);
    stack.isInt = true;
    stack.overwritten = isTunnel ? Overwritten.nothing : Overwritten.dscp;
    stack.originalDscp = b.getUint8(o + 3) >>> 2;
    if (isOnos) stack.warnings |= Warning.versionNibble;
    stack.layout = isGeant ? LAYOUT_GEANT : LAYOUT_V10;
    if (isGeant) stack.warnings |= Warning.intWidths;
    const stackBytes = b.getUint8(o + 2) * 4 - SHIM_BYTES - V10_HEADER_BYTES;
    if (stackBytes < 0) return refuse(Warning.intLength);
    if (stackBytes % hopBytes !== 0) return refuse(Warning.intStackRemainder);
    if ((word & 0x01800000) !== 0) stack.warnings |= Warning.intHopsMissing;
    return readStack(b, o + SHIM_BYTES + V10_HEADER_BYTES, end, stackBytes / hopBytes, hopBytes, bitmap, report, profile);
  }

  /** v0.5: the header counts the hops, and a tail behind the stack keeps what was overwritten; Length of the shim counts it too. */
  function decodeV05(
    b: DataView,
    o: number,
    end: number,
    word: number,
    bitmap: number,
    report: number,
    profile: SourceProfile,
    isTunnel: boolean,
  ): number {
    const instructions = (word >>> 16) & 0x1f;
    const hops = word & 0xff;
    if (instructions !== popcount16(bitmap)) return refuse(Warning.hopMl);
    const stackBytes = instructions * 4 * hops;
    const isHostInt = b.getUint8(o) === SHIM_TYPE_HOST_INT;
    const first = o + SHIM_BYTES + V10_HEADER_BYTES;
    const tail = first + stackBytes + (isHostInt ? HOST_INT_SEQUENCE_BYTES : 0);
    const next = o + b.getUint8(o + 2) * 4;
    // A tunnel overwrites nothing and needs no tail; Host-INT leaves it out of Length, and its sink takes it off.
    const mayLackTail = isHostInt || isTunnel;
    if (next !== tail + V05_TAIL_BYTES && !(mayLackTail && next === tail)) return refuse(Warning.intLength);
    stack.isInt = true;
    stack.layout = LAYOUT_V05;
    if ((word & 0x01000000) !== 0) stack.warnings |= Warning.intHopsMissing;
    stack.overwritten = Overwritten.nothing;
    if (next > tail && next <= end && !isTunnel) {
      stack.overwritten = Overwritten.v05;
      stack.originalProtocol = b.getUint8(tail);
      stack.originalPort = b.getUint16(tail + 1);
      stack.originalDscp = b.getUint8(tail + 3) & 0x3f;
    }
    readStack(b, first, end, hops, instructions * 4, bitmap, report, profile);
    return next;
  }

  function refuse(warning: number): 0 {
    stack.warnings |= warning;
    return 0;
  }

  /** Appends the `hops` entries at `first`, as many as there are; returns the offset behind them. */
  function readStack(
    b: DataView,
    first: number,
    end: number,
    hops: number,
    hopBytes: number,
    bitmap: number,
    report: number,
    profile: SourceProfile,
  ): number {
    const next = first + hops * hopBytes;
    if (next > end) stack.warnings |= Warning.intTruncated;
    const certain = certainEnd(stack, next, end);
    stack.hasNodeIds = (bitmap & 0x8000) !== 0 && first + 4 <= certain;
    stack.newestNodeId = stack.hasNodeIds && hops > 0 ? b.getUint32(first) : 0;
    stack.hops = listedHops(batch, hops, hopBytes, first, end);
    for (let hop = stack.hops - 1; hop >= 0; hop--) {
      appendEntry(b, first + hop * hopBytes, certain, bitmap, report, profile);
    }
    return next;
  }

  /** Appends one stack entry; words behind `end` stay absent. */
  function appendEntry(b: DataView, o: number, end: number, bitmap: number, report: number, profile: SourceProfile): void {
    const row = batch.length++;
    reportOf[row] = report;
    present[row] = 0;
    origin[row] = ORIGINS[stack.layout];
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

  function decodeOlderInTunnel(b: DataView, o: number, end: number, report: number, profile: SourceProfile): number {
    stack.reset();
    return decodeOlder(b, o, end, report, profile, true);
  }

  return { decodeIntMd, decodeIntHeader, decodeOlderInTunnel };
}
