// IPv4 and IPv6 headers, written from RFC 791, RFC 8200.

import { internetChecksumOf, ipv4Octets, ipv6Octets, padded, u16, u32, u8 } from './octets.ts';
import { extensionChain, type Ipv6Layer } from './layer-ipv6-extension.ts';
import { ipProtocolOf } from './layer-next.ts';
import type { Following, Head } from './layers.ts';

export interface Ipv4Layer {
  kind: 'ipv4';
  /** `10.0.0.1`. */
  source: string;
  destination: string;
  dscp?: number;
  ecn?: number;
  identification?: number;
  dontFragment?: boolean;
  moreFragments?: boolean;
  /** Octets, a multiple of 8. */
  fragmentOffsetBytes?: number;
  /** Default 64. */
  ttl?: number;
  /** Raw option octets; filled with zeros (end of options) to a multiple of 4, 40 at most. */
  options?: Uint8Array;
  /** Default: of the next layer. */
  protocol?: number;
  /** Default: header and what follows. Give it for a packet of which only the head is written. */
  totalLength?: number;
  headerChecksum?: number;
}

/** 20 octets and the options. */
export function ipv4Head(layer: Ipv4Layer, following: Following): Head {
  const options = padded(layer.options ?? Buffer.alloc(0), 4);
  const headerBytes = 20 + options.length;
  const totalLength = layer.totalLength ?? headerBytes + following.originalBytes;
  const flags = (layer.dontFragment ? 0x4000 : 0) | (layer.moreFragments ? 0x2000 : 0);
  const octets = Buffer.concat([
    u8(0x40 | (headerBytes / 4)),
    u8(((layer.dscp ?? 0) << 2) | (layer.ecn ?? 0)),
    u16(totalLength),
    u16(layer.identification ?? 0),
    u16(flags | ((layer.fragmentOffsetBytes ?? 0) >>> 3)),
    u8(layer.ttl ?? 64),
    u8(layer.protocol ?? ipProtocolOf(following.next)),
    u16(0),
    ipv4Octets(layer.source),
    ipv4Octets(layer.destination),
    options,
  ]);
  octets.writeUInt16BE(layer.headerChecksum ?? internetChecksumOf(octets), 10);
  return { octets, originalBytes: totalLength };
}

/** 40 octets and the extension headers. */
export function ipv6Head(layer: Ipv6Layer, following: Following): Head {
  const final = layer.nextHeader ?? (following.next === undefined ? 59 : ipProtocolOf(following.next));
  const chain = extensionChain(layer.extensions ?? [], final);
  const payloadLength = layer.payloadLength ?? chain.octets.length + following.originalBytes;
  const trafficClass = ((layer.dscp ?? 0) << 2) | (layer.ecn ?? 0);
  const octets = Buffer.concat([
    u32(0x6000_0000 + trafficClass * 0x10_0000 + ((layer.flowLabel ?? 0) & 0xf_ffff)),
    u16(payloadLength),
    u8(chain.firstHeader),
    u8(layer.hopLimit ?? 64),
    ipv6Octets(layer.source),
    ipv6Octets(layer.destination),
    chain.octets,
  ]);
  return { octets, originalBytes: 40 + payloadLength };
}
