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
export const FlowPart = { addresses: 1, ports: 2, tcpSequence: 4, vni: 8 } as const;

/** Provenance of a report; the index is stored in `ReportColumns.dialect`. */
export const DIALECTS = ['report-v0.5', 'report-v1.0', 'report-v2.0'] as const;

/**
 * One row per telemetry report: where it came from, its flags, and the invariants of the innermost packet in it.
 * Addresses are four big-endian words each (IPv4 as ::ffff:a.b.c.d), so that both families compare alike.
 */
export class ReportColumns {
  readonly capacity: number;
  length = 0;
  /** Index into DIALECTS. */
  readonly dialect: Uint8Array;
  /** Index of the report within its datagram; refused reports are counted too. */
  readonly indexInDatagram: Uint16Array;
  readonly flags: Uint8Array;
  readonly hardwareId: Uint8Array;
  readonly sequenceNumber: Uint32Array;
  /** Node that sent the report; 0 where the dialect carries none. */
  readonly reporterNodeId: Uint32Array;
  /** Bit set of warnings, see decode/reason. */
  readonly warnings: Uint32Array;
  readonly firstHop: Uint32Array;
  readonly hopCount: Uint32Array;
  /** Period after which the source's timestamps wrap, ns; 0 for 64-bit timestamps. */
  readonly timestampWrapNs: Float64Array;
  /** Octets per unit of queue occupancy at this source; 0 when the unit is not known. */
  readonly occupancyUnitBytes: Float64Array;
  /** Port rate at this source, octets per ns; 0 when it is not known. */
  readonly portBytesPerNs: Float64Array;
  /** Latency of a packet that finds the queue empty at this source, ns; Infinity when it has to be learned. */
  readonly emptyLatencyNs: Float64Array;

  /** Bit set of FlowPart. 0: the report carried no IP packet. */
  readonly flowParts: Uint8Array;
  /** 4 or 6. */
  readonly addressFamily: Uint8Array;
  readonly sourceAddress: Uint32Array;
  readonly destinationAddress: Uint32Array;
  readonly protocol: Uint8Array;
  readonly sourcePort: Uint16Array;
  readonly destinationPort: Uint16Array;
  readonly ttl: Uint8Array;
  readonly dscp: Uint8Array;
  /** Length of the innermost IP packet in octets, from its own header (fragments are cut, this is not). */
  readonly packetLengthBytes: Uint32Array;
  readonly tcpSequence: Uint32Array;
  readonly vni: Uint32Array;

  /** Derived by observe/flow: row of the flow, and how often that row had been given away before. */
  readonly flowRow: Uint32Array;
  readonly flowGeneration: Uint32Array;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.dialect = new Uint8Array(capacity);
    this.indexInDatagram = new Uint16Array(capacity);
    this.flags = new Uint8Array(capacity);
    this.hardwareId = new Uint8Array(capacity);
    this.sequenceNumber = new Uint32Array(capacity);
    this.reporterNodeId = new Uint32Array(capacity);
    this.warnings = new Uint32Array(capacity);
    this.firstHop = new Uint32Array(capacity);
    this.hopCount = new Uint32Array(capacity);
    this.timestampWrapNs = new Float64Array(capacity);
    this.occupancyUnitBytes = new Float64Array(capacity);
    this.portBytesPerNs = new Float64Array(capacity);
    this.emptyLatencyNs = new Float64Array(capacity);
    this.flowParts = new Uint8Array(capacity);
    this.addressFamily = new Uint8Array(capacity);
    this.sourceAddress = new Uint32Array(capacity * 4);
    this.destinationAddress = new Uint32Array(capacity * 4);
    this.protocol = new Uint8Array(capacity);
    this.sourcePort = new Uint16Array(capacity);
    this.destinationPort = new Uint16Array(capacity);
    this.ttl = new Uint8Array(capacity);
    this.dscp = new Uint8Array(capacity);
    this.packetLengthBytes = new Uint32Array(capacity);
    this.tcpSequence = new Uint32Array(capacity);
    this.vni = new Uint32Array(capacity);
    this.flowRow = new Uint32Array(capacity);
    this.flowGeneration = new Uint32Array(capacity);
  }
}

/**
 * One row per hop, hops of a report in path order (oldest first). `capacity` hops and `reportCapacity` reports must
 * hold the largest datagram: see the bounds in decode/decoder.
 */
export class HopBatch {
  readonly capacity: number;
  length = 0;
  readonly reports: ReportColumns;
  /** Row of the report in `reports`. */
  readonly report: Uint32Array;
  readonly present: Uint32Array;
  readonly nodeId: Uint32Array;
  readonly ingressInterfaceId: Uint16Array;
  readonly egressInterfaceId: Uint16Array;
  readonly hopLatencyNs: Float64Array;
  readonly queueId: Uint8Array;
  /** In the source's own unit (octets, cells or packets); `occupancyUnitBytes` of the report converts. */
  readonly queueOccupancy: Uint32Array;
  readonly ingressTimestampNs: BigUint64Array;
  readonly egressTimestampNs: BigUint64Array;
  readonly level2IngressInterfaceId: Uint32Array;
  readonly level2EgressInterfaceId: Uint32Array;
  readonly egressInterfaceTxUtilization: Uint32Array;
  readonly bufferId: Uint8Array;
  readonly bufferOccupancy: Uint32Array;
  readonly dropReason: Uint8Array;

  /** The same memory as the timestamps, as low and high words (2i, 2i+1): no bigint is made on the packet path. */
  readonly ingressTimestampWords: Uint32Array;
  readonly egressTimestampWords: Uint32Array;

  /** Derived by observe/clock: row of the node, its generation, and when the packet was enqueued on the node's own clock. */
  readonly nodeRow: Uint32Array;
  readonly nodeGeneration: Uint32Array;
  readonly enqueueNodeNs: Float64Array;

  constructor(capacity: number, reportCapacity: number) {
    this.capacity = capacity;
    this.reports = new ReportColumns(reportCapacity);
    this.report = new Uint32Array(capacity);
    this.present = new Uint32Array(capacity);
    this.nodeId = new Uint32Array(capacity);
    this.ingressInterfaceId = new Uint16Array(capacity);
    this.egressInterfaceId = new Uint16Array(capacity);
    this.hopLatencyNs = new Float64Array(capacity);
    this.queueId = new Uint8Array(capacity);
    this.queueOccupancy = new Uint32Array(capacity);
    this.ingressTimestampNs = new BigUint64Array(capacity);
    this.egressTimestampNs = new BigUint64Array(capacity);
    this.level2IngressInterfaceId = new Uint32Array(capacity);
    this.level2EgressInterfaceId = new Uint32Array(capacity);
    this.egressInterfaceTxUtilization = new Uint32Array(capacity);
    this.bufferId = new Uint8Array(capacity);
    this.bufferOccupancy = new Uint32Array(capacity);
    this.dropReason = new Uint8Array(capacity);
    this.ingressTimestampWords = new Uint32Array(this.ingressTimestampNs.buffer);
    this.egressTimestampWords = new Uint32Array(this.egressTimestampNs.buffer);
    this.nodeRow = new Uint32Array(capacity);
    this.nodeGeneration = new Uint32Array(capacity);
    this.enqueueNodeNs = new Float64Array(capacity);
  }

  /** Forgets all rows. */
  clear(): void {
    this.length = 0;
    this.reports.length = 0;
  }
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
