// TCP, UDP, SCTP and ICMP headers, written from RFC 9293, 768, 9260, 792, 4443.
// Checksums are derived only where the whole packet is written: an exporter cannot verify a cut one either.

import { crc32cOctets, internetChecksumOf, padded, u16, u32, u8 } from './octets.ts';
import type { Above, Following, Head } from './layers.ts';

export interface TcpLayer {
  kind: 'tcp';
  sourcePort: number;
  destinationPort: number;
  sequence?: number;
  acknowledgment?: number;
  /** Twelve bits at most: AE 0x100, CWR 0x80, ECE 0x40, URG 0x20, ACK 0x10, PSH 0x08, RST 0x04, SYN 0x02, FIN 0x01. Default ACK. */
  flags?: number;
  /** Default 0xffff. */
  window?: number;
  urgentPointer?: number;
  /** Raw option octets, filled with zeros to a multiple of 4. */
  options?: Uint8Array;
  /** Words; give it where the options stand elsewhere (behind an INT stack). Default: header and options. */
  dataOffset?: number;
  /** Default: derived, 0 in a cut packet. */
  checksum?: number;
}

export interface UdpLayer {
  kind: 'udp';
  sourcePort: number;
  destinationPort: number;
  /** Default: header and what follows. */
  length?: number;
  /** Default: derived, 0 in a cut packet. */
  checksum?: number;
}

/** The common header; chunks follow as octets. */
export interface SctpLayer {
  kind: 'sctp';
  sourcePort: number;
  destinationPort: number;
  verificationTag: number;
  /** CRC32c; default: derived, 0 in a cut packet. */
  checksum?: number;
}

/** An echo payload or, for error messages, the offending packet follows as layers. */
export interface IcmpLayer {
  kind: 'icmp' | 'icmpv6';
  type: number;
  code?: number;
  /** Of echo messages, where `restOfHeader` is not given. */
  identifier?: number;
  sequence?: number;
  /** The second word as one number: unused, MTU, pointer. */
  restOfHeader?: number;
  /** Default: derived, 0 in a cut packet. */
  checksum?: number;
}

/** 20 octets and the options. */
export function tcpHead(layer: TcpLayer, following: Following, above: Above | undefined): Head {
  const options = padded(layer.options ?? Buffer.alloc(0), 4);
  const dataOffset = layer.dataOffset ?? (20 + options.length) / 4;
  const octets = Buffer.concat([
    u16(layer.sourcePort),
    u16(layer.destinationPort),
    u32(layer.sequence ?? 0),
    u32(layer.acknowledgment ?? 0),
    u16((dataOffset << 12) | (layer.flags ?? 0x10)),
    u16(layer.window ?? 0xffff),
    u16(0),
    u16(layer.urgentPointer ?? 0),
    options,
  ]);
  octets.writeUInt16BE(layer.checksum ?? pseudoChecksum(6, octets, following, above), 16);
  return { octets };
}

/** 8 octets. */
export function udpHead(layer: UdpLayer, following: Following, above: Above | undefined): Head {
  const length = layer.length ?? 8 + following.originalBytes;
  const octets = Buffer.concat([u16(layer.sourcePort), u16(layer.destinationPort), u16(length), u16(0)]);
  const whole = length === 8 + following.octets.length && isWhole(following) && above?.whole;
  // Zero on the wire means "no checksum" (RFC 768), so a sum of zero is sent as all ones.
  const derived = whole ? pseudoChecksum(17, octets, following, above) || 0xffff : 0;
  octets.writeUInt16BE(layer.checksum ?? derived, 6);
  return { octets, originalBytes: length };
}

/** 12 octets. */
export function sctpHead(layer: SctpLayer, following: Following, above: Above | undefined): Head {
  const octets = Buffer.concat([u16(layer.sourcePort), u16(layer.destinationPort), u32(layer.verificationTag), u32(0)]);
  if (layer.checksum !== undefined) octets.writeUInt32BE(layer.checksum, 8);
  else if (isWhole(following) && above?.whole) crc32cOctets(Buffer.concat([octets, following.octets])).copy(octets, 8);
  return { octets };
}

/** 8 octets. */
export function icmpHead(layer: IcmpLayer, following: Following, above: Above | undefined): Head {
  const rest = layer.restOfHeader ?? (layer.identifier ?? 0) * 0x10000 + (layer.sequence ?? 0);
  const octets = Buffer.concat([u8(layer.type), u8(layer.code ?? 0), u16(0), u32(rest)]);
  let derived = 0;
  if (layer.kind === 'icmpv6') derived = pseudoChecksum(58, octets, following, above);
  else if (isWhole(following) && above?.whole) derived = internetChecksumOf(octets, following.octets);
  octets.writeUInt16BE(layer.checksum ?? derived, 2);
  return { octets };
}

function isWhole(following: Following): boolean {
  return following.originalBytes === following.octets.length;
}

function pseudoChecksum(protocol: number, head: Buffer, following: Following, above: Above | undefined): number {
  if (above === undefined || !above.whole || !isWhole(following)) return 0;
  const length = head.length + following.octets.length;
  // The two pseudo headers (RFC 9293 3.1, RFC 8200 8.1) sum up to the same: the wider fields only add zeros.
  return internetChecksumOf(above.source, above.destination, u32(length), u32(protocol), head, following.octets);
}
