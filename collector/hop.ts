// The record of the whole product: one batch of hops, one typed-array column per field.
// Decoders fill the raw columns, observe stages fill the derived ones; nothing else travels the packet path.
// Rule: a row is either whole or absent. Whoever appends notes `length` first and restores it on any doubt.
// Field names are those of INT v2.1 and Telemetry Report v2.0; values are in the unit that the name carries.

import { ColumnMemory, PAGE_BYTES } from './column-memory.ts';
import { FLOW_WORDS, OUTER_WORDS } from './flow-key.ts';

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

/** What a datagram speaks; the index is stored in `DatagramColumns.dialect`. */
export const DIALECTS = ['report-v0.5', 'report-v1.0', 'report-v2.0', 'host-int', 'ipfix', 'sflow-v5'] as const;
export type Dialect = (typeof DIALECTS)[number];

/**
 * Where the values of a hop were read: in the report itself, or in a header that travelled with the packet; the index is stored in
 * `HopBatch.origin`.
 */
export const HOP_ORIGINS = ['report', 'int-md-v0.5', 'int-md-v1.0', 'int-md-v2.1', 'ioam-trace', 'ifa-v2.0', 'sflow-v5'] as const;
export const HopOrigin = {
  report: 0,
  intMdV05: 1,
  intMdV10: 2,
  intMdV21: 3,
  ioamTrace: 4,
  ifaV20: 5,
  sflowV5: 6,
} as const;

/** Bounds for the memory that all columns need. */
const COLUMNS = 64;
const HOP_ROW_BYTES = 128;
const REPORT_ROW_BYTES = 160;
const LINK_ROW_BYTES = 96;
const DATAGRAM_ROW_BYTES = 64;

/** Tables whose rows are tagged have at most 65,536 rows besides row 0. */
const ROW_BITS = 17;

// Fields of the classes below are declared and not defined: a field that is first undefined and then assigned is no constant to V8.

/** One row per datagram: who sent it, and what its source means by its numbers. */
export class DatagramColumns {
  length = 0;
  /** Index into DIALECTS. */
  declare readonly dialect: Uint8Array;
  /** Node that sent the datagram; 0 where the dialect carries none. */
  declare readonly nodeId: Uint32Array;
  /** Part of the node that counts for itself: hw_id of telemetry reports, sub-agent of sFlow, observation domain of IPFIX. */
  declare readonly hardwareId: Uint32Array;
  declare readonly sequenceNumber: Uint32Array;
  declare readonly reportCount: Uint32Array;
  /** Period after which the source's timestamps wrap, ns; 0 for 64-bit timestamps. */
  declare readonly timestampWrapNs: Float64Array;
  /** Octets per unit of queue occupancy at this source; 0 when the unit is not known. */
  declare readonly occupancyUnitBytes: Float64Array;
  /** Port rate at this source, octets per ns; 0 when it is not known. */
  declare readonly portBytesPerNs: Float64Array;
  /** 1: the source reports a packet only when the latency of its flow has changed, or after a second. */
  declare readonly isFiltered: Uint8Array;
  /** Latency of a packet that finds the queue empty at this source, ns; Infinity when it has to be learned. */
  declare readonly emptyLatencyNs: Float64Array;

  /** Derived by the pipeline: stands for the address of the sender, or of the agent that it names, where a report names no node. */
  declare readonly sourceKey: Uint32Array;

