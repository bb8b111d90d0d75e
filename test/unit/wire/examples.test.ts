// The worked examples in vectors.json come out of the writers octet for octet.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { intMdV21, intMxV21 } from '../../../p4-int/wire/int-v21.ts';
import { intV10, type IntV10 } from '../../../p4-int/wire/int-v10.ts';
import type { IntHop } from '../../../p4-int/wire/int-stack.ts';
import { packetOf, type Layer } from '../../../p4-int/wire/layers.ts';
import type { EthernetLayer } from '../../../p4-int/wire/layer-link.ts';
import type { Ipv4Layer } from '../../../p4-int/wire/layer-ip.ts';
import { reportV05 } from '../../../p4-int/wire/report-v05.ts';
import { reportV10 } from '../../../p4-int/wire/report-v10.ts';
import { reportGroupV20, type IndividualReportV20 } from '../../../p4-int/wire/report-v20-any.ts';

const VECTORS = JSON.parse(readFileSync(new URL('../../fixtures/vectors.json', import.meta.url), 'utf8')) as {
  name: string;
  hex: string;
}[];

const ETHERNET: EthernetLayer = { kind: 'ethernet', destination: '02:00:00:00:00:0b', source: '02:00:00:00:00:0a' };
const ACK = { sequence: 1, acknowledgment: 1, flags: 0x18 };

function ipv4(source: string, destination: string, more: Partial<Ipv4Layer> = {}): Ipv4Layer {
  return { kind: 'ipv4', source, destination, identification: 1, dontFragment: true, ...more };
}

function hop(
  nodeId: number,
  ports: [number, number],
  hopLatency: number,
  queue: [number, number],
  times: [bigint, bigint],
): IntHop {
  return {
    nodeId,
    level1Interfaces: { ingressInterfaceId: ports[0], egressInterfaceId: ports[1] },
    hopLatency,
    queue: { queueId: queue[0], queueOccupancy: queue[1] },
    ingressTimestamp: times[0],
    egressTimestamp: times[1],
  };
}

const ports = (ingressInterfaceId: number, egressInterfaceId: number) => ({ ingressInterfaceId, egressInterfaceId });

const POSTCARD: IndividualReportV20 = {
  repType: 1,
  trackedFlow: true,
  metadata: {
    level1Interfaces: ports(12, 48),
    hopLatency: 3500,
    queue: { queueId: 3, queueOccupancy: 1200 },
    ingressTimestamp: 1700000000123456789n,
    egressTimestamp: 1700000000123460289n,
    egressTxUtilization: 4210,
  },
  inner: {
    inType: 3,
    packet: packetOf([
      ETHERNET,
      ipv4('10.244.1.17', '10.244.2.33', { dscp: 26, totalLength: 552 }),
      { kind: 'tcp', sourcePort: 43210, destinationPort: 8080, sequence: 4096, acknowledgment: 8192, flags: 0x18 },
    ]),
  },
};

const DNS_REPORT: IndividualReportV20 = {
  repType: 1,
  trackedFlow: true,
  metadata: { level1Interfaces: ports(3, 7), hopLatency: 900 },
  inner: {
    inType: 4,
    packet: packetOf([
      ipv4('10.244.1.17', '10.96.0.10', { totalLength: 68 }),
      { kind: 'udp', sourcePort: 53124, destinationPort: 53, length: 48 },
    ]),
  },
};

const INT_V10: IntV10 = {
  bitmap: 0xfc00,
  remainingHops: 5,
  hops: [
    hop(1, [1, 2], 400, [0, 10], [0x10001000n, 0x10001190n]),
    hop(2, [3, 4], 1500, [1, 20], [0x10002000n, 0x100025dcn]),
    hop(3, [5, 6], 700, [0, 30], [0x10003000n, 0x100032bcn]),
  ],
};

