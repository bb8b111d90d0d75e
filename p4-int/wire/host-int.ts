// Reports of intel/host-int: Telemetry Report v0.5 with NProto 3 (drop summary) and 4 (latency).
// intel/host-int 84c0d53, docs/Host_INT_fmt.md and the layouts its programs send.

import { u16, u32 } from './octets.ts';
import { intV05 } from './int-v05.ts';
import type { IntHop } from './int-stack.ts';
import type { TcpLayer, UdpLayer } from './layer-l4.ts';
import type { Ipv4Layer } from './layer-ip.ts';
import { packetOf } from './layers.ts';
import { fixedHeaderV05 } from './report-v05.ts';

interface HostIntReport {
  /** 32 bits. */
  sequence: number;
  /** Unix seconds, in place of the ingress timestamp. */
  reportTime: number;
  hardwareId?: number;
}

/** What one end of the path adds: bitmap 0xcc00, so id, ports and two 32-bit times. */
export type HostIntEnd = Pick<IntHop, 'nodeId' | 'level1Interfaces' | 'ingressTimestamp' | 'egressTimestamp'>;

export interface HostIntLatency extends HostIntReport {
  /** Written only where given (`report_with_switch_id`). */
  sinkNodeId?: number;
  ip: Ipv4Layer;
  /** Without options: 20 octets of TCP or 8 of UDP are reported. */
  l4: TcpLayer | UdpLayer;
  source: HostIntEnd;
  sink: HostIntEnd;
  /** 32 bits, per flow. */
  flowSequence: number;
}

export interface HostIntDrop extends HostIntReport {
  sourceNodeId: number;
  sinkNodeId: number;
  sourcePort: number;
  sinkPort: number;
  /** Seconds. */
  gapTimestamp: number;
  gapSequence: number;
  gapCount: number;
  flow: { protocol: 6 | 17; source: string; destination: string; sourcePort: number; destinationPort: number };
}

const BITMAP = 0xcc00;

/** NProto 4, F set: the head of the packet with its INT headers, the sink's entry added and the tail removed. */
export function hostIntLatencyReport(report: HostIntLatency): Buffer {
  const hops = [report.source, report.sink];
  const withTail = intV05({ bitmap: BITMAP, hops, maxHopCount: 2, type: 3 }, { protocol: 0, destinationPort: 0 });
  // The flow sequence takes the place of the tail, so the shim's Length stays right.
  const octets = Buffer.concat([withTail.octets.subarray(0, -4), u32(report.flowSequence)]);
  return Buffer.concat([
    fixedHeaderV05({ ...fixedOf(report), trackedFlow: true }, 4),
    report.sinkNodeId === undefined ? Buffer.alloc(0) : u32(report.sinkNodeId),
    packetOf([report.ip, report.l4, { kind: 'octets', octets }]),
  ]);
}

/** NProto 3, D and F set: 24 octets and a synthetic IPv4 and L4 header whose other fields are zero. */
export function hostIntDropReport(report: HostIntDrop): Buffer {
  return Buffer.concat([
    fixedHeaderV05({ ...fixedOf(report), dropped: true, trackedFlow: true }, 3),
    u32(report.sourceNodeId),
    u32(report.sinkNodeId),
    u16(report.sourcePort),
    u16(report.sinkPort),
    u32(report.gapTimestamp),
    u32(report.gapSequence),
    u32(report.gapCount),
    syntheticPacket(report.flow),
  ]);
}

function fixedOf(report: HostIntReport) {
  return { hardwareId: report.hardwareId ?? 0, sequence: report.sequence, ingressTimestamp: report.reportTime };
}

function syntheticPacket(flow: HostIntDrop['flow']): Buffer {
  const { source, destination, sourcePort, destinationPort, protocol } = flow;
  return packetOf([
    { kind: 'ipv4', source, destination, protocol, totalLength: 0, ttl: 0, headerChecksum: 0 },
    protocol === 17
      ? { kind: 'udp', sourcePort, destinationPort, checksum: 0 }
      : { kind: 'tcp', sourcePort, destinationPort, flags: 0, window: 0, checksum: 0, dataOffset: 0 },
  ]);
}