  constructor(memory: ColumnMemory, capacity: number) {
    this.dialect = memory.uint8(capacity);
    this.nodeId = memory.uint32(capacity);
    this.hardwareId = memory.uint32(capacity);
    this.sequenceNumber = memory.uint32(capacity);
    this.reportCount = memory.uint32(capacity);
    this.timestampWrapNs = memory.float64(capacity);
    this.occupancyUnitBytes = memory.float64(capacity);
    this.portBytesPerNs = memory.float64(capacity);
    this.isFiltered = memory.uint8(capacity);
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
  /** Packets that the report stands for: N where its source samples one in N, those of a drop summary; 1 where nobody tells. */
  declare readonly representedPackets: Uint32Array;
  /** Bit set of warnings, see decode/reason. */
  declare readonly warnings: Uint32Array;
  declare readonly firstHop: Uint32Array;
  declare readonly hopCount: Uint32Array;

  /** Bit set of FlowPart: which of the columns below hold something. 0: the report carried no IP packet. */
  declare readonly flowParts: Uint8Array;
  /** FLOW_WORDS words a row, see FlowWord; read it through the functions below. Words of absent parts are 0. */
  declare readonly flowKey: Uint32Array;
  /** VLAN of the outermost frame; 0: none is known. */
  declare readonly vlanId: Uint16Array;
  declare readonly ttl: Uint8Array;
  declare readonly dscp: Uint8Array;
  declare readonly ecn: Uint8Array;
  /** Identification of the innermost packet; 0 for IPv6. */
  declare readonly ipIdentification: Uint16Array;
  /** Length of the innermost IP packet in octets, from its own header (fragments are cut, this is not); 0 without a packet. */
  declare readonly packetLengthBytes: Uint32Array;
  declare readonly tcpSequence: Uint32Array;
  /** Beside a sequence number; 0 where the fragment ends before it. */
  declare readonly tcpAcknowledgment: Uint32Array;

  /** As `flowParts`, of the outermost packet when the innermost one travels in a tunnel; 0: there is no tunnel. */
  declare readonly outerParts: Uint8Array;
  /** OUTER_WORDS words a row, meaningful where `outerParts` is not 0; no tunnel in them. */
  declare readonly outerKey: Uint32Array;
  declare readonly outerDscp: Uint8Array;
  /** The TTL that nodes count down. */
  declare readonly outerTtl: Uint8Array;

  /** Derived by observe/flow: hash of the key, row of the flow, and how often that row had been given away before. */
  declare readonly flowHash: Uint32Array;
  declare readonly flowRow: Uint32Array;
  declare readonly flowGeneration: Uint32Array;

  constructor(memory: ColumnMemory, capacity: number) {
    this.datagram = memory.uint32(capacity);
    this.indexInDatagram = memory.uint16(capacity);
    this.flags = memory.uint8(capacity);
    this.representedPackets = memory.uint32(capacity);
    this.warnings = memory.uint32(capacity);
    this.firstHop = memory.uint32(capacity);
    this.hopCount = memory.uint32(capacity);
    this.flowParts = memory.uint8(capacity);
    this.flowKey = memory.uint32(capacity, FLOW_WORDS);
    this.vlanId = memory.uint16(capacity);
    this.ttl = memory.uint8(capacity);
    this.dscp = memory.uint8(capacity);
    this.ecn = memory.uint8(capacity);
    this.ipIdentification = memory.uint16(capacity);
    this.packetLengthBytes = memory.uint32(capacity);
    this.tcpSequence = memory.uint32(capacity);
    this.tcpAcknowledgment = memory.uint32(capacity);
    this.outerParts = memory.uint8(capacity);
    this.outerKey = memory.uint32(capacity, OUTER_WORDS);
    this.outerDscp = memory.uint8(capacity);
    this.outerTtl = memory.uint8(capacity);
    this.flowHash = memory.uint32(capacity);
    this.flowRow = memory.uint32(capacity);
    this.flowGeneration = memory.uint32(capacity);
  }
}

/** Counters of an interface by place in a row of `LinkColumns.counters`; packets are unicast, multicast and broadcast together. */
export const LinkCounter = {
  speedBitsPerSecond: 0,
  inOctets: 1,
  inPackets: 2,
  inDiscards: 3,
  inErrors: 4,
  outOctets: 5,
  outPackets: 6,
  outDiscards: 7,
  outErrors: 8,
} as const;
export const LINK_COUNTERS = 9;
/** Bits of an interface's status (RFC 2863: ifAdminStatus, ifOperStatus), or none of both known. */
export const LinkStatus = { adminUp: 1, operationalUp: 2, unknown: 255 } as const;
/** What the largest datagram can hold (one takes 96 octets), behind what a batch may hold already. */
const LINK_ROWS = 1024;

/** One row per interface whose counters a datagram told. */
export class LinkColumns {
  length = 0;
  /** Row of the datagram in `datagrams`. */
  declare readonly datagram: Uint32Array;
  declare readonly interfaceId: Uint32Array;
  /** Bit set of LinkStatus. */
  declare readonly status: Uint8Array;
  /** LINK_COUNTERS a row, see LinkCounter; -1 where the agent does not tell. */
  declare readonly counters: Float64Array;

  /** Derived by observe/clock: the node, see rowTagOf. */
  declare readonly nodeTag: Uint32Array;

  constructor(memory: ColumnMemory) {
    this.datagram = memory.uint32(LINK_ROWS);
    this.interfaceId = memory.uint32(LINK_ROWS);
    this.status = memory.uint8(LINK_ROWS);
    this.counters = memory.float64(LINK_ROWS, LINK_COUNTERS);
    this.nodeTag = memory.uint32(LINK_ROWS);
  }
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
  declare readonly links: LinkColumns;
  /** Row of the report in `reports`. */
  declare readonly report: Uint32Array;
  declare readonly present: Uint32Array;
  /** Index into HOP_ORIGINS. */
  declare readonly origin: Uint8Array;
  declare readonly nodeId: Uint32Array;
  declare readonly ingressInterfaceId: Uint32Array;
  declare readonly egressInterfaceId: Uint32Array;
  declare readonly hopLatencyNs: Float64Array;
  declare readonly queueId: Uint32Array;
  /** In the source's own unit (octets, cells or packets); `occupancyUnitBytes` of the report converts. */
  declare readonly queueOccupancy: Uint32Array;
  declare readonly ingressTimestampNs: BigUint64Array;
  declare readonly egressTimestampNs: BigUint64Array;
  declare readonly level2IngressInterfaceId: Uint32Array;
  declare readonly level2EgressInterfaceId: Uint32Array;
  declare readonly egressInterfaceTxUtilization: Uint32Array;
  declare readonly bufferId: Uint8Array;
  declare readonly bufferOccupancy: Uint32Array;
  declare readonly dropReason: Uint16Array;

