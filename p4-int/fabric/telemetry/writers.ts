// Postcards as datagrams of a dialect: grouped with a sequence per node (v2.0, and INT-MD below it), or one by one as SD-Fabric sends them (v0.5).

import { reportV05, type FixedHeaderV05 } from '../../wire/report-v05.ts';
import { packetOffset, writeGroupHeader, writeReport, type HopReport } from '../../wire/report-v20.ts';
import type { PacketFields } from '../../wire/packet-head.ts';
import type { TelemetrySpec } from '../scenario.ts';
import type { Simulator } from '../simulator.ts';
import { REPORT_FIELDS, type Datagram } from './datagram.ts';
import type { Heads } from './heads.ts';

/** What a switch says of one packet. */
export interface Postcard extends HopReport {
  node: number;
  packet: number;
  /** INT-MD shim, header and stack that stand behind the packet's head. */
  stack: Uint8Array | undefined;
  /** See Datagram. */
  fields: Float64Array;
}

export interface Writer {
  write(postcard: Postcard): void;
  flush(): void;
  /** The node has forgotten its sequence numbers. */
  restart(node: number): void;
}

type Send = (datagram: Datagram) => void;

const MAX_DATAGRAM_BYTES = 1400;
/** A report has at most 255 words behind its first. */
const MAX_REPORT_BYTES = 1020;
const INT_DSCP = 0x17;
/** The part of the chip that reports: SD-Fabric counts per pipe, and ports 1 to 16 are those of the first. */
const PORTS_PER_PIPE = 16;

export function writerOf(simulator: Simulator, telemetry: TelemetrySpec, heads: Heads, send: Send): Writer {
  const packets = new PacketWriter(simulator, heads, telemetry.truncate);
  return telemetry.dialect === 'report-v0.5'
    ? new SdFabricWriter(simulator, packets, send)
    : new GroupWriter(simulator, packets, telemetry.group, send);
}

class PacketWriter {
  readonly #simulator: Simulator;
  readonly #heads: Heads;
  readonly #truncateBytes: number;
  readonly #fields: PacketFields = {
    lengthBytes: 0,
    ttl: 0,
    ecn: 0,
    identification: 0,
    tcpSequence: 0,
    tcpAcknowledgment: 0,
    tcpFlags: 0,
  };

  constructor(simulator: Simulator, heads: Heads, truncateBytes: number) {
    this.#simulator = simulator;
    this.#heads = heads;
    this.#truncateBytes = truncateBytes;
  }

  /** The beginning of the packet at `out[o]`; returns the octets written. */
  write(out: Buffer, o: number, { packet, stack }: Postcard): number {
    const { packets } = this.#simulator;
    const fields = this.#fields;
    fields.lengthBytes = packets.bytes[packet] + (stack?.length ?? 0);
    fields.ttl = packets.ttl[packet];
    fields.ecn = packets.ecn[packet];
    fields.identification = packets.identification[packet];
    fields.tcpSequence = packets.tcpSequence[packet];
    fields.tcpAcknowledgment = packets.tcpAcknowledgment[packet];
    fields.tcpFlags = packets.tcpFlags[packet];
    const head = this.#heads.of(packets.flow[packet]);
    if (stack === undefined) return head.write(out, o, fields, this.#truncateBytes);
    const length = head.write(out, o, fields, MAX_REPORT_BYTES, INT_DSCP);
    out.copyWithin(o + head.intOffset + stack.length, o + head.intOffset, o + length);
    out.set(stack, o + head.intOffset);
    return length + stack.length;
  }
}

/** Telemetry Report v2.0. */
class GroupWriter implements Writer {
  readonly #simulator: Simulator;
  readonly #packets: PacketWriter;
  readonly #send: Send;
  readonly #groupReports: number;
  readonly #sequence: Uint32Array;
  readonly #groups: { out: Buffer; length: number; reports: number; fields: Float64Array }[];

