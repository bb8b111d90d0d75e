// Writes Telemetry Report v2.0 with INT-XD metadata, written from the specification (sections 3.1 to 3.3), grouped or single.

import { packetHeadBytes, writePacketHead, type PacketHead } from './packet.ts';

/** One hop of one packet, as a node reports it. */
export interface HopReport {
  packet: PacketHead;
  ingressInterfaceId: number;
  egressInterfaceId: number;
  queueId: number;
  /** In the unit of the source; 24 bits. */
  queueOccupancy: number;
  hopLatency: number;
  ingressTimestamp: bigint;
  egressTimestamp: bigint;
  /** Set for a dropped packet: the report then carries the drop reason instead of latency and egress time. */
  dropReason?: number;
}

const GROUP_BYTES = 8;
const FLAG_D = 0x80;
const FLAG_F = 0x20;
/** RepMdBits: interfaces, hop latency, queue, ingress and egress timestamp. */
const HOP_BITS = 0x7c00;
/** RepMdBits: interfaces, ingress timestamp, drop reason. */
const DROP_BITS = 0x4801;

/** Starts a datagram at `out[0]`; `sequence` is taken modulo 2^22. Returns the offset of the first report. */
export function writeGroupHeader(out: Buffer, nodeId: number, hardwareId: number, sequence: number): number {
  out.writeUInt32BE(((2 << 28) | (hardwareId << 22) | (sequence & 0x3fffff)) >>> 0, 0);
  out.writeUInt32BE(nodeId, 4);
  return GROUP_BYTES;
}

/** Octets of the individual report for such a packet. */
export function reportBytes(report: HopReport): number {
  const metadata = report.dropReason === undefined ? 28 : 16;
  return 12 + metadata + ((packetHeadBytes(report.packet.protocol) + 3) & ~3);
}

/** Writes one individual report (RepType 1, InType 3) at `o` and returns the offset behind it. */
export function writeReport(out: Buffer, o: number, report: HopReport): number {
  const dropped = report.dropReason !== undefined;
  const metadataWords = dropped ? 4 : 7;
  const end = o + reportBytes(report);
  out.fill(0, o, end);
  out.writeUInt8(0x13, o);
  out.writeUInt8((end - o - 4) / 4, o + 1);
  out.writeUInt8(metadataWords, o + 2);
  out.writeUInt8(dropped ? FLAG_D : FLAG_F, o + 3);
  out.writeUInt16BE(dropped ? DROP_BITS : HOP_BITS, o + 4);
  let m = o + 12;
  out.writeUInt16BE(report.ingressInterfaceId, m);
  out.writeUInt16BE(report.egressInterfaceId, m + 2);
  m += 4;
  if (!dropped) {
    out.writeUInt32BE(report.hopLatency, m);
    out.writeUInt32BE(((report.queueId << 24) | (report.queueOccupancy & 0xffffff)) >>> 0, m + 4);
    m += 8;
  }
  out.writeBigUInt64BE(report.ingressTimestamp, m);
  m += 8;
  if (dropped) {
    out.writeUInt8(report.queueId, m);
    out.writeUInt8(report.dropReason!, m + 1);
    m += 4;
  } else {
    out.writeBigUInt64BE(report.egressTimestamp, m);
    m += 8;
  }
  writePacketHead(out, m, report.packet);
  return end;
}
