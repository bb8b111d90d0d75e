// The data that one IOAM node adds to a trace: the fields of trace-type bits 0 to 11 and the opaque state snapshot of bit 22.
// RFC 9197 sections 4.4.1 and 4.4.2; section 9.11.

import { ones, u16, u32, u8 } from './octets.ts';
import { doubleWord, interfacePair, word, type InterfacePair, type Known } from './metadata.ts';

/** What a node knows; a key that is absent or `null` is written as all ones where its bit is asked for. */
export interface IoamNode {
  /** Bits 0 and 8: TTL or hop limit, 8 bits; 0xff where absent. */
  hopLimit?: number;
  /** Bit 0: 24 bits. */
  nodeId?: Known<number>;
  /** Bit 1: 16 + 16 bits. */
  interfaces?: Known<InterfacePair>;
  /** Bits 2 and 3: format per deployment (PTP, NTP, POSIX). */
  timestampSeconds?: Known<number>;
  timestampFraction?: Known<number>;
  /** Bit 4: nanoseconds, 31 bits; `overflow` sets the top bit. */
  transitDelay?: Known<{ nanoseconds: number; overflow?: boolean }>;
  /** Bit 5: 32 bits. */
  namespaceData?: Known<number>;
  /** Bit 6: 32 bits, unit per device. */
  queueDepth?: Known<number>;
  /** Bit 7: 32 bits. */
  checksumComplement?: Known<number>;
  /** Bit 8: 56 bits. */
  nodeIdWide?: Known<bigint>;
  /** Bit 9: 32 + 32 bits. */
  interfacesWide?: Known<InterfacePair>;
  /** Bit 10: 64 bits. */
  namespaceDataWide?: Known<bigint>;
  /** Bit 11: 32 bits, unit per device. */
  bufferOccupancy?: Known<number>;
  /** Bit 22; absent = length 0 and schema id 0xffffff. `data` is a multiple of 4 octets. */
  opaqueState?: { schemaId: number; data: Uint8Array };
}

/** Mask of trace-type bit `n`, counted from the most significant of 24. */
export function traceTypeBit(n: number): number {
  return 0x80_0000 >>> n;
}

/** Words per node, NodeLen: everything but the opaque state snapshot. */
export function nodeWords(traceType: number): number {
  return nodeOctets({}, traceType).length / 4;
}

/** The fixed-size fields of the bits that are set, in bit order. */
export function nodeOctets(node: IoamNode, traceType: number): Buffer {
  const fields: Buffer[] = [];
  for (let n = 0; n < 22; n++) if (traceType & traceTypeBit(n)) fields.push(fieldOctets(node, n));
  return Buffer.concat(fields);
}

/** The opaque state snapshot, nothing where bit 22 is clear. */
export function snapshotOctets(node: IoamNode, traceType: number): Buffer {
  if (!(traceType & traceTypeBit(22))) return Buffer.alloc(0);
  const { schemaId, data } = node.opaqueState ?? { schemaId: 0xff_ffff, data: Buffer.alloc(0) };
  if (data.length % 4 !== 0) throw new Error('an opaque state snapshot is a multiple of 4 octets');
  return Buffer.concat([u32((data.length / 4) * 0x100_0000 + schemaId), data]);
}

function fieldOctets(node: IoamNode, bit: number): Buffer {
  switch (bit) {
    case 0:
      return withHopLimit(node, word(node.nodeId).subarray(1));
    case 1:
      return interfacePair(node.interfaces, 2);
    case 2:
      return word(node.timestampSeconds);
    case 3:
      return word(node.timestampFraction);
    case 4:
      return node.transitDelay ? delayOctets(node.transitDelay) : ones(4);
    case 5:
      return word(node.namespaceData);
    case 6:
      return word(node.queueDepth);
    case 7:
      return word(node.checksumComplement);
    case 8:
      return withHopLimit(node, doubleWord(node.nodeIdWide).subarray(1));
    case 9:
      return interfacePair(node.interfacesWide, 4);
    case 10:
      return doubleWord(node.namespaceDataWide);
    case 11:
      return word(node.bufferOccupancy);
    default:
      // Undefined bits 12 to 21 are 4 octets of ones.
      return ones(4);
  }
}

function withHopLimit(node: IoamNode, id: Buffer): Buffer {
  return Buffer.concat([u8(node.hopLimit ?? 0xff), id]);
}

function delayOctets(delay: { nanoseconds: number; overflow?: boolean }): Buffer {
  const high = (Math.floor(delay.nanoseconds / 0x10000) & 0x7fff) | (delay.overflow ? 0x8000 : 0);
  return Buffer.concat([u16(high), u16(delay.nanoseconds)]);
}
