// Frames out of capture files: pcap (microseconds and nanoseconds, both byte orders) and pcapng.
// Formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng. Reads in pieces; memory is bounded by the largest block.
// Rule: a file that ends in the middle of a frame gives every whole frame before it, and then says where it broke off.

import { closeSync, openSync, readSync } from 'node:fs';

const MAX_BLOCK_BYTES = 16 * 1024 * 1024;
const PIECE_BYTES = 1024 * 1024;

/** One captured frame. `data` is a view that the next frame overwrites. */
export interface CapturedFrame {
  /** Position among all frames of the file, from 0. */
  index: number;
  seconds: number;
  nanoseconds: number;
  /** LINKTYPE_ number of the interface. */
  linkType: number;
  data: Uint8Array;
}

/** The file cannot be read as a capture, or not to its end. The message says what and at which octet. */
export class CaptureError extends Error {}

/** Reads all frames of the capture at `path` in file order; throws CaptureError after the last whole frame of a broken file. */
export function* readCapture(path: string): Generator<CapturedFrame, void, void> {
  const source = new Source(path);
  try {
    const magic = source.peek(4);
    if (magic === undefined) throw new CaptureError(`${path}: too short for a capture file (no magic number)`);
    const view = new DataView(magic.buffer, magic.byteOffset, 4);
    const number = view.getUint32(0, true);
    if (number === 0x0a0d0d0a) yield* readPcapng(source);
    else yield* readPcap(source, number);
  } finally {
    source.close();
  }
}

function* readPcap(source: Source, magic: number): Generator<CapturedFrame, void, void> {
  const littleEndian = magic === 0xa1b2c3d4 || magic === 0xa1b23c4d;
  const nanoseconds = magic === 0xa1b23c4d || magic === 0x4d3cb2a1;
  if (!littleEndian && magic !== 0xd4c3b2a1 && magic !== 0x4d3cb2a1) {
    throw new CaptureError(`${source.path}: not a pcap or pcapng file (magic number 0x${magic.toString(16)} at octet 0)`);
  }
  const linkType = source.take(24, 'file header').getUint16(littleEndian ? 20 : 22, littleEndian);
  for (let index = 0; !source.atEnd(); index++) {
    const header = source.take(16, `header of frame ${index}`);
    const seconds = header.getUint32(0, littleEndian);
    const fraction = header.getUint32(4, littleEndian);
    const length = header.getUint32(8, littleEndian);
    yield {
      index,
      seconds,
      nanoseconds: nanoseconds ? fraction : fraction * 1000,
      linkType,
      data: bytesOf(source.take(length, `frame ${index}`)),
    };
  }
}

interface CaptureInterface {
  linkType: number;
  /** Timestamp units per second. */
  unitsPerSecond: bigint;
  snapLength: number;
}

function* readPcapng(source: Source): Generator<CapturedFrame, void, void> {
  let littleEndian = true;
  let interfaces: CaptureInterface[] = [];
  let index = 0;
  while (!source.atEnd()) {
    const head = source.take(8, 'block header');
    const type = head.getUint32(0, littleEndian);
    let total = head.getUint32(4, littleEndian);
    if (type === 0x0a0d0d0a) {
      const order = source.take(4, 'byte-order magic');
      littleEndian = order.getUint32(0, true) === 0x1a2b3c4d;
      if (!littleEndian && order.getUint32(0, false) !== 0x1a2b3c4d) {
        throw new CaptureError(`${source.path}: unknown byte-order magic in the section header before octet ${source.offset}`);
      }
      total = head.getUint32(4, littleEndian);
      skipRest(source, total, 12);
      interfaces = [];
      continue;
    }
    if (total < 12 || total % 4 !== 0) {
      throw new CaptureError(`${source.path}: block length ${total} is impossible before octet ${source.offset}`);
    }
    const block = source.take(total - 8, `block of type ${type}`);
    const bodyBytes = total - 12;
    if (type === 1) {
      if (bodyBytes < 8) throw new CaptureError(`${source.path}: an interface block is too short before octet ${source.offset}`);
      interfaces.push(readInterface(block, bodyBytes, littleEndian));
    } else if (type === 6 || type === 2 || type === 3) {
      const frame = readPacketBlock(type, block, bodyBytes, littleEndian, interfaces, index);
      if (frame === undefined) {
        throw new CaptureError(`${source.path}: frame ${index} does not fit its block before octet ${source.offset}`);
      }
      yield frame;
      index++;
    }
  }
}

