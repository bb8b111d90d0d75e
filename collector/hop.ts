// The record of the whole product: one batch of hops, one typed-array column per field.
// Decoders fill the raw columns, observe stages fill the derived ones; nothing else travels the packet path.
// Rule: a row is either whole or absent. Whoever appends notes `length` first and restores it on any doubt.
// Field names are those of INT v2.1 and Telemetry Report v2.0; values are in the unit that the name carries.

/** Which metadata a hop really carried (bit set). Absent is not zero. */
export const Present = {
  nodeId: 1 << 0,
  ingressInterfaceId: 1 << 1,
  egressInterfaceId: 1 << 2,
  hopLatency: 1 << 3,
  queueId: 1 << 4,
  queueOccupancy: 1 << 5,
  ingressTimestamp: 1 << 6,
  egressTimestamp: 1 << 7,
  level2IngressInterfaceId: 1 << 8,
  level2EgressInterfaceId: 1 << 9,
  egressInterfaceTxUtilization: 1 << 10,
  buffer: 1 << 11,
  dropReason: 1 << 12,
} as const;

/** Flags of a report: D, Q, F of every version, I of Telemetry Report v2.0 section 3.2. */
export const ReportFlag = { dropped: 8, congestedQueue: 4, trackedFlow: 2, intermediate: 1 } as const;

/** Which parts of the innermost packet the fragment still showed. */
export const FlowPart = { addresses: 1, ports: 2, tcpSequence: 4 } as const;

/** Provenance of a datagram; the index is stored in `DatagramColumns.dialect`. */
export const DIALECTS = ['report-v0.5', 'report-v1.0', 'report-v2.0'] as const;

/** Rows of a batch that are used in everyday life; and the sizes of a cache line and of what is between two lines of one set. */
const NEAR_ROWS = 64;
const LINE_BYTES = 64;
const PAGE_BYTES = 4096;
/** Bounds for the memory that all columns need. */
const COLUMNS = 64;
const HOP_ROW_BYTES = 96;
const REPORT_ROW_BYTES = 96;
const DATAGRAM_ROW_BYTES = 64;

/** Node tables have at most 65,536 rows besides row 0. */
const NODE_ROW_BITS = 17;

/**
 * Words of a flow's key in `ReportColumns.flowKey`. Addresses are big-endian words, IPv4 as ::ffff:a.b.c.d; `protocol` holds the IP protocol,
 * the address family from bit 8 and the kind of the tunnel (TunnelKind) from bit 16 on; `tunnel` the tunnel's identifier.
 */
export const FlowWord = { source: 0, destination: 4, ports: 8, protocol: 9, tunnel: 10 } as const;
export const FLOW_WORDS = 11;

/**
 * Memory for the columns of a batch. Columns that all began on a page would have their first rows in the same few sets of the first-level
 * cache and drive one another out of it (measured: some five per cent of a hop). Here the first NEAR_ROWS rows of all columns lie in
 * sets of their own; the rest of a column, for datagrams of uncommon size, lies wherever there is room.
 */
class ColumnMemory {
  readonly #buffer: ArrayBuffer;
  #offset = 0;

  constructor(maxBytes: number) {
    this.#buffer = new ArrayBuffer(maxBytes);
  }

