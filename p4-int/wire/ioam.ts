// IOAM options: pre-allocated and incremental trace, edge-to-edge, direct export, and their IPv6 carrier.
// RFC 9197, RFC 9326, RFC 9486.

import { u16, u32, u64, u8 } from './octets.ts';
import { nodeOctets, nodeWords, snapshotOctets, type IoamNode } from './ioam-node.ts';
import type { Ipv6Option } from './layer-ipv6-extension.ts';

const IOAM_PREALLOCATED_TRACE = 0;
const IOAM_INCREMENTAL_TRACE = 1;
const IOAM_EDGE_TO_EDGE = 3;
const IOAM_DIRECT_EXPORT = 4;
/** IPv6 option types of RFC 9486: data that may change en route, and data that may not. */
const IPV6_OPTION_IOAM_MUTABLE = 0x31;
const IPV6_OPTION_IOAM_IMMUTABLE = 0x11;

/** One IOAM option: its type and its octets, without the carrier's header. */
export interface IoamOption {
  optionType: number;
  data: Buffer;
}

export interface IoamTrace {
  /** 16 bits; 0 is the default namespace. */
  namespaceId: number;
  /** 24 bits, bit 0 the most significant. */
  traceType: number;
  /** Path order: the encapsulating node first. */
  nodes: readonly IoamNode[];
  overflow?: boolean;
  /** RFC 9322. */
  loopback?: boolean;
  active?: boolean;
  /**
   * RemainingLen in words, 7 bits. Pre-allocated: the free space that stands in front of the node data.
   * Incremental: how much may still be added; nothing stands for it in the packet.
   */
  remainingLength: number;
  /** 5 bits; default: the words of the trace type without bit 22. */
  nodeLength?: number;
  /** Octet that fills the free space of a pre-allocated trace. Default 0. */
  freeSpaceFill?: number;
}

/** Free space, then the newest node, the oldest last. */
export function ioamPreallocatedTrace(trace: IoamTrace): IoamOption {
  const free = Buffer.alloc(trace.remainingLength * 4, trace.freeSpaceFill ?? 0);
  return { optionType: IOAM_PREALLOCATED_TRACE, data: traceOctets(trace, free) };
}

/** The newest node first, no free space. */
export function ioamIncrementalTrace(trace: IoamTrace): IoamOption {
  return { optionType: IOAM_INCREMENTAL_TRACE, data: traceOctets(trace, Buffer.alloc(0)) };
}

export interface IoamEdgeToEdge {
  namespaceId: number;
  /** Each field sets its bit of the E2E type. */
  sequence64?: bigint;
  sequence32?: number;
  timestampSeconds?: number;
  timestampFraction?: number;
}

/** Edge-to-edge option, type 3. */
export function ioamEdgeToEdge(option: IoamEdgeToEdge): IoamOption {
  const { sequence64, sequence32, timestampSeconds, timestampFraction } = option;
  const fields = [
    sequence64 === undefined ? undefined : u64(sequence64),
    sequence32 === undefined ? undefined : u32(sequence32),
    timestampSeconds === undefined ? undefined : u32(timestampSeconds),
    timestampFraction === undefined ? undefined : u32(timestampFraction),
  ];
  const type = fields.reduce((sum, field, n) => sum | (field === undefined ? 0 : 0x8000 >>> n), 0);
  const present = fields.filter((field) => field !== undefined);
  return { optionType: IOAM_EDGE_TO_EDGE, data: Buffer.concat([u16(option.namespaceId), u16(type), ...present]) };
}

export interface IoamDirectExport {
  namespaceId: number;
  /** 8 bits. */
  flags?: number;
  /** 24 bits: what the nodes shall export. */
  traceType: number;
  /** Each sets its extension flag. */
  flowId?: number;
  sequence?: number;
  /** Extension flags beyond bits 0 and 1; their fields go into `more`. */
  otherExtensionFlags?: number;
  more?: Uint8Array;
}

/** Direct export option, type 4. */
export function ioamDirectExport(option: IoamDirectExport): IoamOption {
  const extensionFlags =
    (option.flowId === undefined ? 0 : 0x80) | (option.sequence === undefined ? 0 : 0x40) | (option.otherExtensionFlags ?? 0);
  const data = Buffer.concat([
    u16(option.namespaceId),
    u8(option.flags ?? 0),
    u8(extensionFlags),
    u32(option.traceType * 0x100),
    option.flowId === undefined ? Buffer.alloc(0) : u32(option.flowId),
    option.sequence === undefined ? Buffer.alloc(0) : u32(option.sequence),
    option.more ?? Buffer.alloc(0),
  ]);
  return { optionType: IOAM_DIRECT_EXPORT, data };
}

/** The IPv6 option for a hop-by-hop or destination header: reserved octet, IOAM option type, data; aligned to 4 octets. */
export function ioamIpv6Option(option: IoamOption, type = ipv6OptionType(option)): Ipv6Option {
  return { type, data: Buffer.concat([u8(0), u8(option.optionType), option.data]), alignTo: 4 };
}

function ipv6OptionType(option: IoamOption): number {
  return option.optionType < IOAM_EDGE_TO_EDGE ? IPV6_OPTION_IOAM_MUTABLE : IPV6_OPTION_IOAM_IMMUTABLE;
}

function traceOctets(trace: IoamTrace, free: Buffer): Buffer {
  const flags = (trace.overflow ? 8 : 0) | (trace.loopback ? 4 : 0) | (trace.active ? 2 : 0);
  const nodeLength = trace.nodeLength ?? nodeWords(trace.traceType);
  const nodes = trace.nodes.map((node) =>
    Buffer.concat([nodeOctets(node, trace.traceType), snapshotOctets(node, trace.traceType)]),
  );
  return Buffer.concat([
    u16(trace.namespaceId),
    u16((nodeLength << 11) | (flags << 7) | trace.remainingLength),
    u32(trace.traceType * 0x100),
    free,
    ...nodes.reverse(),
  ]);
}
