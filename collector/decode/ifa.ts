// IFA 2.0 (draft-kumar-ippm-ifa): a header between IP and L4, a metadata header and the stack of nodes behind L4.
// Layout: the draft's IFA header and metadata header, and the metadata of the namespace that its authors' switches use, 32 octets a node. No
// capture of it is public: this was read from the draft and from scapy's dissector alone.
// Rule: the IP protocol is not assigned, so that nothing is believed before version, lengths and next header agree.

import { HopOrigin, Present, type HopBatch } from '../hop.ts';
import { Protocol } from './cursor.ts';
import { certainEnd, listedHops, Overwritten, type InbandStack } from './inband-stack.ts';
import type { SourceProfile } from './profile.ts';
import { Warning } from './reason.ts';

// Bound here, because an imported binding is loaded and checked at each use.
const {
  egressInterfaceId: HAS_EGRESS_INTERFACE_ID,
  hopLatency: HAS_HOP_LATENCY,
  ingressInterfaceId: HAS_INGRESS_INTERFACE_ID,
  nodeId: HAS_NODE_ID,
  queueId: HAS_QUEUE_ID,
  queueOccupancy: HAS_QUEUE_OCCUPANCY,
} = Present;
const PRESENT =
  HAS_EGRESS_INTERFACE_ID | HAS_HOP_LATENCY | HAS_INGRESS_INTERFACE_ID | HAS_NODE_ID | HAS_QUEUE_ID | HAS_QUEUE_OCCUPANCY;
const { ifaV20: ORIGIN_IFA } = HopOrigin;

export const IFA_HEADER_BYTES = 4;
const METADATA_HEADER_BYTES = 4;
const RECORD_BYTES = 32;
/** The name says 2.0; generators write 3. */
const VERSIONS = [2, 3] as const;
/**
 * Takes the IFA header at `o` and the stack behind the L4 header that follows: one hop per node, oldest first. Returns the offset behind the
 * stack; 0 when it lies beyond `end`, or when this is no IFA (`isInt` of the stack tells which).
 */
export type DecodeIfa = (b: DataView, o: number, end: number, report: number, profile: SourceProfile) => number;

/** The decoder over a batch, and over the stack that it describes what it found in. */
export function ifaOver(batch: HopBatch, stack: InbandStack): DecodeIfa {
  const { report: reportOf, present, origin, nodeId, ingressInterfaceId, egressInterfaceId, queueId, queueOccupancy } = batch;
  const { hopLatencyNs } = batch;

  return function decodeIfa(b: DataView, o: number, end: number, report: number): number {
    stack.reset();
    if (end - o < IFA_HEADER_BYTES) return refuse(Warning.intShort);
    const version = b.getUint8(o) >>> 4;
    const protocol = b.getUint8(o + 1);
    if (version !== VERSIONS[0] && version !== VERSIONS[1]) return refuse(Warning.ifa);
    if (protocol !== Protocol.tcp && protocol !== Protocol.udp) return refuse(Warning.ifa);
    const l4 = o + IFA_HEADER_BYTES;
    const l4Bytes = l4BytesAt(b, l4, end, protocol);
    const header = l4 + l4Bytes;
    if (l4Bytes === 0 || end - header < METADATA_HEADER_BYTES) return refuse(Warning.intShort);
    const stackBytes = b.getUint8(header + 3) * 4;
    if (stackBytes % RECORD_BYTES !== 0) return refuse(Warning.ifa);
    stack.isInt = true;
    stack.overwritten = Overwritten.nothing;
    stack.originalProtocol = protocol;
    const first = header + METADATA_HEADER_BYTES;
    const next = first + stackBytes;
    if (next > end) stack.warnings |= Warning.intTruncated;
    const hops = listedHops(batch, stackBytes / RECORD_BYTES, RECORD_BYTES, first, end);
    stack.hops = hops;
    const certain = certainEnd(stack, next, end);
    stack.hasNodeIds = hops > 0 && first + RECORD_BYTES <= certain;
    for (let hop = hops - 1; hop >= 0; hop--) appendRecord(b, first + hop * RECORD_BYTES, certain, report);
    stack.newestNodeId = stack.hasNodeIds ? nodeId[batch.length - 1] : 0;
    return next > end ? 0 : next;
  };

  function refuse(warning: number): 0 {
    stack.warnings |= warning;
    return 0;
  }

  /** One node's 32 octets; a record that is cut keeps nothing. */
  function appendRecord(b: DataView, o: number, end: number, report: number): void {
    const row = batch.length++;
    reportOf[row] = report;
    origin[row] = ORIGIN_IFA;
    present[row] = 0;
    if (o + RECORD_BYTES > end) return;
    nodeId[row] = (b.getUint32(o) >>> 8) & 0xfffff;
    queueId[row] = (b.getUint32(o + 4) >>> 20) & 0x3f;
    egressInterfaceId[row] = b.getUint16(o + 8);
    ingressInterfaceId[row] = b.getUint16(o + 10);
    hopLatencyNs[row] = b.getUint32(o + 16);
    queueOccupancy[row] = b.getUint32(o + 20);
    present[row] = PRESENT;
  }
}

/** Octets of the L4 header at `o`; 0 when it is cut. */
function l4BytesAt(b: DataView, o: number, end: number, protocol: number): number {
  if (protocol === Protocol.udp) return o + 8 <= end ? 8 : 0;
  if (o + 20 > end) return 0;
  const bytes = (b.getUint8(o + 12) >>> 4) * 4;
  return bytes < 20 || o + bytes > end ? 0 : bytes;
}