function v10ThreeHops(int: IntV10): Buffer {
  return reportV10({
    nProt: 0,
    trackedFlow: true,
    hardwareId: 2,
    switchId: 3,
    sequence: 42,
    ingressTimestamp: 0x12345678,
    packet: packetOf([
      ETHERNET,
      ipv4('10.0.1.1', '10.0.3.3', { dscp: 0x17 }),
      { kind: 'udp', sourcePort: 5000, destinationPort: 6000, checksum: 0 },
      intV10(int, 10),
      { kind: 'octets', octets: Buffer.from('INTDEMO!') },
    ]),
  });
}

const POD_IP = ipv4('10.244.1.17', '10.244.2.33', { ttl: 63, totalLength: 140 });
const POD_TCP: Layer = { kind: 'tcp', sourcePort: 43210, destinationPort: 8080, ...ACK };
const VXLAN_INNER: Layer[] = [
  { kind: 'vxlan', vni: 1 },
  { kind: 'ethernet', destination: '0a:58:0a:f4:02:21', source: '0a:58:0a:f4:01:11' },
  POD_IP,
  POD_TCP,
];
const TNA = { ingressPort: 260, switchId: 1, queueId: 1 };
const TNA_PACKET = packetOf([
  { kind: 'ethernet', destination: '00:00:00:00:00:02', source: '00:00:00:00:00:01' },
  ipv4('10.1.0.1', '10.2.0.2'),
  { kind: 'tcp', sourcePort: 1024, destinationPort: 80, ...ACK, checksum: 0 },
]);

