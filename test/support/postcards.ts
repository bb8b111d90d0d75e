// Telemetry reports v2.0 for load: datagrams of INT-XD postcards, written once, in which the flow, the node and the sequence number are
// set before each sending. Written from the specification (v2.0 sections 3.1 to 3.3), not with the decoder's help.

const GROUP_BYTES = 8;
const REPORT_HEADER_BYTES = 12;
/** Interfaces, latency, queue, two timestamps. */
const METADATA_BYTES = 28;
const INNER_BYTES = 14 + 20 + 20;
/** Report Length counts words behind the first: 20 inner words and 2 octets of padding make it whole. */
const PADDING_BYTES = 2;
const REPORT_BYTES = REPORT_HEADER_BYTES + METADATA_BYTES + INNER_BYTES + PADDING_BYTES;

/** Datagrams of `reports` postcards each; one of them is 104 octets, padded to `minBytes` by a longer packet fragment. */
export class Postcards {
  readonly bytes: Buffer;
  readonly reports: number;
  readonly #reportBytes: number;

  constructor(reports: number, minBytes = 0) {
    const extra = Math.max(0, minBytes - GROUP_BYTES - REPORT_BYTES * reports) & ~3;
    this.reports = reports;
    this.#reportBytes = REPORT_BYTES + (reports === 1 ? extra : 0);
    this.bytes = Buffer.alloc(GROUP_BYTES + this.#reportBytes * reports);
    this.bytes[0] = 2 << 4;
    for (let report = 0; report < reports; report++) this.#writeReport(GROUP_BYTES + report * this.#reportBytes);
  }

  #writeReport(o: number): void {
    const b = this.bytes;
    b[o] = (1 << 4) | 3;
    b[o + 1] = this.#reportBytes / 4 - 1;
    b[o + 2] = METADATA_BYTES / 4;
    b[o + 3] = 2 << 4;
    b.writeUInt16BE(0x7c00, o + 4);
    const md = o + REPORT_HEADER_BYTES;
    b.writeUInt32BE((1 << 16) | 3, md);
    b.writeUInt32BE(1200, md + 4);
    b.writeUInt32BE((0 << 24) | 1500, md + 8);
    const ip = md + METADATA_BYTES + 14;
    b.writeUInt16BE(0x0800, ip - 2);
    b[ip] = 0x45;
    b.writeUInt16BE(1500, ip + 2);
    b[ip + 8] = 62;
    b[ip + 9] = 6;
    b.writeUInt32BE(0x0af40001, ip + 12);
    b.writeUInt32BE(0x0af40102, ip + 16);
    b.writeUInt16BE(5201, ip + 22);
    b[ip + 32] = 5 << 4;
  }

  /** Sets the sender's node and the number of the datagram. */
  head(nodeId: number, sequence: number): void {
    this.bytes.writeUInt32BE(((2 << 28) | (sequence & 0x3fffff)) >>> 0, 0);
    this.bytes.writeUInt32BE(nodeId, 4);
  }

  /** Sets the flow, the egress interface and the ingress time (low word of a clock that began at 1) of one report. */
  report(report: number, flow: number, egressInterface: number, timeNs: number, latencyNs = 1200): void {
    const b = this.bytes;
    const md = GROUP_BYTES + report * this.#reportBytes + REPORT_HEADER_BYTES;
    b.writeUInt16BE(egressInterface, md + 2);
    b.writeUInt32BE(latencyNs, md + 4);
    const high = Math.floor(timeNs / 0x1_0000_0000) + 1;
    b.writeUInt32BE(high, md + 12);
    b.writeUInt32BE(timeNs >>> 0, md + 16);
    b.writeUInt32BE(high, md + 20);
    b.writeUInt32BE((timeNs + latencyNs) >>> 0, md + 24);
    const ip = md + METADATA_BYTES + 14;
    b.writeUInt32BE((0x0af40000 + (flow & 0xffff)) >>> 0, ip + 12);
    b.writeUInt16BE(32_768 + (flow >>> 16), ip + 20);
  }
}
