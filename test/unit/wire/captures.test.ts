// Reports of real programs (test/fixtures/captures), written anew from what an independent decoder read in them.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { intMdV21 } from '../../../p4-int/wire/int-v21.ts';
import { intV10 } from '../../../p4-int/wire/int-v10.ts';
import type { IntHop } from '../../../p4-int/wire/int-stack.ts';
import { packetOf, type Layer } from '../../../p4-int/wire/layers.ts';
import { reportV05 } from '../../../p4-int/wire/report-v05.ts';
import { reportV10 } from '../../../p4-int/wire/report-v10.ts';
import { reportGroupV20 } from '../../../p4-int/wire/report-v20-any.ts';

const fixture = (name: string) => readFileSync(new URL(`../../fixtures/captures/${name}`, import.meta.url));

/** What was decoded, and the UDP payload of the same frame. */
function framesOf(name: string): { decoded: any; datagram: Buffer }[] {
  const pcap = fixture(`${name}.pcap`);
  const decoded = JSON.parse(fixture(`${name}.json`).toString()) as any[];
  const littleEndian = pcap.readUInt32LE(0) === 0xa1b2c3d4;
  let o = 24;
  return decoded.map((one) => {
    const length = littleEndian ? pcap.readUInt32LE(o + 8) : pcap.readUInt32BE(o + 8);
    const frame = pcap.subarray(o + 16, o + 16 + length);
    o += 16 + length;
    return { decoded: one, datagram: frame.subarray(42, 42 + Number(one.outer_udp.udp_len) - 8) };
  });
}

/** Ethernet, IPv4 and UDP as decoded; the fragment flag is what Linux sockets send. */
function headLayers(decoded: any): Layer[] {
  const { inner_ip: ip, inner_l4: l4 } = decoded;
  return [
    { kind: 'ethernet', destination: decoded.inner_eth_dst, source: decoded.inner_eth_src },
    {
      kind: 'ipv4',
      source: ip.src,
      destination: ip.dst,
      dscp: ip.dscp,
      identification: ip.id,
      dontFragment: true,
      ttl: ip.ttl,
      totalLength: ip.total_len,
    },
    { kind: 'udp', sourcePort: l4.sport, destinationPort: l4.dport, length: l4.udp_len, checksum: l4.udp_csum },
  ];
}

function hopsOf(decoded: any): IntHop[] {
  return decoded.hops_sink_first.toReversed().map((hop: any) => ({
    nodeId: hop.node_id,
    level1Interfaces: { ingressInterfaceId: hop.ingress_port, egressInterfaceId: hop.egress_port },
    hopLatency: hop.hop_latency,
    queue: { queueId: hop.queue_id, queueOccupancy: hop.queue_occupancy },
    ingressTimestamp: hop.ingress_ts === undefined ? null : BigInt(hop.ingress_ts),
    egressTimestamp: hop.egress_ts === undefined ? null : BigInt(hop.egress_ts),
    level2Interfaces: { ingressInterfaceId: hop.l2_ingress, egressInterfaceId: hop.l2_egress },
    egressTxUtilization: hop.tx_util,
  }));
}

function compare(name: string, written: (decoded: any, datagram: Buffer) => Buffer): number {
  const pairs = framesOf(name).map(({ decoded, datagram }) => ({ datagram, written: written(decoded, datagram) }));
  for (const pair of pairs) expect(pair.written.toString('hex')).toBe(pair.datagram.toString('hex'));
  return pairs.length;
}

it('writes the reports of fabric-tna (v0.5)', () => {
  const count = compare('int-xd_report-v0.5_fabric-tna', (decoded, datagram) => {
    const { report, local, drop } = decoded;
    const header = {
      dropped: report.d === 1,
      congestedQueue: report.q === 1,
      trackedFlow: report.f === 1,
      hardwareId: report.hw_id,
      sequence: report.seq,
      ingressTimestamp: report.ingress_ts,
    };
    const packet = Buffer.concat([packetOf(headLayers(decoded)), datagram.subarray(datagram.length - decoded.inner_payload_len)]);
    if (local === undefined) return reportV05({ ...header, nProto: 1, packet, drop: dropOf(drop) });
    return reportV05({
      ...header,
      nProto: 2,
      packet,
      local: {
        switchId: local.switch_id,
        ingressPort: local.ingress_port,
        egressPort: local.egress_port,
        queueId: local.queue_id,
        queueOccupancy: local.queue_occupancy,
        egressTimestamp: local.egress_ts,
      },
    });
  });
  expect(count).toBe(21);
});

function dropOf(drop: any) {
  return {
    switchId: drop.switch_id,
    ingressPort: drop.ingress_port,
    egressPort: drop.egress_port,
    queueId: drop.queue_id,
    dropReason: drop.drop_reason,
  };
}

it('writes the reports of ONOS (v1.0, flags misplaced, version 0 in the INT header)', () => {
  const count = compare('int-md-v1.0_report-v1.0_onos', (decoded) => {
    const { report, int_header: int, shim } = decoded;
    return reportV10({
      nProt: report.nprot,
      trackedFlow: report.as_program_meant.f === 1,
      flagPlacement: 'onos',
      hardwareId: report.per_spec.hw_id,
      switchId: report.switch_id,
      sequence: report.seq,
      ingressTimestamp: report.ingress_ts,
      packet: packetOf([
        ...headLayers(decoded),
        intV10(
          { dialect: 'onos', bitmap: parseInt(int.instructions, 16), remainingHops: int.remaining_hops, hops: hopsOf(decoded) },
          shim.orig_dscp,
        ),
      ]),
    });
  });
  expect(count).toBe(28);
});

it('writes the reports of laofan13 (v2.0 with Report Length 0, INT 2.1)', () => {
  const count = compare('int-md-v2.1_report-v2.0_laofan13_congested', (decoded) => {
    const { group, int_header: int, shim } = decoded;
    return reportGroupV20({
      hardwareId: group.hw_id,
      sequence: group.seq,
      nodeId: group.node_id,
      reports: [
        {
          repType: 1,
          trackedFlow: true,
          reportLength: 0,
          metadata: {},
          inner: {
            inType: 3,
            packet: packetOf([
              ...headLayers(decoded),
              intMdV21(
                { bitmap: parseInt(int.instructions, 16), remainingHops: int.remaining_hops, hops: hopsOf(decoded) },
                { kind: 'npt0', field: shim.orig_dscp << 10 },
              ),
            ]),
          },
        },
      ],
    }).subarray(0, decoded.outer_udp.udp_len - 8);
  });
  expect(count).toBe(28);
});
