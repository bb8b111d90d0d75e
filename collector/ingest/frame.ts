// The UDP datagram inside a captured frame: Ethernet, Linux cooked, BSD loopback and raw IP link layers; VLAN; IPv4 and IPv6.
// Rule: the length of the payload is the least of what UDP, IP and the capture say, since frames are padded and cut.

import ipaddr from 'ipaddr.js';

/** Hop-by-hop, routing, fragment and destination options (RFC 8200 section 4). */
const EXTENSIONS = new Set([0, 43, 44, 60]);
const FRAGMENT = 44;
const MAX_EXTENSIONS = 8;

/** A UDP payload within a captured frame. */
export interface CapturedDatagram {
  sourceAddress: string;
  destinationPort: number;
  payload: Uint8Array;
}

const LinkType = {
  null: 0,
  ethernet: 1,
  rawOld: 12,
  raw: 101,
  loop: 108,
  linuxSll: 113,
  ipv4: 228,
  ipv6: 229,
  linuxSll2: 276,
} as const;

/** The UDP datagram of the frame, or undefined when it holds none (another protocol, a later fragment, a cut header). */
export function datagramOf(data: Uint8Array, linkType: number): CapturedDatagram | undefined {
  let etherType: number;
  let o: number;
  switch (linkType) {
    case LinkType.ethernet:
      if (data.length < 14) return undefined;
      etherType = u16(data, 12);
      o = 14;
      break;
    case LinkType.linuxSll:
      if (data.length < 16) return undefined;
      etherType = u16(data, 14);
      o = 16;
      break;
    case LinkType.linuxSll2:
      if (data.length < 20) return undefined;
      etherType = u16(data, 0);
      o = 20;
      break;
    case LinkType.null:
    case LinkType.loop:
      etherType = nibbleType(data, 4);
      o = 4;
      break;
    case LinkType.raw:
    case LinkType.rawOld:
    case LinkType.ipv4:
    case LinkType.ipv6:
      etherType = nibbleType(data, 0);
      o = 0;
      break;
    default:
      return undefined;
  }
  for (let tags = 0; tags < 4 && (etherType === 0x8100 || etherType === 0x88a8 || etherType === 0x9100); tags++) {
    if (data.length - o < 4) return undefined;
    etherType = u16(data, o + 2);
    o += 4;
  }
  if (etherType === 0x0800) return datagramOfIpv4(data, o);
  if (etherType === 0x86dd) return datagramOfIpv6(data, o);
  return undefined;
}

function nibbleType(data: Uint8Array, o: number): number {
  if (data.length <= o) return 0;
  return data[o] >>> 4 === 4 ? 0x0800 : data[o] >>> 4 === 6 ? 0x86dd : 0;
}

function datagramOfIpv4(data: Uint8Array, o: number): CapturedDatagram | undefined {
  if (data.length - o < 20) return undefined;
  const headerLength = (data[o] & 0x0f) * 4;
  if (headerLength < 20 || data[o + 9] !== 17 || (u16(data, o + 6) & 0x1fff) !== 0) return undefined;
  // Total length 0: segmentation was left to the network card when the frame was captured.
  const totalLength = u16(data, o + 2) || data.length - o;
  const end = Math.min(data.length, o + Math.max(totalLength, headerLength));
  return udpAt(data, o + headerLength, end, ipv4Text(data, o + 12));
}

function datagramOfIpv6(data: Uint8Array, o: number): CapturedDatagram | undefined {
  if (data.length - o < 40) return undefined;
  const end = Math.min(data.length, o + 40 + (u16(data, o + 4) || data.length - o - 40));
  let next = data[o + 6];
  let at = o + 40;
  for (let extensions = 0; EXTENSIONS.has(next); extensions++) {
    if (extensions === MAX_EXTENSIONS || end - at < 8) return undefined;
    if (next === FRAGMENT && u16(data, at + 2) >>> 3 !== 0) return undefined;
    const bytes = next === FRAGMENT ? 8 : (data[at + 1] + 1) * 8;
    next = data[at];
    at += bytes;
  }
  return next === 17 ? udpAt(data, at, end, ipv6Text(data, o + 8)) : undefined;
}

function udpAt(data: Uint8Array, o: number, end: number, sourceAddress: string): CapturedDatagram | undefined {
  if (end - o < 8) return undefined;
  const payloadEnd = Math.min(end, o + Math.max(u16(data, o + 4), 8));
  return { sourceAddress, destinationPort: u16(data, o + 2), payload: data.subarray(o + 8, payloadEnd) };
}

function u16(b: Uint8Array, o: number): number {
  return (b[o] << 8) | b[o + 1];
}

function ipv4Text(b: Uint8Array, o: number): string {
  return `${b[o]}.${b[o + 1]}.${b[o + 2]}.${b[o + 3]}`;
}

function ipv6Text(b: Uint8Array, o: number): string {
  const groups: string[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(u16(b, o + i).toString(16));
  return (ipaddr.parse(groups.join(':')) as ipaddr.IPv6).toRFC5952String();
}
