// The heads of packets, as a switch sees them: Ethernet, IPv4, TCP or UDP. Written from RFC 791, 768 and 9293.
// Rule: nothing here is shared with the decoder, so that one bug cannot hide another.

import { internetChecksumAt } from './octets.ts';

/** A packet as a report's fragment shows it. Addresses are dotted IPv4. */
export interface PacketHead {
  sourceAddress: number;
  destinationAddress: number;
  protocol: 6 | 17;
  sourcePort: number;
  destinationPort: number;
  /** Octets of the whole IP packet, of which the fragment shows only the head. */
  lengthBytes: number;
  ttl: number;
  dscp: number;
  identification: number;
  tcpSequence: number;
}

const ETHERNET = 14;
const IPV4 = 20;

/** Octets that `writePacketHead` writes for a protocol. */
export function packetHeadBytes(protocol: 6 | 17): number {
  return ETHERNET + IPV4 + (protocol === 6 ? 20 : 8);
}

/** Writes Ethernet, IPv4 and the L4 header at `o` and returns the offset behind them. */
export function writePacketHead(out: Buffer, o: number, packet: PacketHead): number {
  out.writeUIntBE(0x0200_0000_0001, o, 6);
  out.writeUIntBE(0x0200_0000_0002, o + 6, 6);
  out.writeUInt16BE(0x0800, o + 12);
  const ip = o + ETHERNET;
  out.writeUInt8(0x45, ip);
  out.writeUInt8(packet.dscp << 2, ip + 1);
  out.writeUInt16BE(packet.lengthBytes, ip + 2);
  out.writeUInt16BE(packet.identification & 0xffff, ip + 4);
  out.writeUInt16BE(0x4000, ip + 6);
  out.writeUInt8(packet.ttl, ip + 8);
  out.writeUInt8(packet.protocol, ip + 9);
  out.writeUInt16BE(0, ip + 10);
  out.writeUInt32BE(packet.sourceAddress, ip + 12);
  out.writeUInt32BE(packet.destinationAddress, ip + 16);
  out.writeUInt16BE(internetChecksumAt(out, ip, IPV4), ip + 10);
  const l4 = ip + IPV4;
  out.writeUInt16BE(packet.sourcePort, l4);
  out.writeUInt16BE(packet.destinationPort, l4 + 2);
  if (packet.protocol === 17) {
    out.writeUInt16BE(packet.lengthBytes - IPV4, l4 + 4);
    out.writeUInt16BE(0, l4 + 6);
    return l4 + 8;
  }
  out.writeUInt32BE(packet.tcpSequence >>> 0, l4 + 4);
  out.writeUInt32BE(1, l4 + 8);
  out.writeUInt16BE(0x5018, l4 + 12);
  out.writeUInt16BE(0xffff, l4 + 14);
  out.writeUInt32BE(0, l4 + 16);
  return l4 + 20;
}