  /** Offset of the next column of `rows` rows. */
  #take(rows: number, rowBytes: number): number {
    const at = this.#offset;
    const near = Math.ceil((Math.min(rows, NEAR_ROWS) * rowBytes) / LINE_BYTES) * LINE_BYTES;
    const beyond = Math.max(0, rows * rowBytes - near);
    this.#offset += near + Math.ceil(beyond / PAGE_BYTES) * PAGE_BYTES;
    return at;
  }

  uint8(length: number): Uint8Array {
    return new Uint8Array(this.#buffer, this.#take(length, 1), length);
  }

  uint16(length: number): Uint16Array {
    return new Uint16Array(this.#buffer, this.#take(length, 2), length);
  }

  uint32(length: number, wordsPerRow = 1): Uint32Array {
    return new Uint32Array(this.#buffer, this.#take(length, 4 * wordsPerRow), length * wordsPerRow);
  }

  float64(length: number): Float64Array {
    return new Float64Array(this.#buffer, this.#take(length, 8), length);
  }

  bigUint64(length: number): BigUint64Array {
    return new BigUint64Array(this.#buffer, this.#take(length, 8), length);
  }
}

// Fields of the classes below are declared and not defined: a field that is first undefined and then assigned is no constant to V8.

/** One row per datagram: who sent it, and what its source means by its numbers. */
export class DatagramColumns {
  length = 0;
  /** Index into DIALECTS. */
  declare readonly dialect: Uint8Array;
  /** Node that sent the datagram; 0 where the dialect carries none. */
  declare readonly nodeId: Uint32Array;
  declare readonly hardwareId: Uint8Array;
  declare readonly sequenceNumber: Uint32Array;
  declare readonly reportCount: Uint32Array;
  /** Period after which the source's timestamps wrap, ns; 0 for 64-bit timestamps. */
  declare readonly timestampWrapNs: Float64Array;
  /** Octets per unit of queue occupancy at this source; 0 when the unit is not known. */
  declare readonly occupancyUnitBytes: Float64Array;
  /** Port rate at this source, octets per ns; 0 when it is not known. */
  declare readonly portBytesPerNs: Float64Array;
  /** Latency of a packet that finds the queue empty at this source, ns; Infinity when it has to be learned. */
  declare readonly emptyLatencyNs: Float64Array;

  /** Derived by the pipeline: stands for the sender's address where a report names no node. */
  declare readonly sourceKey: Uint32Array;

  constructor(memory: ColumnMemory, capacity: number) {
    this.dialect = memory.uint8(capacity);
    this.nodeId = memory.uint32(capacity);
    this.hardwareId = memory.uint8(capacity);
    this.sequenceNumber = memory.uint32(capacity);
    this.reportCount = memory.uint32(capacity);
    this.timestampWrapNs = memory.float64(capacity);
    this.occupancyUnitBytes = memory.float64(capacity);
    this.portBytesPerNs = memory.float64(capacity);
    this.emptyLatencyNs = memory.float64(capacity);
    this.sourceKey = memory.uint32(capacity);
  }
}

/** One row per telemetry report: its flags, and the invariants of the innermost packet in it. */
export class ReportColumns {
  length = 0;
  /** Row of the datagram in `datagrams`. */
  declare readonly datagram: Uint32Array;
  /** Index of the report within its datagram; refused reports are counted too. */
  declare readonly indexInDatagram: Uint16Array;
  declare readonly flags: Uint8Array;
  /** Bit set of warnings, see decode/reason. */
  declare readonly warnings: Uint32Array;
  declare readonly firstHop: Uint32Array;
  declare readonly hopCount: Uint32Array;

  /** Bit set of FlowPart: which of the columns below hold something. 0: the report carried no IP packet. */
  declare readonly flowParts: Uint8Array;
  /** FLOW_WORDS words a row, see FlowWord; read it through the functions below. Words of absent parts are 0. */
  declare readonly flowKey: Uint32Array;
  declare readonly ttl: Uint8Array;
  declare readonly dscp: Uint8Array;
  /** Length of the innermost IP packet in octets, from its own header (fragments are cut, this is not); 0 without a packet. */
  declare readonly packetLengthBytes: Uint32Array;
  declare readonly tcpSequence: Uint32Array;

  /** Derived by observe/flow: hash of the key, row of the flow, and how often that row had been given away before. */
  declare readonly flowHash: Uint32Array;
  declare readonly flowRow: Uint32Array;
  declare readonly flowGeneration: Uint32Array;

  constructor(memory: ColumnMemory, capacity: number) {
    this.datagram = memory.uint32(capacity);
    this.indexInDatagram = memory.uint16(capacity);
    this.flags = memory.uint8(capacity);
    this.warnings = memory.uint32(capacity);
    this.firstHop = memory.uint32(capacity);
    this.hopCount = memory.uint32(capacity);
    this.flowParts = memory.uint8(capacity);
    this.flowKey = memory.uint32(capacity, FLOW_WORDS);
    this.ttl = memory.uint8(capacity);
    this.dscp = memory.uint8(capacity);
    this.packetLengthBytes = memory.uint32(capacity);
    this.tcpSequence = memory.uint32(capacity);
    this.flowHash = memory.uint32(capacity);
    this.flowRow = memory.uint32(capacity);
    this.flowGeneration = memory.uint32(capacity);
  }
}

/** The innermost tunnel that has an identifier: VXLAN and Geneve a network (VNI), GRE a key. */
export const TunnelKind = { none: 0, vxlan: 1, geneve: 2, gre: 3 } as const;

/** 4 or 6: the family of a flow key at `words[at]`. */
export function addressFamilyOf(words: Uint32Array, at: number): number {
  return (words[at + FlowWord.protocol] >>> 8) & 0xff;
}

export function protocolOf(words: Uint32Array, at: number): number {
  return words[at + FlowWord.protocol] & 0xff;
}

export function sourcePortOf(words: Uint32Array, at: number): number {
  return words[at + FlowWord.ports] >>> 16;
}

export function destinationPortOf(words: Uint32Array, at: number): number {
  return words[at + FlowWord.ports] & 0xffff;
}

/** The tunnel that a flow was in: the network of VXLAN or Geneve, or the key of GRE. For the edges. */
export function tunnelOf(words: Uint32Array, at: number): { vni?: number; greKey?: number } {
  const kind = words[at + FlowWord.protocol] >>> 16;
  if (kind === TunnelKind.none) return {};
  return kind === TunnelKind.gre ? { greKey: words[at + FlowWord.tunnel] } : { vni: words[at + FlowWord.tunnel] };
}

/**
 * One row per hop, hops of a report in path order (oldest first). The capacities must hold the largest datagram behind what is there
 * already: see the bounds in decode/outcome.
 */
export class HopBatch {
  length = 0;
  /** First row of the datagram that is being decoded. */
  datagramFirstHop = 0;
  /** [0] collector time of arrival, ns: in an array, where a number needs no box. */
  readonly arrivalNs = new Float64Array(1);
  declare readonly datagrams: DatagramColumns;
  declare readonly reports: ReportColumns;
  /** Row of the report in `reports`. */
  declare readonly report: Uint32Array;
  declare readonly present: Uint32Array;
  declare readonly nodeId: Uint32Array;
  declare readonly ingressInterfaceId: Uint16Array;
  declare readonly egressInterfaceId: Uint16Array;
  declare readonly hopLatencyNs: Float64Array;
  declare readonly queueId: Uint8Array;
  /** In the source's own unit (octets, cells or packets); `occupancyUnitBytes` of the report converts. */
  declare readonly queueOccupancy: Uint32Array;
  declare readonly ingressTimestampNs: BigUint64Array;
  declare readonly egressTimestampNs: BigUint64Array;
  declare readonly level2IngressInterfaceId: Uint32Array;
  declare readonly level2EgressInterfaceId: Uint32Array;
  declare readonly egressInterfaceTxUtilization: Uint32Array;
  declare readonly bufferId: Uint8Array;
  declare readonly bufferOccupancy: Uint32Array;
  declare readonly dropReason: Uint8Array;

  /** The same memory as the timestamps, as low and high words (2i, 2i+1): no bigint is made on the packet path. */
  declare readonly ingressTimestampWords: Uint32Array;
  declare readonly egressTimestampWords: Uint32Array;

  /** Derived by observe/clock: the node, see NodeTag; and when the packet was enqueued on the node's own clock. */
  declare readonly nodeTag: Uint32Array;
  declare readonly enqueueNodeNs: Float64Array;

  constructor(capacity: number, reportCapacity: number, datagramCapacity = 1) {
    const memory = new ColumnMemory(
      COLUMNS * PAGE_BYTES + HOP_ROW_BYTES * capacity + REPORT_ROW_BYTES * reportCapacity + DATAGRAM_ROW_BYTES * datagramCapacity,
    );
    this.datagrams = new DatagramColumns(memory, datagramCapacity);
    this.reports = new ReportColumns(memory, reportCapacity);
    this.report = memory.uint32(capacity);
    this.present = memory.uint32(capacity);
    this.nodeId = memory.uint32(capacity);
    this.ingressInterfaceId = memory.uint16(capacity);
    this.egressInterfaceId = memory.uint16(capacity);
    this.hopLatencyNs = memory.float64(capacity);
    this.queueId = memory.uint8(capacity);
    this.queueOccupancy = memory.uint32(capacity);
    this.ingressTimestampNs = memory.bigUint64(capacity);
    this.egressTimestampNs = memory.bigUint64(capacity);
    this.level2IngressInterfaceId = memory.uint32(capacity);
    this.level2EgressInterfaceId = memory.uint32(capacity);
    this.egressInterfaceTxUtilization = memory.uint32(capacity);
    this.bufferId = memory.uint8(capacity);
    this.bufferOccupancy = memory.uint32(capacity);
    this.dropReason = memory.uint8(capacity);
    this.ingressTimestampWords = wordsOf(this.ingressTimestampNs);
    this.egressTimestampWords = wordsOf(this.egressTimestampNs);
    this.nodeTag = memory.uint32(capacity);
    this.enqueueNodeNs = memory.float64(capacity);
  }

  /** Forgets all rows. */
  clear(): void {
    this.length = 0;
    this.reports.length = 0;
    this.datagrams.length = 0;
  }
}

function wordsOf(column: BigUint64Array): Uint32Array {
  return new Uint32Array(column.buffer, column.byteOffset, column.length * 2);
}

/** A node's row and how often that row had been given away (modulo 2^15) as one number; 0 for a hop of no known node. */
export function nodeTagOf(row: number, generation: number): number {
  return (((generation >>> 1) << NODE_ROW_BITS) | row) >>> 0;
}

/** The row in a node tag. */
export function nodeRowOfTag(tag: number): number {
  return tag & ((1 << NODE_ROW_BITS) - 1);
}

/** Time in the node, ns: as reported, or egress minus ingress modulo the wrap; -1 when neither is known or the stamps contradict. */
export function latencyOf(batch: HopBatch, hop: number, wrapNs: number): number {
  const present = batch.present[hop];
  if ((present & Present.hopLatency) !== 0) return batch.hopLatencyNs[hop];
  if ((present & Present.ingressTimestamp) === 0 || (present & Present.egressTimestamp) === 0) return -1;
  const low = batch.egressTimestampWords[hop * 2] - batch.ingressTimestampWords[hop * 2];
  const high = batch.egressTimestampWords[hop * 2 + 1] - batch.ingressTimestampWords[hop * 2 + 1];
  const latency = high * 0x1_0000_0000 + low;
  return latency < 0 ? latency + wrapNs : latency;
}
