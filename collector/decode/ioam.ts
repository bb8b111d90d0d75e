// IOAM trace data (RFC 9197 section 4.4, pre-allocated and incremental), as it lies in the IPv6 options of a packet (RFC 9486) or in an exported
// record. Direct export (RFC 9326) and the other option types carry no data of nodes: they are read through.
// Rule: Node-Length, trace type and the option's own length must agree, or none of its nodes is believed.

import { HopOrigin, Present, type HopBatch } from '../hop.ts';
import { u24, writeSeconds64 } from './bytes.ts';
import { certainEnd, listedHops, type InbandStack } from './inband-stack.ts';
import type { Cursor } from './cursor.ts';
import type { SourceProfile } from './profile.ts';
import { Warning } from './reason.ts';

// Bound here, because an imported binding is loaded and checked at each use.
const {
  buffer: HAS_BUFFER,
  egressInterfaceId: HAS_EGRESS_INTERFACE_ID,
  hopLatency: HAS_HOP_LATENCY,
  ingressInterfaceId: HAS_INGRESS_INTERFACE_ID,
  ingressTimestamp: HAS_INGRESS_TIMESTAMP,
  nodeId: HAS_NODE_ID,
  queueOccupancy: HAS_QUEUE_OCCUPANCY,
} = Present;
const { ioamTrace: ORIGIN_IOAM } = HopOrigin;

/** IPv6 option types of IOAM: destination and hop-by-hop (RFC 9486 section 3). */
const IPV6_OPTION_IOAM = [0x11, 0x31] as const;
const PAD1 = 0;
/** Reserved octet and IOAM option type. */
const IPV6_OPTION_HEAD_BYTES = 2;
const IoamOption = { preallocatedTrace: 0, incrementalTrace: 1 } as const;

const TRACE_HEADER_BYTES = 8;
const NOT_AVAILABLE = 0xffff_ffff;
/** Trace-type bits 0 to 11, first bit of the 24 first (section 4.4.1). */
const NODE_ID = 0x80_0000;
const INTERFACES = 0x40_0000;
const SECONDS = 0x20_0000;
const FRACTION = 0x10_0000;
const TRANSIT_DELAY = 0x08_0000;
const QUEUE_DEPTH = 0x02_0000;
const WIDE_NODE_ID = 0x00_8000;
const WIDE_INTERFACES = 0x00_4000;
const WIDE_NAMESPACE_DATA = 0x00_2000;
const BUFFER = 0x00_1000;
const OPAQUE_SNAPSHOT = 0x00_0002;
/** Bits that stand for eight octets; all others but the opaque snapshot, which has a length of its own, stand for four. */
const WIDE_BITS = WIDE_NODE_ID | WIDE_INTERFACES | WIDE_NAMESPACE_DATA;
const OVERFLOW_FLAG = 0x8;
const DELAY_OVERFLOW = 0x8000_0000;

/** Walks the IPv6 options at [o, end) and takes the first IOAM trace among them. */
export type ReadIoamOptions = (b: DataView, o: number, end: number, report: number) => void;
/**
 * Takes the trace option data at [o, optionEnd), of which the fragment shows what lies before `end`: one hop per node, oldest first. On a
 * fault nothing is appended, and `warnings` of the stack says so.
 */
export type ReadIoamTrace = (
  b: DataView,
  o: number,
  optionEnd: number,
  end: number,
  isIncremental: boolean,
  report: number,
  profile: SourceProfile,
) => void;

export interface Ioam {
  readIoamOptions: ReadIoamOptions;
  readIoamTrace: ReadIoamTrace;
}

