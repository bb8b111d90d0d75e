// Numbers as P4Runtime carries them: the shortest big-endian octets (P4Runtime specification 1.5, section 8.4, "canonical").

/** The canonical octets of a number. Throws RangeError where it has more bits than `bitwidth`, or is negative. */
export function bytesOf(value: bigint, bitwidth: number): Buffer {
  if (value < 0n || value >> BigInt(bitwidth) !== 0n) throw new RangeError(`${value} does not fit into ${bitwidth} bits`);
  const hex = value.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
}

/** The number of octets in any form, canonical or padded; empty ones are 0. */
export function numberOf(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
}

/** Whether octets are the canonical form of their number. */
export function isCanonical(bytes: Uint8Array): boolean {
  return bytes.length === 1 || (bytes.length > 1 && bytes[0] !== 0);
}

/** A mask of `bitwidth` bits whose first `length` are set. */
export function prefixMask(length: number, bitwidth: number): bigint {
  return ((1n << BigInt(length)) - 1n) << BigInt(bitwidth - length);
}

/** A mask whose `bitwidth` bits are all set. */
export function fullMask(bitwidth: number): bigint {
  return (1n << BigInt(bitwidth)) - 1n;
}