  /** The same memory as the timestamps, as low and high words (2i, 2i+1): no bigint is made on the packet path. */
  declare readonly ingressTimestampWords: Uint32Array;
  declare readonly egressTimestampWords: Uint32Array;

  /** Derived by observe/clock: the node, see rowTagOf; and when the packet was enqueued on the node's own clock. */
  declare readonly nodeTag: Uint32Array;
  declare readonly enqueueNodeNs: Float64Array;
  /** Derived by observe/queue: row of the queue; 0: as below. */
  declare readonly queueRow: Uint32Array;
  /** Derived by observe/queue, where reports are filtered: for how long, in all, the queue was seen to stand still by now, ns. */
  declare readonly queueSteadyNs: Float64Array;
  /** The same: how long it was deep and came or went, ns; less than 0 where it is not deep at this hop. */
  declare readonly queueDeepNs: Float64Array;
  /** Derived by observe/port: row of the egress interface; 0: it is not named, or there is no room. */
  declare readonly portRow: Uint32Array;

  constructor(capacity: number, reportCapacity: number, datagramCapacity = 1) {
    const memory = new ColumnMemory(
      COLUMNS * PAGE_BYTES +
        HOP_ROW_BYTES * capacity +
        LINK_ROW_BYTES * LINK_ROWS +
        REPORT_ROW_BYTES * reportCapacity +
        DATAGRAM_ROW_BYTES * datagramCapacity,
    );
    this.datagrams = new DatagramColumns(memory, datagramCapacity);
    this.reports = new ReportColumns(memory, reportCapacity);
    this.links = new LinkColumns(memory);
    this.report = memory.uint32(capacity);
    this.present = memory.uint32(capacity);
    this.origin = memory.uint8(capacity);
    this.nodeId = memory.uint32(capacity);
    this.ingressInterfaceId = memory.uint32(capacity);
    this.egressInterfaceId = memory.uint32(capacity);
    this.hopLatencyNs = memory.float64(capacity);
    this.queueId = memory.uint32(capacity);
    this.queueOccupancy = memory.uint32(capacity);
    this.ingressTimestampNs = memory.bigUint64(capacity);
    this.egressTimestampNs = memory.bigUint64(capacity);
    this.level2IngressInterfaceId = memory.uint32(capacity);
    this.level2EgressInterfaceId = memory.uint32(capacity);
    this.egressInterfaceTxUtilization = memory.uint32(capacity);
    this.bufferId = memory.uint8(capacity);
    this.bufferOccupancy = memory.uint32(capacity);
    this.dropReason = memory.uint16(capacity);
    this.ingressTimestampWords = wordsOf(this.ingressTimestampNs);
    this.egressTimestampWords = wordsOf(this.egressTimestampNs);
    this.nodeTag = memory.uint32(capacity);
    this.enqueueNodeNs = memory.float64(capacity);
    this.queueRow = memory.uint32(capacity);
    this.queueSteadyNs = memory.float64(capacity);
    this.queueDeepNs = memory.float64(capacity);
    this.portRow = memory.uint32(capacity);
  }

  /** Forgets all rows. */
  clear(): void {
    this.length = 0;
    this.reports.length = 0;
    this.links.length = 0;
    this.datagrams.length = 0;
  }
}

function wordsOf(column: BigUint64Array): Uint32Array {
  return new Uint32Array(column.buffer, column.byteOffset, column.length * 2);
}

/** A row of a table and how often it had been given away (modulo 2^15) as one number; 0 for row 0 that was never given away. */
export function rowTagOf(row: number, generation: number): number {
  return (((generation >>> 1) << ROW_BITS) | row) >>> 0;
}

/** The row in such a tag. */
export function rowOfTag(tag: number): number {
  return tag & ((1 << ROW_BITS) - 1);
}

/** TTL of the packet that nodes forward: the outermost. */
export function forwardedTtlOf(reports: ReportColumns, report: number): number {
  return reports.outerParts[report] === 0 ? reports.ttl[report] : reports.outerTtl[report];
}

/** Latencies that differ by less are the same to the change filter of SD-Fabric as it is shipped, ns (fabric-tna, `int.p4`). */
export const FILTER_QUANTUM_NS = 256;

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
