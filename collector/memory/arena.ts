// Shared memory cut into typed arrays, in the same order on both threads.
// A table is built over an arena; the hot thread writes it, the calm thread builds the same table over the same buffer and reads.
// Rule: sizes depend on configuration only, so that both sides cut alike.

/**
 * The C library gives out large memory 16 octets behind a page (glibc), so that a cache line begins here. Where it does not, rows lie across two
 * lines, which is slower and as right.
 */
const FIRST_OFFSET = 48;

/** Hands out consecutive typed arrays over one SharedArrayBuffer, each at the beginning of a cache line. */
export class Arena {
  readonly buffer: SharedArrayBuffer | undefined;
  #offset = FIRST_OFFSET;

  /** Without a buffer the arena only measures: it hands out empty arrays and counts. */
  constructor(buffer?: SharedArrayBuffer) {
    this.buffer = buffer;
  }

  /** Octets handed out so far. */
  get byteLength(): number {
    return this.#offset;
  }

  float64(length: number): Float64Array {
    const at = this.#advance(length * 8);
    return this.buffer === undefined ? new Float64Array(0) : new Float64Array(this.buffer, at, length);
  }

  uint32(length: number): Uint32Array {
    const at = this.#advance(length * 4);
    return this.buffer === undefined ? new Uint32Array(0) : new Uint32Array(this.buffer, at, length);
  }

  int32(length: number): Int32Array {
    const at = this.#advance(length * 4);
    return this.buffer === undefined ? new Int32Array(0) : new Int32Array(this.buffer, at, length);
  }

  uint8(length: number): Uint8Array {
    const at = this.#advance(length);
    return this.buffer === undefined ? new Uint8Array(0) : new Uint8Array(this.buffer, at, length);
  }

  #advance(bytes: number): number {
    const at = this.#offset;
    this.#offset += (bytes + 63) & ~63;
    return at;
  }
}

/** Octets that `build` cuts out of an arena. `build` must not read what it is given. */
export function measure(build: (arena: Arena) => void): number {
  const arena = new Arena();
  build(arena);
  return arena.byteLength;
}
