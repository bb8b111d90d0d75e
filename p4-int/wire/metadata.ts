// Metadata of one node as words on the wire: interfaces, queue, buffer, timestamps.
// `null` is "not available" and becomes all ones; the unit of times and occupancies is that of the device.

import { ones, u16, u32, u64, u8 } from './octets.ts';

/** A number, or `null` where the node does not know it. */
export type Known<T> = T | null;

export interface InterfacePair {
  ingressInterfaceId: Known<number>;
  egressInterfaceId: Known<number>;
}

export interface QueueState {
  /** 8 bits. */
  queueId: number;
  /** 24 bits. */
  queueOccupancy: number;
}

export interface BufferState {
  /** 8 bits. */
  bufferId: number;
  /** 24 bits. */
  bufferOccupancy: number;
}

export interface QueueDrop {
  /** 8 bits. */
  queueId: number;
  /** 8 bits; meaning per implementation. */
  dropReason: number;
}

/** What one node knows; a key that is absent or `null` is written as all ones where its bit is asked for. */
export interface NodeMetadata {
  /** 32 bits. */
  nodeId?: Known<number>;
  /** 16 + 16 bits. */
  level1Interfaces?: Known<InterfacePair>;
  /** 32 bits. */
  hopLatency?: Known<number>;
  queue?: Known<QueueState>;
  /** 64 bits in the 2.x versions, the low 32 bits before. */
  ingressTimestamp?: Known<bigint>;
  egressTimestamp?: Known<bigint>;
  /** 32 + 32 bits (GEANT: 16 + 16). */
  level2Interfaces?: Known<InterfacePair>;
  /** 32 bits. */
  egressTxUtilization?: Known<number>;
  buffer?: Known<BufferState>;
}

/** Mask of bitmap bit `n`, counted from the most significant of 16. */
export function bitMask(n: number): number {
  return 0x8000 >>> n;
}

/** Four octets, or all ones. */
export function word(value: Known<number> | undefined): Buffer {
  return value === null || value === undefined ? ones(4) : u32(value);
}

/** Eight octets, or all ones. */
export function doubleWord(value: Known<bigint> | undefined): Buffer {
  return value === null || value === undefined ? ones(8) : u64(value);
}

/** A timestamp of 4 (low 32 bits) or 8 octets, or all ones. */
export function timestamp(value: Known<bigint> | undefined, octets: 4 | 8): Buffer {
  return doubleWord(value).subarray(8 - octets);
}

/** Two interface ids of `octets` each; an unknown one, or an unknown pair, is all ones. */
export function interfacePair(pair: Known<InterfacePair> | undefined, octets: 2 | 4): Buffer {
  const one = (id: Known<number> | undefined) => word(id).subarray(4 - octets);
  return Buffer.concat([one(pair?.ingressInterfaceId), one(pair?.egressInterfaceId)]);
}

/** Queue id 8, occupancy 24. */
export function queueWord(queue: Known<QueueState> | undefined): Buffer {
  return queue ? u32(queue.queueId * 0x100_0000 + (queue.queueOccupancy & 0xff_ffff)) : ones(4);
}

/** Buffer id 8, occupancy 24. */
export function bufferWord(buffer: Known<BufferState> | undefined): Buffer {
  return buffer ? u32(buffer.bufferId * 0x100_0000 + (buffer.bufferOccupancy & 0xff_ffff)) : ones(4);
}

/** Queue id 8, drop reason 8, pad 16. */
export function dropWord(drop: Known<QueueDrop> | undefined): Buffer {
  return drop ? Buffer.concat([u8(drop.queueId), u8(drop.dropReason), u16(0)]) : ones(4);
}
