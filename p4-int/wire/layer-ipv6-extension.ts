// IPv6 extension headers: hop-by-hop, destination, routing, fragment, authentication. RFC 8200 section 4, RFC 4302, section 10.

import { padded, u16, u32, u8 } from './octets.ts';

/** One option of a hop-by-hop or destination header. */
export interface Ipv6Option {
  type: number;
  /** 255 octets at most. */
  data: Uint8Array;
  /** The option's type octet is put at a multiple of this, counted from the start of the extension header. Default 1. */
  alignTo?: number;
}

export type Ipv6Extension =
  | { kind: 'hopByHop' | 'destination'; options: readonly Ipv6Option[] }
  /** `data` follows the four fixed octets; 4 octets modulo 8. */
  | { kind: 'routing'; routingType: number; segmentsLeft: number; data: Uint8Array }
  | { kind: 'fragment'; offsetBytes: number; moreFragments?: boolean; identification: number }
  /** `icv` is a multiple of 4 octets, and of 8 octets plus 4 for IPv6. */
  | { kind: 'auth'; spi: number; sequence: number; icv: Uint8Array };

export interface Ipv6Layer {
  kind: 'ipv6';
  /** `fd00::1`. */
  source: string;
  destination: string;
  dscp?: number;
  ecn?: number;
  flowLabel?: number;
  /** Default 64. */
  hopLimit?: number;
  /** In the order on the wire. */
  extensions?: readonly Ipv6Extension[];
  /** What the last header (fixed or extension) names; default: of the next layer, or 59 at the end. */
  nextHeader?: number;
  /** Default: extension headers and what follows. Give it for a packet of which only the head is written. */
  payloadLength?: number;
}

const NUMBERS: Record<Ipv6Extension['kind'], number> = { hopByHop: 0, routing: 43, fragment: 44, auth: 51, destination: 60 };

/** The extension headers one behind the other; `firstHeader` is what the fixed header names. */
export function extensionChain(extensions: readonly Ipv6Extension[], final: number): { firstHeader: number; octets: Buffer } {
  const parts = extensions.map((extension, index) => {
    const next = extensions[index + 1];
    return extensionOctets(extension, next === undefined ? final : NUMBERS[next.kind]);
  });
  const first = extensions[0];
  return { firstHeader: first === undefined ? final : NUMBERS[first.kind], octets: Buffer.concat(parts) };
}

function extensionOctets(extension: Ipv6Extension, nextHeader: number): Buffer {
  switch (extension.kind) {
    case 'hopByHop':
    case 'destination':
      return inEightOctetUnits(nextHeader, optionOctets(extension.options));
    case 'routing':
      return inEightOctetUnits(
        nextHeader,
        Buffer.concat([u8(extension.routingType), u8(extension.segmentsLeft), extension.data]),
      );
    case 'fragment': {
      const offset = (extension.offsetBytes & 0xfff8) | (extension.moreFragments ? 1 : 0);
      return Buffer.concat([u8(nextHeader), u8(0), u16(offset), u32(extension.identification)]);
    }
    case 'auth': {
      const body = Buffer.concat([u16(0), u32(extension.spi), u32(extension.sequence), extension.icv]);
      if (body.length % 4 !== 2) throw new Error('an integrity check value is a multiple of 4 octets');
      return Buffer.concat([u8(nextHeader), u8((body.length + 2) / 4 - 2), body]);
    }
  }
}

function inEightOctetUnits(nextHeader: number, body: Buffer): Buffer {
  if (body.length % 8 !== 6) throw new Error('an extension header is a multiple of 8 octets');
  return Buffer.concat([u8(nextHeader), u8((body.length + 2) / 8 - 1), body]);
}

function optionOctets(options: readonly Ipv6Option[]): Buffer {
  let octets = Buffer.alloc(2);
  for (const option of options) {
    const missing = paddedLength(octets.length, option.alignTo ?? 1) - octets.length;
    if (option.data.length > 255) throw new Error('an IPv6 option carries 255 octets at most');
    octets = Buffer.concat([octets, padding(missing), u8(option.type), u8(option.data.length), option.data]);
  }
  return Buffer.concat([octets, padding(paddedLength(octets.length, 8) - octets.length)]).subarray(2);
}

function paddedLength(length: number, multiple: number): number {
  return padded(Buffer.alloc(length), multiple).length;
}

function padding(count: number): Buffer {
  if (count === 0) return Buffer.alloc(0);
  return count === 1 ? u8(0) : Buffer.concat([u8(1), u8(count - 2), Buffer.alloc(count - 2)]);
}
