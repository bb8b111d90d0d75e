// Addresses at the edges: text to and from the four big-endian words that the packet path compares.
// IPv4 is held as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2), so both families share one key.

import ipaddr from 'ipaddr.js';

/** Writes an address as four words at `out[offset]`. Throws on text that is no address: callers pass what a kernel or parser made. */
export function writeAddressWords(text: string, out: Uint32Array, offset: number): void {
  const bare = text.includes('%') ? text.slice(0, text.indexOf('%')) : text;
  const parsed = ipaddr.parse(bare);
  const parts = parsed.kind() === 'ipv4' ? (parsed as ipaddr.IPv4).toIPv4MappedAddress().parts : (parsed as ipaddr.IPv6).parts;
  for (let word = 0; word < 4; word++) out[offset + word] = ((parts[word * 2] << 16) | parts[word * 2 + 1]) >>> 0;
}

/** Text of the address at `words[offset]`: dotted for IPv4, compressed (RFC 5952) for IPv6. */
export function addressText(words: Uint32Array, offset: number): string {
  if (words[offset] === 0 && words[offset + 1] === 0 && words[offset + 2] === 0xffff) {
    const v = words[offset + 3];
    return `${v >>> 24}.${(v >>> 16) & 255}.${(v >>> 8) & 255}.${v & 255}`;
  }
  return ipv6Text(words, offset);
}

/** Text of an IPv6 address (RFC 5952), an IPv4-mapped one included. */
export function ipv6Text(words: Uint32Array, offset: number): string {
  const parts: number[] = [];
  for (let word = 0; word < 4; word++) parts.push(words[offset + word] >>> 16, words[offset + word] & 0xffff);
  return new ipaddr.IPv6(parts).toRFC5952String();
}