function skipRest(source: Source, total: number, taken: number): void {
  if (total < 28 || total % 4 !== 0) throw new CaptureError(`${source.path}: section header length ${total} is impossible`);
  source.take(total - taken, 'section header');
}

function readInterface(block: DataView, bodyBytes: number, littleEndian: boolean): CaptureInterface {
  const result = {
    linkType: block.getUint16(0, littleEndian),
    unitsPerSecond: 1_000_000n,
    snapLength: block.getUint32(4, littleEndian),
  };
  for (let o = 8; o + 4 <= bodyBytes;) {
    const code = block.getUint16(o, littleEndian);
    const length = block.getUint16(o + 2, littleEndian);
    if (code === 0) break;
    if (code === 9 && length === 1 && o + 5 <= bodyBytes) {
      const resolution = block.getUint8(o + 4);
      result.unitsPerSecond = (resolution & 0x80) !== 0 ? 2n ** BigInt(resolution & 0x3f) : 10n ** BigInt(resolution & 0x1f);
    }
    o += 4 + ((length + 3) & ~3);
  }
  return result;
}

/** Enhanced (6), obsolete (2) and simple (3) packet blocks. Undefined when lengths or the interface do not agree. */
function readPacketBlock(
  type: number,
  block: DataView,
  bodyBytes: number,
  littleEndian: boolean,
  interfaces: CaptureInterface[],
  index: number,
): CapturedFrame | undefined {
  if (type === 3) {
    const first = interfaces[0];
    if (first === undefined || bodyBytes < 4) return undefined;
    const original = block.getUint32(0, littleEndian);
    const length = Math.min(original, first.snapLength === 0 ? original : first.snapLength, bodyBytes - 4);
    return { index, seconds: 0, nanoseconds: 0, linkType: first.linkType, data: bytesOf(block, 4, length) };
  }
  if (bodyBytes < 20) return undefined;
  const port = interfaces[type === 6 ? block.getUint32(0, littleEndian) : block.getUint16(0, littleEndian)];
  const length = block.getUint32(12, littleEndian);
  if (port === undefined || length > bodyBytes - 20) return undefined;
  const units = (BigInt(block.getUint32(4, littleEndian)) << 32n) | BigInt(block.getUint32(8, littleEndian));
  const rest = ((units % port.unitsPerSecond) * 1_000_000_000n) / port.unitsPerSecond;
  return {
    index,
    seconds: Number(units / port.unitsPerSecond),
    nanoseconds: Number(rest),
    linkType: port.linkType,
    data: bytesOf(block, 20, length),
  };
}

function bytesOf(view: DataView, offset = 0, length = view.byteLength - offset): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + offset, length);
}

/** A file read forward in pieces. */
class Source {
  readonly path: string;
  /** Octets consumed so far. */
  offset = 0;
  #fd: number;
  #buffer = new Uint8Array(PIECE_BYTES);
  #start = 0;
  #end = 0;

  constructor(path: string) {
    this.path = path;
    this.#fd = openSync(path, 'r');
  }

  close(): void {
    closeSync(this.#fd);
  }

  atEnd(): boolean {
    return this.peek(1) === undefined;
  }

  /** The next `length` octets without consuming them, or undefined when the file has fewer. */
  peek(length: number): Uint8Array | undefined {
    if (this.#end - this.#start < length) this.#fill(length);
    return this.#end - this.#start < length ? undefined : this.#buffer.subarray(this.#start, this.#start + length);
  }

  /** Consumes `length` octets; throws CaptureError when `what` is cut off by the end of the file. */
  take(length: number, what: string): DataView {
    if (length > MAX_BLOCK_BYTES) {
      throw new CaptureError(
        `${this.path}: ${what} at octet ${this.offset} claims ${length} octets; the limit is ${MAX_BLOCK_BYTES}`,
      );
    }
    const bytes = this.peek(length);
    if (bytes === undefined) {
      throw new CaptureError(`${this.path}: the file ends inside ${what}, at octet ${this.offset + this.#end - this.#start}`);
    }
    this.#start += length;
    this.offset += length;
    return new DataView(bytes.buffer, bytes.byteOffset, length);
  }

  #fill(length: number): void {
    const kept = this.#buffer.subarray(this.#start, this.#end);
    if (length > this.#buffer.length) {
      const larger = new Uint8Array(length + PIECE_BYTES);
      larger.set(kept);
      this.#buffer = larger;
    } else this.#buffer.copyWithin(0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
    while (this.#end < length) {
      const read = readSync(this.#fd, this.#buffer, this.#end, this.#buffer.length - this.#end, null);
      if (read === 0) return;
      this.#end += read;
    }
  }
}
