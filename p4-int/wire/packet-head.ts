// The heads of one flow's packets, as a switch sees them: written once from layers, then only what differs from packet to packet is put in.
// Written from RFC 791, 8200, 768, 9293, 1071.
// Rule: nothing here is shared with the decoder, so that one bug cannot hide another.

import { internetChecksumAt } from './octets.ts';
import { packetOf, type Layer } from './layers.ts';

/** What differs between packets of a flow. */
export interface PacketFields {
  /** Octets of the outermost IP packet. */
  lengthBytes: number;
  /** Of the outermost IP header, as are the two below. */
  ttl: number;
  ecn: number;
  identification: number;
  tcpSequence: number;
  tcpAcknowledgment: number;
  tcpFlags: number;
}

interface IpAt {
  offset: number;
  isV6: boolean;
}

const ETHERNET_BYTES = 14;
const UDP_BYTES = 8;

export class PacketHead {
  readonly bytes: Buffer;
  /** Where in-band telemetry stands that a switch puts into the packet: behind the outermost L4 header. */
  readonly intOffset: number;
  readonly #ips: readonly IpAt[];
  /** Offsets of UDP headers in front of the innermost L4 header, and of a GTP-U header. */
  readonly #outerUdp: number;
  readonly #gtpu: number;
  readonly #l4: number;
  readonly #isTcp: boolean;

  /** `layers`: Ethernet, IP, TCP or UDP; or Ethernet, IP, UDP, GTP-U, IP, TCP or UDP. */
  constructor(layers: readonly Layer[]) {
    this.bytes = packetOf(layers);
    const offsets = layers.map((_, i) => this.bytes.length - packetOf(layers.slice(i)).length);
    this.#ips = layers.flatMap(({ kind }, i) =>
      kind === 'ipv4' || kind === 'ipv6' ? [{ offset: offsets[i], isV6: kind === 'ipv6' }] : [],
    );
    const gtpu = layers.findIndex(({ kind }) => kind === 'gtpu');
    this.#gtpu = gtpu < 0 ? -1 : offsets[gtpu];
    this.#outerUdp = gtpu < 0 ? -1 : offsets[gtpu - 1];
    this.#l4 = offsets[layers.length - 1];
    this.#isTcp = layers.at(-1)!.kind === 'tcp';
    this.intOffset = gtpu < 0 ? this.bytes.length : offsets[gtpu];
  }

  /** Writes the head at `out[o]`, cut to `maxBytes`, and returns the octets written. With `intDscp` it announces INT behind its L4 header. */
  write(out: Buffer, o: number, fields: PacketFields, maxBytes: number, intDscp?: number): number {
    const b = this.bytes;
    const end = ETHERNET_BYTES + fields.lengthBytes;
    const [outer] = this.#ips;
    if (outer.isV6) {
      b.writeUInt16BE(fields.lengthBytes - 40, outer.offset + 4);
      b[outer.offset + 7] = fields.ttl;
      b[outer.offset + 1] = (b[outer.offset + 1] & 0xcf) | (fields.ecn << 4);
    } else {
      b[outer.offset + 1] = (b[outer.offset + 1] & 0xfc) | fields.ecn;
      b.writeUInt16BE(fields.identification, outer.offset + 4);
      b[outer.offset + 8] = fields.ttl;
      this.#finishIpv4(outer.offset, fields.lengthBytes);
    }
    if (this.#gtpu >= 0) {
      b.writeUInt16BE(end - this.#outerUdp, this.#outerUdp + 4);
      b.writeUInt16BE(end - this.#gtpu - 8, this.#gtpu + 2);
      const inner = this.#ips[1];
      if (inner.isV6) b.writeUInt16BE(end - inner.offset - 40, inner.offset + 4);
      else this.#finishIpv4(inner.offset, end - inner.offset);
    }
    if (this.#isTcp) {
      b.writeUInt32BE(fields.tcpSequence, this.#l4 + 4);
      b.writeUInt32BE(fields.tcpAcknowledgment, this.#l4 + 8);
      b[this.#l4 + 13] = fields.tcpFlags;
    } else b.writeUInt16BE(end - this.#l4, this.#l4 + 4);
    this.#checksumL4(end);
    const length = Math.min(b.length, maxBytes);
    b.copy(out, o, 0, length);
    if (intDscp !== undefined) markInt(out, o + outer.offset, outer.isV6, intDscp);
    return length;
  }

  #finishIpv4(at: number, lengthBytes: number): void {
    const b = this.bytes;
    b.writeUInt16BE(lengthBytes, at + 2);
    b.writeUInt16BE(0, at + 10);
    b.writeUInt16BE(internetChecksumAt(b, at, 20), at + 10);
  }

  /** Payloads are zeros, which no checksum notices: it is right for the whole packet. */
  #checksumL4(end: number): void {
    const b = this.bytes;
    const l4 = this.#l4;
    const ip = this.#ips.at(-1)!;
    const field = l4 + (this.#isTcp ? 16 : 6);
    b.writeUInt16BE(0, field);
    const header = this.#isTcp ? 20 : UDP_BYTES;
    const [addresses, addressBytes] = ip.isV6 ? [ip.offset + 8, 32] : [ip.offset + 12, 8];
    const length = end - l4;
    let sum = (~internetChecksumAt(b, l4, header) & 0xffff) + (~internetChecksumAt(b, addresses, addressBytes) & 0xffff);
    sum += (this.#isTcp ? 6 : 17) + (length >>> 16) + (length & 0xffff);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    const checksum = ~sum & 0xffff;
    b.writeUInt16BE(checksum === 0 && !this.#isTcp ? 0xffff : checksum, field);
  }
}

/** Puts the DSCP that announces INT into an IP header that is complete. */
function markInt(out: Buffer, ip: number, isV6: boolean, dscp: number): void {
  if (isV6) {
    out[ip] = (out[ip] & 0xf0) | (dscp >>> 2);
    out[ip + 1] = (out[ip + 1] & 0x3f) | ((dscp & 3) << 6);
    return;
  }
  out[ip + 1] = (dscp << 2) | (out[ip + 1] & 3);
  out.writeUInt16BE(0, ip + 10);
  out.writeUInt16BE(internetChecksumAt(out, ip, 20), ip + 10);
}