  constructor(simulator: Simulator, packets: PacketWriter, group: number, send: Send) {
    const { topology } = simulator;
    this.#simulator = simulator;
    this.#packets = packets;
    this.#groupReports = group;
    this.#send = send;
    this.#sequence = new Uint32Array(topology.switches);
    this.#groups = Array.from({ length: topology.switches }, () => ({
      out: Buffer.alloc(MAX_DATAGRAM_BYTES + MAX_REPORT_BYTES),
      length: 0,
      reports: 0,
      fields: new Float64Array(group * REPORT_FIELDS),
    }));
  }

  write(postcard: Postcard): void {
    const { node } = postcard;
    const group = this.#groups[node];
    if (group.length === 0) {
      group.length = writeGroupHeader(group.out, this.#simulator.topology.nodes[node].nodeId, 0, this.#sequence[node]++);
    }
    const packetBytes = this.#packets.write(group.out, packetOffset(group.length, postcard), postcard);
    const end = writeReport(group.out, group.length, postcard, packetBytes);
    if (end > MAX_DATAGRAM_BYTES && group.reports > 0) {
      this.#flush(node);
      return this.write(postcard);
    }
    group.fields.set(postcard.fields, group.reports * REPORT_FIELDS);
    group.length = end;
    group.reports++;
    if (group.reports === this.#groupReports) this.#flush(node);
  }

  flush(): void {
    for (let node = 0; node < this.#groups.length; node++) this.#flush(node);
  }

  restart(node: number): void {
    this.#flush(node);
    this.#sequence[node] = 0;
  }

  #flush(node: number): void {
    const group = this.#groups[node];
    if (group.reports === 0) return;
    const { nowPs } = this.#simulator;
    const bytes = Buffer.from(group.out.subarray(0, group.length));
    const reports = group.fields.slice(0, group.reports * REPORT_FIELDS);
    group.length = group.reports = 0;
    this.#send({ node, bytes, sentPs: nowPs, arrivesPs: nowPs, reports });
  }
}

/** Telemetry Report v0.5 as SD-Fabric sends it: one report a datagram, a sequence per pipe, timestamps of 32 bits. */
class SdFabricWriter implements Writer {
  readonly #simulator: Simulator;
  readonly #packets: PacketWriter;
  readonly #send: Send;
  readonly #sequence: Uint32Array[];
  readonly #packet = Buffer.alloc(MAX_REPORT_BYTES);

  constructor(simulator: Simulator, packets: PacketWriter, send: Send) {
    this.#simulator = simulator;
    this.#packets = packets;
    this.#send = send;
    this.#sequence = Array.from({ length: simulator.topology.switches }, () => new Uint32Array(64));
  }

  write(postcard: Postcard): void {
    const { topology, nowPs } = this.#simulator;
    const { node, queueId, dropReason, ingressInterfaceId: ingressPort, egressInterfaceId: egressPort } = postcard;
    const hardwareId = Math.floor(Math.max(0, egressPort - 1) / PORTS_PER_PIPE) & 0x3f;
    const packet = this.#packet.subarray(0, this.#packets.write(this.#packet, 0, postcard));
    const header: FixedHeaderV05 & { packet: Uint8Array } = {
      dropped: dropReason >= 0,
      congestedQueue: postcard.isCongestedQueue,
      trackedFlow: postcard.isTrackedFlow,
      hardwareId,
      // The register is raised before it is read.
      sequence: ++this.#sequence[node][hardwareId],
      ingressTimestamp: postcard.ingressLow,
      packet,
    };
    const where = { switchId: topology.nodes[node].nodeId, ingressPort, egressPort, queueId };
    const bytes =
      dropReason >= 0
        ? reportV05({ ...header, nProto: 1, drop: { ...where, dropReason } })
        : reportV05({
            ...header,
            nProto: 2,
            local: { ...where, queueOccupancy: postcard.queueOccupancy, egressTimestamp: postcard.egressLow },
          });
    this.#send({ node, bytes, sentPs: nowPs, arrivesPs: nowPs, reports: postcard.fields.slice() });
  }

  flush(): void {}

  restart(node: number): void {
    this.#sequence[node].fill(0);
  }
}
