// Addresses as our programs match them: 128 bits, IPv4 in IPv6's mapped form (::ffff:0:0/96, RFC 4291 section 2.5.5.2).

import ipaddr from 'ipaddr.js';

/** Bits before an IPv4 address in its mapped form. */
export const MAPPED_BITS = 96;

/** The 128 bits of an address. Throws on text that is none: callers have checked it. */
export function addressNumber(text: string): bigint {
  const parsed = ipaddr.parse(text);
  const { parts } = parsed.kind() === 'ipv4' ? (parsed as ipaddr.IPv4).toIPv4MappedAddress() : (parsed as ipaddr.IPv6);
  return parts.reduce((value, part) => (value << 16n) | BigInt(part), 0n);
}

/** The last 32 bits as a dotted address. */
export function ipv4Text(value: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join('.');
}