const WRITTEN: Record<string, Buffer> = {
  'v2-single-postcard': reportGroupV20({ hardwareId: 5, sequence: 1234567, nodeId: 257, reports: [POSTCARD] }),
  'bad-md-length-short': reportGroupV20({
    hardwareId: 5,
    sequence: 1234567,
    nodeId: 257,
    reports: [{ ...POSTCARD, mdLength: 4 }],
  }),
  'v2-group-of-three': reportGroupV20({
    hardwareId: 1,
    sequence: 77,
    nodeId: 0x0a000001,
    reports: [
      DNS_REPORT,
      {
        repType: 0,
        trackedFlow: true,
        inner: {
          inType: 5,
          packet: packetOf([
            { kind: 'ipv6', source: 'fd00:10:244:1::11', destination: 'fd00:10:244:2::21', dscp: 46, payloadLength: 1220 },
            { kind: 'tcp', sourcePort: 51000, destinationPort: 443, ...ACK },
          ]),
        },
      },
      {
        repType: 1,
        congestedQueue: true,
        metadata: {
          level1Interfaces: ports(9, 10),
          queue: { queueId: 2, queueOccupancy: 1048575 },
          level2Interfaces: ports(100001, 100002),
          buffer: { bufferId: 0, bufferOccupancy: 5000 },
        },
        inner: { inType: 0 },
      },
    ],
  }),
  'v2-drop-report': reportGroupV20({
    hardwareId: 0,
    sequence: 9,
    nodeId: 258,
    reports: [
      {
        repType: 1,
        dropped: true,
        trackedFlow: true,
        metadata: { level1Interfaces: ports(21, 0), drop: { queueId: 4, dropReason: 80 } },
        inner: {
          inType: 3,
          packet: packetOf([
            ETHERNET,
            { kind: 'vlan', pcp: 5, vid: 100 },
            ipv4('192.0.2.10', '198.51.100.20'),
            { kind: 'tcp', sourcePort: 40000, destinationPort: 22, sequence: 0x11223344, flags: 2, checksum: 0 },
          ]),
        },
      },
    ],
  }),
  'v1-flow-int-md-3-hops': v10ThreeHops(INT_V10),
  'bad-int-stack-remainder': v10ThreeHops({ ...INT_V10, length: 20 }),
  'v1-onos-misplaced-dqf': reportV10({
    nProt: 0,
    trackedFlow: true,
    flagPlacement: 'onos',
    hardwareId: 1,
    switchId: 1,
    sequence: 0,
    ingressTimestamp: 344865,
    packet: packetOf([
      ETHERNET,
      ipv4('10.0.0.1', '10.0.0.2', { dscp: 0x17, totalLength: 52 }),
      { kind: 'udp', sourcePort: 5000, destinationPort: 5001, length: 32 },
      intV10({ dialect: 'onos', bitmap: 0xa000, remainingHops: 7, hops: [{ nodeId: 1, hopLatency: 250 }] }, 0),
    ]),
  }),
  'v2-vxlan-inner': reportGroupV20({
    hardwareId: 0,
    sequence: 100,
    nodeId: 259,
    reports: [
      {
        repType: 1,
        trackedFlow: true,
        metadata: { level1Interfaces: ports(1, 2), hopLatency: 650 },
        inner: {
          inType: 3,
          packet: packetOf([
            { kind: 'ethernet', destination: '02:00:00:00:0f:02', source: '02:00:00:00:0f:01' },
            ipv4('172.18.0.2', '172.18.0.3'),
            { kind: 'udp', sourcePort: 55555, destinationPort: 8472 },
            ...VXLAN_INNER,
          ]),
        },
      },
    ],
  }),
  'v2-gtpu-inner': reportGroupV20({
    hardwareId: 2,
    sequence: 4194303,
    nodeId: 260,
    reports: [
      {
        repType: 1,
        trackedFlow: true,
        metadata: { level1Interfaces: ports(33, 34) },
        inner: {
          inType: 4,
          packet: packetOf([
            ipv4('192.168.70.11', '192.168.70.22', { dscp: 46 }),
            { kind: 'udp', sourcePort: 2152, destinationPort: 2152 },
            { kind: 'gtpu', teid: 0xabcdef, extensions: [{ kind: 'pduSession', direction: 'uplink', qfi: 9 }] },
            ipv4('10.60.0.5', '203.0.113.80', { dscp: 46, totalLength: 188 }),
            { kind: 'udp', sourcePort: 40000, destinationPort: 4000, length: 168 },
          ]),
        },
      },
    ],
  }),
  'v05-fabric-tna-local': reportV05({
    nProto: 2,
    trackedFlow: true,
    hardwareId: 1,
    sequence: 17,
    ingressTimestamp: 0xffffff00,
    local: { ...TNA, egressPort: 268, queueOccupancy: 4096, egressTimestamp: 0x200 },
    packet: TNA_PACKET,
  }),
  'v2-inner-only-int-md-source-only': reportGroupV20({
    hardwareId: 0,
    sequence: 5,
    nodeId: 514,
    reports: [
      {
        repType: 0,
        trackedFlow: true,
        inner: {
          inType: 4,
          packet: packetOf([
            ipv4('10.9.0.4', '203.0.113.9', { totalLength: 84 }),
            { kind: 'udp', sourcePort: 49153, destinationPort: 555, checksum: 0 },
            intMdV21(
              {
                bitmap: 0x8000,
                remainingHops: 5,
                domainSpecificId: 0x5453,
                dsInstruction: 0x8000,
                dsFlags: 0x4000,
                hops: [{ nodeId: 0x200 }, { nodeId: 0x201 }, { nodeId: 0x202 }],
                sourceOnly: Buffer.from('a61af6b1647d0000', 'hex'),
              },
              { kind: 'npt2', originalProtocol: 6 },
            ),
            { kind: 'tcp', sourcePort: 50123, destinationPort: 443, ...ACK },
          ]),
        },
      },
    ],
  }),
  'edge-inner-truncated-l4': reportGroupV20({
    hardwareId: 5,
    sequence: 1234568,
    nodeId: 257,
    reports: [
      {
        repType: 1,
        trackedFlow: true,
        metadata: { level1Interfaces: ports(12, 48) },
        inner: {
          inType: 4,
          truncateTo: 28,
          packet: packetOf([ipv4('10.244.1.17', '10.244.2.33'), POD_TCP]),
        },
      },
    ],
  }),
  'v2-geneve-inner': reportGroupV20({
    hardwareId: 0,
    sequence: 8,
    nodeId: 262,
    reports: [
      {
        repType: 1,
        trackedFlow: true,
        metadata: { level1Interfaces: ports(5, 6), hopLatency: 640 },
        inner: {
          inType: 4,
          packet: packetOf([
            ipv4('172.18.0.4', '172.18.0.3'),
            { kind: 'udp', sourcePort: 61000, destinationPort: 6081 },
            {
              kind: 'geneve',
              vni: 3,
              critical: false,
              options: [{ optionClass: 0x0102, type: 0x80, data: Buffer.from('00050006', 'hex') }],
            },
            { kind: 'ethernet', destination: '0a:58:0a:80:00:05', source: '0a:58:0a:80:02:07' },
            ipv4('10.128.2.7', '10.128.0.5', { totalLength: 128 }),
            { kind: 'udp', sourcePort: 45000, destinationPort: 5353, length: 108 },
          ]),
        },
      },
    ],
  }),
  'v2-int-mx-npt1-vxlan': reportGroupV20({
    hardwareId: 0,
    sequence: 10,
    nodeId: 264,
    reports: [
      {
        repType: 1,
        trackedFlow: true,
        metadata: { level1Interfaces: ports(5, 6), hopLatency: 1111, queue: { queueId: 0, queueOccupancy: 12 } },
        inner: {
          inType: 4,
          packet: packetOf([
            ipv4('172.18.0.2', '172.18.0.3'),
            { kind: 'udp', sourcePort: 55555, destinationPort: 555 },
            intMxV21({ bitmap: 0xf000 }, { kind: 'npt1', originalDestinationPort: 8472 }),
            ...VXLAN_INNER,
          ]),
        },
      },
    ],
  }),
  'v2-unknown-reptype-in-the-middle': reportGroupV20({
    hardwareId: 0,
    sequence: 13,
    nodeId: 267,
    reports: [
      { ...DNS_REPORT, metadata: { level1Interfaces: ports(3, 7) } },
      { repType: 2, trackedFlow: true, contents: Buffer.alloc(12, 0xaa), inner: { inType: 0 } },
      { ...DNS_REPORT, metadata: { level1Interfaces: ports(3, 7) } },
    ],
  }),
  'v2-gre-inner': reportGroupV20({
    hardwareId: 0,
    sequence: 15,
    nodeId: 269,
    reports: [
      {
        repType: 1,
        trackedFlow: true,
        metadata: { level1Interfaces: ports(5, 6) },
        inner: {
          inType: 4,
          packet: packetOf([
            ipv4('172.18.0.4', '172.18.0.3'),
            { kind: 'gre', key: 1337 },
            { kind: 'ethernet', destination: '0a:58:0a:80:00:05', source: '0a:58:0a:80:02:07' },
            { kind: 'ipv6', source: 'fd00:10:244:1::11', destination: 'fd00:10:244:2::21', payloadLength: 64 },
            { kind: 'icmpv6', type: 128, identifier: 0x77, sequence: 3 },
          ]),
        },
      },
    ],
  }),
};

it.each(VECTORS.filter(({ name }) => name in WRITTEN))('$name', ({ name, hex }) => {
  expect(WRITTEN[name].toString('hex')).toBe(hex);
});

it('leaves out only examples that cannot be written: cut or of no version', () => {
  expect(VECTORS.map(({ name }) => name).filter((name) => !(name in WRITTEN))).toEqual([
    'bad-group-header-short',
    'bad-report-overrun',
    'bad-version',
  ]);
});

it('writes the drop example of fabric-tna (12.7)', () => {
  const report = reportV05({
    nProto: 1,
    dropped: true,
    hardwareId: 1,
    sequence: 18,
    ingressTimestamp: 0x1000,
    drop: { ...TNA, egressPort: 268, dropReason: 71 },
    packet: TNA_PACKET,
  });
  expect(report.toString('hex')).toBe(
    '01800001000000120000100000000001' +
      '0104010c0147000000000000000200000000000108004500002800014000400626ca0a0100010a020002' +
      '04000050000000010000000150' +
      '18ffff00000000',
  );
});
