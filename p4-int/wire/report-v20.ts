// Writes Telemetry Report v2.0 with INT-XD metadata, written from the specification (sections 3.1 to 3.3), into a buffer that is there already.

/** One hop of one packet, as a node reports it. Timestamps are in two words of 32 bits. */
export interface HopReport {
  /** Q and F (section 3.2); D follows from the drop reason. */
  isCongestedQueue: boolean;
  isTrackedFlow: boolean;
  ingressInterfaceId: number;
  egressInterfaceId: number;
  queueId: number;
  /** In the unit of the source; 24 bits. */
  queueOccupancy: number;
  hopLatency: number;
  ingressHigh: number;
  ingressLow: number;
  egressHigh: number;
  egressLow: number;
  /** Of a dropped packet: the report then carries it instead of latency, occupancy and egress time. Negative: none. */
  dropReason: number;
}

const GROUP_BYTES = 8;
const REPORT_HEADER_BYTES = 12;
const HOP_METADATA_BYTES = 28;
const DROP_METADATA_BYTES = 16;
const FLAG_D = 0x80;
const FLAG_Q = 0x40;
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

/** Where the packet of a report that begins at `o` stands. */
export function packetOffset(o: number, report: HopReport): number {
  return o + REPORT_HEADER_BYTES + (report.dropReason < 0 ? HOP_METADATA_BYTES : DROP_METADATA_BYTES);
}

/** Writes the individual report (RepType 1, InType 3) around the `packetBytes` that stand at `packetOffset` already; returns the offset behind it. */
export function writeReport(out: Buffer, o: number, report: HopReport, packetBytes: number): number {
  const isDropped = report.dropReason >= 0;
  const packet = packetOffset(o, report);
  const end = packet + ((packetBytes + 3) & ~3);
  out.fill(0, packet + packetBytes, end);
  out[o] = 0x13;
  out[o + 1] = (end - o - 4) / 4;
  out[o + 2] = (isDropped ? DROP_METADATA_BYTES : HOP_METADATA_BYTES) / 4;
  out[o + 3] = (isDropped ? FLAG_D : 0) | (report.isCongestedQueue ? FLAG_Q : 0) | (report.isTrackedFlow ? FLAG_F : 0);
  out.writeUInt16BE(isDropped ? DROP_BITS : HOP_BITS, o + 4);
  out.fill(0, o + 6, o + REPORT_HEADER_BYTES);
  let m = o + REPORT_HEADER_BYTES;
  out.writeUInt16BE(report.ingressInterfaceId, m);
  out.writeUInt16BE(report.egressInterfaceId, m + 2);
  m += 4;
  if (!isDropped) {
    out.writeUInt32BE(report.hopLatency, m);
    out.writeUInt32BE(((report.queueId << 24) | (report.queueOccupancy & 0xffffff)) >>> 0, m + 4);
    m += 8;
  }
  out.writeUInt32BE(report.ingressHigh, m);
  out.writeUInt32BE(report.ingressLow, m + 4);
  m += 8;
  if (isDropped) {
    out.writeUInt8(report.queueId, m);
    out.writeUInt8(report.dropReason, m + 1);
    out.writeUInt16BE(0, m + 2);
  } else {
    out.writeUInt32BE(report.egressHigh, m);
    out.writeUInt32BE(report.egressLow, m + 4);
  }
  return end;
}
