// Octets out of numbers and addresses, and the checksums of RFC 1071 and RFC 3309 (CRC32c, RFC 9260 appendix A).
// Rule: nothing here is shared with the decoder, so that one bug cannot hide another.

/** One octet. */
export function u8(value: number): Buffer {
  return Buffer.from([value & 0xff]);
}

/** Two octets, big endian; the value is taken modulo 2^16. */
export function u16(value: number): Buffer {
  return Buffer.from([(value >>> 8) & 0xff, value & 0xff]);
}

/** Four octets, big endian; the value is taken modulo 2^32. */
export function u32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value >>> 0);
  return out;
}

/** Eight octets, big endian; the value is taken modulo 2^64. */
export function u64(value: bigint): Buffer {
  const out = Buffer.alloc(8);
  out.writeBigUInt64BE(BigInt.asUintN(64, value));
  return out;
}

/** `count` octets of all ones: "not available" in INT and IOAM. */
export function ones(count: number): Buffer {
  return Buffer.alloc(count, 0xff);
}

/** The octets followed by as many `fill` octets as make the length a multiple of `multiple`. */
export function padded(octets: Uint8Array, multiple: number, fill = 0): Buffer {
  const missing = (multiple - (octets.length % multiple)) % multiple;
  return Buffer.concat([octets, Buffer.alloc(missing, fill)]);
}

/** Six octets of `02:00:00:00:00:0a`. */
export function macOctets(address: string): Buffer {
  const octets = Buffer.from(address.replaceAll(':', ''), 'hex');
  if (octets.length !== 6) throw new Error(`not a MAC address: ${address}`);
  return octets;
}

/** Four octets of `10.0.0.1`. */
export function ipv4Octets(address: string): Buffer {
  const parts = address.split('.').map(Number);
  if (parts.length !== 4 || parts.some((part) => !Number.isInteger(part) || part < 0 || part > 255)) {
    throw new Error(`not an IPv4 address: ${address}`);
  }
  return Buffer.from(parts);
}

/** Sixteen octets of an IPv6 address in hexadecimal groups, with at most one `::` and no dotted part. */
export function ipv6Octets(address: string): Buffer {
  const [left = '', right] = address.split('::');
  const head = left === '' ? [] : left.split(':');
  const tail = right === undefined || right === '' ? [] : right.split(':');
  const missing = 8 - head.length - tail.length;
  if (right === undefined ? missing !== 0 : missing < 1) throw new Error(`not an IPv6 address: ${address}`);
  const groups = [...head, ...Array<string>(missing).fill('0'), ...tail];
  return Buffer.concat(groups.map((group) => u16(parseInt(group, 16))));
}

/** The Internet checksum (RFC 1071) of the octets; an odd one is filled with a zero. */
export function internetChecksumOf(...parts: readonly Uint8Array[]): number {
  const octets = padded(Buffer.concat(parts), 2);
  return internetChecksumAt(octets, 0, octets.length);
}

/** The same of an even number of octets where they lie. */
export function internetChecksumAt(octets: Buffer, start: number, length: number): number {
  let sum = 0;
  for (let i = start; i < start + length; i += 2) {
    sum += octets.readUInt16BE(i);
    if (sum > 0xffff) sum = (sum & 0xffff) + 1;
  }
  return ~sum & 0xffff;
}

/** CRC32c of the octets as SCTP puts it on the wire: four octets, least significant first. */
export function crc32cOctets(octets: Uint8Array): Buffer {
  let crc = 0xffffffff;
  for (const octet of octets) {
    crc ^= octet;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  const out = Buffer.alloc(4);
  out.writeUInt32LE(~crc >>> 0);
  return out;
}
