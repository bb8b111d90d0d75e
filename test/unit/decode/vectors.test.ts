// Every vector, written by hand from the specifications, against the decode that stands beside it: header, metadata, stack, innermost flow, outermost
// packet, tunnel, warnings and errors.

import { expect, it } from 'vitest';
import type { SourceProfile } from '../../../collector/decode/profile.ts';
import { linesOf } from '../../support/decoding.ts';
import { VECTORS, vectorBytes } from '../../support/fixtures.ts';

/** What the vector's words mean in the record. */
const METADATA: [theirs: string, ours: string][] = [
  ['node_id', 'nodeId'],
  ['ingress_port', 'ingressInterfaceId'],
  ['egress_port', 'egressInterfaceId'],
  ['hop_latency', 'hopLatency'],
  ['queue_id', 'queueId'],
  ['queue_occupancy', 'queueOccupancy'],
  ['ingress_ts', 'ingressTimestamp'],
  ['egress_ts', 'egressTimestamp'],
  ['l2_ingress', 'level2IngressInterfaceId'],
  ['l2_egress', 'level2EgressInterfaceId'],
  ['egress_tx_util', 'egressInterfaceTxUtilization'],
  ['buffer_id', 'bufferId'],
  ['buffer_occupancy', 'bufferOccupancy'],
];

/** What a vector needs to be told, because it is not on the wire. */
const PROFILES: Record<string, Partial<SourceProfile>> = {
  'v2-int-mx-npt1-vxlan': { intUdpPort: 555 },
  'v2-inner-only-int-md-source-only': { intUdpPort: 555, intSourceOnlyBytes: new Map([[0x5453, 8]]) },
};

/** Vectors whose reader looks for the program's own warnings: the same deviations by our names. */
const INT_WARNINGS: Record<string, string[]> = { 'v1-onos-misplaced-dqf': ['W_VERSION_NIBBLE'] };

function hopOf(metadata: any, origin: string): any {
  const hop: any = { origin };
  for (const [theirs, ours] of METADATA) if (metadata[theirs] !== undefined) hop[ours] = metadata[theirs];
  return hop;
}

function carried(hop: object): object {
  return Object.fromEntries(Object.entries(hop).filter(([, value]) => value !== null));
}

function originOf(int: any): string {
  if (int.shim !== 'v1') return 'int-md-v2.1';
  return 'int-md-v1.0';
}

function endpointsOf(flow: any): object {
  return {
    sourceAddress: flow.src,
    destinationAddress: flow.dst,
    protocol: flow.proto,
    sourcePort: flow.sport ?? null,
    destinationPort: flow.dport ?? null,
  };
}

it.each(VECTORS.map(({ name, expected }) => [name, expected] as const))(
  '%s gives the expected decode or error',
  (name, expected) => {
    const lines = linesOf(vectorBytes(name), PROFILES[name] ?? {});
    if (expected.reports.length === 0) {
      expect(lines).toHaveLength(1);
      expect(lines[0].rejected).toBe(expected.errors[0].code);
      expect(lines[0].detail).toContain(`octet ${expected.errors[0].offset}`);
      return;
    }
    expect(lines).toHaveLength(expected.reports.length);
    expected.reports.forEach((report: any, i: number) => {
      const line = lines[i];
      if (report.error !== undefined) {
        expect(line).toMatchObject({ report: i, rejected: report.error });
        expect(line.detail).toContain(`octet ${report.offset}`);
        return;
      }
      const layers: any[] = report.inner?.layers ?? [];
      const int = layers.find((layer) => layer.layer === 'int');
      const noted = [...expected.warnings, ...expected.errors]
        .filter((w: any) => w.offset >= report.offset && w.offset < (expected.reports[i + 1]?.offset ?? Infinity))
        .map((w: any) => w.code);
      expect(line).toMatchObject({
        report: i,
        hardwareId: expected.hw_id,
        sequenceNumber: expected.sequence,
        dropped: report.D === 1,
        congestedQueue: report.Q === 1,
        trackedFlow: report.F === 1,
        warnings: [...noted, ...(INT_WARNINGS[name] ?? [])],
      });
      const stack = ((int?.hops ?? []) as any[]).toReversed().map((hop) => hopOf(hop, originOf(int)));
      const metadata = report.metadata === undefined ? undefined : hopOf(report.metadata, 'report');
      if (report.ingress_ts !== undefined && metadata !== undefined) metadata.ingressTimestamp = report.ingress_ts;
      // The reporter's own hop is the newest entry of the stack where that names it.
      const newest = stack.at(-1);
      const isInStack = newest !== undefined && newest.nodeId === expected.node_id;
      const own = { nodeId: expected.node_id, ...metadata };
      const hops = metadata === undefined ? stack : isInStack ? [...stack.slice(0, -1), { ...own, ...newest }] : [...stack, own];
      expect(line.hops.map(carried)).toEqual(hops);

      const flows: any[] = report.inner?.flows ?? [];
      if (flows.length === 0) expect(line.flow).toBeNull();
      else {
        const ip = layers.findLast((layer) => layer.layer === 'ipv4' || layer.layer === 'ipv6');
        const tcp = layers.at(-1).layer === 'tcp' ? layers.at(-1) : undefined;
        const tunnel = layers.findLast((layer) => ['vxlan', 'geneve', 'gre', 'gtpu'].includes(layer.layer));
        expect(line.flow).toMatchObject({
          ...endpointsOf(flows.at(-1)),
          ttl: ip.ttl ?? ip.hop_limit,
          dscp: int?.orig_dscp ?? ip.dscp,
          ecn: ip.ecn,
          packetLengthBytes: ip.total_length ?? ip.payload_length + 40,
          ...(ip.layer === 'ipv4' ? { ipIdentification: ip.id } : {}),
          ...(tcp?.seq === undefined ? {} : { tcpSequence: tcp.seq }),
          ...(tunnel?.vni === undefined ? {} : { vni: tunnel.vni }),
          ...(tunnel?.key === undefined ? {} : { greKey: tunnel.key }),
          ...(tunnel?.teid === undefined ? {} : { teid: Number(tunnel.teid), qfi: tunnel.qfi }),
        });
        if (flows.length > 1) expect(line.outer).toMatchObject(endpointsOf(flows[0]));
        else expect(line.outer).toBeUndefined();
      }
    });
  },
);