/** The readers over a batch, over the cursor of the walk that they are steps of, and over the stack that they describe what they found in. */
export function ioamOver(batch: HopBatch, at: Cursor, stack: InbandStack): Ioam {
  const { report: reportOf, present, origin, nodeId, ingressInterfaceId, egressInterfaceId, hopLatencyNs } = batch;
  const { queueOccupancy, ingressTimestampWords, bufferId, bufferOccupancy } = batch;

  function readIoamOptions(b: DataView, o: number, end: number, report: number): void {
    while (o < end) {
      const type = b.getUint8(o);
      if (type === PAD1) {
        o++;
        continue;
      }
      if (end - o < 2) return;
      const next = o + 2 + b.getUint8(o + 1);
      const isIoam = type === IPV6_OPTION_IOAM[0] || type === IPV6_OPTION_IOAM[1];
      if (isIoam && next - o >= 2 + IPV6_OPTION_HEAD_BYTES && end - o >= 2 + IPV6_OPTION_HEAD_BYTES) {
        const kind = b.getUint8(o + 3);
        if (kind === IoamOption.preallocatedTrace || kind === IoamOption.incrementalTrace) {
          readIoamTrace(b, o + 4, next, end, kind === IoamOption.incrementalTrace, report, at.profile);
          at.warnings |= stack.warnings;
          return;
        }
      }
      o = next;
    }
  }

  function readIoamTrace(
    b: DataView,
    o: number,
    optionEnd: number,
    end: number,
    isIncremental: boolean,
    report: number,
    profile: SourceProfile,
  ): void {
    stack.reset();
    if (optionEnd - o < TRACE_HEADER_BYTES) return refuse();
    if (end - o < TRACE_HEADER_BYTES) {
      stack.warnings |= Warning.intShort;
      return;
    }
    const lengths = b.getUint16(o + 2);
    const nodeBytes = (lengths >>> 11) * 4;
    const traceType = u24(b, o + 4);
    const hasSnapshot = (traceType & OPAQUE_SNAPSHOT) !== 0;
    if (nodeBytes !== nodeBytesOf(traceType) || (nodeBytes === 0 && !hasSnapshot)) return refuse();
    // Pre-allocated space is filled from its end, an incremental list grows at its front: the newest node comes first in both.
    const first = o + TRACE_HEADER_BYTES + (isIncremental ? 0 : (lengths & 0x7f) * 4);
    if (first > optionEnd) return refuse();
    const nodes = hasSnapshot ? countSnapshots(b, first, optionEnd, end, nodeBytes) : (optionEnd - first) / nodeBytes;
    if (nodes < 0 || nodes !== Math.floor(nodes)) return refuse();
    stack.isInt = true;
    if (((lengths >>> 7) & 0xf & OVERFLOW_FLAG) !== 0) stack.warnings |= Warning.intHopsMissing;
    if (optionEnd > end) stack.warnings |= Warning.intTruncated;
    stack.hops = listedHops(batch, nodes, nodeBytes, first, end);
    stack.hasNodeIds = (traceType & (NODE_ID | WIDE_NODE_ID)) !== 0 && stack.hops > 0;
    const base = batch.length;
    batch.length += stack.hops;
    const certain = certainEnd(stack, optionEnd, end);
    let next = first;
    for (let node = stack.hops - 1; node >= 0; node--) {
      readNode(b, next, Math.min(certain, next + nodeBytes), traceType, base + node, report, profile);
      next += nodeBytes;
      if (hasSnapshot && next + 4 <= end) next += 4 + b.getUint8(next) * 4;
    }
    if (stack.hops === 0) return;
    const newest = base + stack.hops - 1;
    stack.hasNodeIds &&= (present[newest] & HAS_NODE_ID) !== 0;
    stack.newestNodeId = stack.hasNodeIds ? nodeId[newest] : 0;
  }

  function refuse(): void {
    stack.warnings |= Warning.ioam;
  }

  /** One node's data at [o, end); what is all ones, or cut off, stays absent. */
  function readNode(
    b: DataView,
    o: number,
    end: number,
    type: number,
    row: number,
    report: number,
    profile: SourceProfile,
  ): void {
    reportOf[row] = report;
    origin[row] = ORIGIN_IOAM;
    let found = 0;
    let seconds = NOT_AVAILABLE;
    for (let bit = NODE_ID; bit >= BUFFER; bit >>>= 1) {
      if ((type & bit) === 0) continue;
      const bytes = (bit & WIDE_BITS) !== 0 ? 8 : 4;
      if (end - o < bytes) break;
      const word = b.getUint32(o);
      const second = bytes === 8 ? b.getUint32(o + 4) : NOT_AVAILABLE;
      o += bytes;
      if (word === NOT_AVAILABLE && second === NOT_AVAILABLE) continue;
      if (bit === NODE_ID) {
        // Eight bits of hop limit stand before the id.
        if ((word & 0xffffff) === 0xffffff) continue;
        nodeId[row] = word & 0xffffff;
        found |= HAS_NODE_ID;
      } else if (bit === WIDE_NODE_ID) {
        if ((word & 0xffffff) === 0xffffff && second === NOT_AVAILABLE) continue;
        if ((word & 0xffffff) !== 0) stack.warnings |= Warning.nodeIdCut;
        nodeId[row] = second;
        found |= HAS_NODE_ID;
      } else if (bit === INTERFACES) {
        if (word >>> 16 !== 0xffff) found |= noteIngress(row, word >>> 16);
        if ((word & 0xffff) !== 0xffff) found |= noteEgress(row, word & 0xffff);
      } else if (bit === WIDE_INTERFACES) {
        if (word !== NOT_AVAILABLE) found |= noteIngress(row, word);
        if (second !== NOT_AVAILABLE) found |= noteEgress(row, second);
      } else if (bit === SECONDS) seconds = word;
      else if (bit === FRACTION && seconds !== NOT_AVAILABLE) {
        writeSeconds64(ingressTimestampWords, row, seconds, word * (1e9 / profile.ioamFractionsPerSecond));
        found |= HAS_INGRESS_TIMESTAMP;
      } else if (bit === TRANSIT_DELAY && word < DELAY_OVERFLOW) {
        hopLatencyNs[row] = word;
        found |= HAS_HOP_LATENCY;
      } else if (bit === QUEUE_DEPTH) {
        queueOccupancy[row] = word;
        found |= HAS_QUEUE_OCCUPANCY;
      } else if (bit === BUFFER) {
        bufferId[row] = 0;
        bufferOccupancy[row] = word;
        found |= HAS_BUFFER;
      }
    }
    present[row] = found;
  }

  function noteIngress(row: number, id: number): number {
    ingressInterfaceId[row] = id;
    return HAS_INGRESS_INTERFACE_ID;
  }

  function noteEgress(row: number, id: number): number {
    egressInterfaceId[row] = id;
    return HAS_EGRESS_INTERFACE_ID;
  }

  return { readIoamOptions, readIoamTrace };
}

/** Octets of a node's data for a trace type, the opaque snapshot excluded: Node-Length must say the same. */
function nodeBytesOf(traceType: number): number {
  let bytes = 0;
  for (let bit = NODE_ID; bit > OPAQUE_SNAPSHOT; bit >>>= 1) {
    if ((traceType & bit) !== 0) bytes += (bit & WIDE_BITS) !== 0 ? 8 : 4;
  }
  return bytes;
}

/**
 * Nodes at [o, optionEnd) that each end in an opaque snapshot, whose first octet is its length in words; -1 when they do not fill the space.
 * Behind `end` nothing can be counted: the nodes that begin before it are.
 */
function countSnapshots(b: DataView, o: number, optionEnd: number, end: number, nodeBytes: number): number {
  let nodes = 0;
  while (o < optionEnd) {
    if (o >= end) return nodes;
    nodes++;
    o += nodeBytes;
    if (o + 4 > end) return o + 4 > optionEnd ? -1 : nodes;
    o += 4 + b.getUint8(o) * 4;
  }
  return o === optionEnd ? nodes : -1;
}
