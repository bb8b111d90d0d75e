// Headers of which no example is published, against octets laid out by hand from the tables of the specifications.

import { describe, expect, it } from 'vitest';
import { hostIntDropReport, hostIntLatencyReport } from '../../../p4-int/wire/host-int.ts';
import { ifaHeader, ifaMetadata } from '../../../p4-int/wire/ifa.ts';
import { intV05, intV05GeneveOption, intV05Gpe } from '../../../p4-int/wire/int-v05.ts';
import { intV10, intV10GeneveOption, intV10Gpe } from '../../../p4-int/wire/int-v10.ts';
import { intMdV21, intMdV21GeneveOption, intMxV21, intMxV21GeneveOption } from '../../../p4-int/wire/int-v21.ts';
import { ioamEdgeToEdge } from '../../../p4-int/wire/ioam.ts';
import { originalBytesOf, packetOf, type Layer } from '../../../p4-int/wire/layers.ts';
import { reportV10 } from '../../../p4-int/wire/report-v10.ts';
import { individualReportV20, reportGroupV20 } from '../../../p4-int/wire/report-v20-any.ts';

/** Hexadecimal without the spaces that set the words apart. */
function expectOctets(octets: Uint8Array, hex: string): void {
  expect(Buffer.from(octets).toString('hex')).toBe(hex.replaceAll(' ', ''));
}

const SOURCE = { nodeId: 1, level1Interfaces: { ingressInterfaceId: 2, egressInterfaceId: 3 } };
const SINK = { nodeId: 0xffffff01, level1Interfaces: { ingressInterfaceId: 4, egressInterfaceId: null } };

describe('INT v0.5', () => {
  const int = { bitmap: 0xc200, hops: [{ ...SOURCE, queueCongestion: 0x05000007 }, SINK], maxHopCount: 8 };
  const header = '0003 08 02 c200 0000 ';
  const stack = 'ffffff01 0004ffff ffffffff 00000001 00020003 05000007 ';

  it('stands between shim and tail behind TCP and UDP', () => {
    expectOctets(intV05(int, { protocol: 17, destinationPort: 53, dscp: 10 }).octets, '01000a00' + header + stack + '1100350a');
  });

  it('has no tail behind VXLAN-GPE', () => {
    const layer = intV05Gpe(int, 3);
    expectOctets(layer.octets, '01000903' + header + stack);
    expect(layer.gpeProtocol).toBe(5);
  });

  it('is the data of a Geneve option', () => {
    expectOctets(intV05GeneveOption(int, 0x00ab).data, header + stack);
  });
});

describe('INT v1.0', () => {
  it('has level-2 ids of 4 octets and 4-octet timestamps, and the complement last', () => {
    const hop = { ...SOURCE, ingressTimestamp: 0x1_0000_0002n, level2Interfaces: null, checksumComplement: 9 };
    const int = { bitmap: 0x8a01, hops: [hop], remainingHops: 7, mtuExceeded: true };
    expectOctets(intV10GeneveOption(int, 0x00ab).data, Buffer.from(intV10Gpe(int, 1).octets).toString('hex').slice(8));
    expectOctets(intV10Gpe(int, 1).octets, '01000801 10800507 8a010000 00000001 00000002 ffffffff ffffffff 00000009');
  });

  it('is widened by GEANT', () => {
    const hop = { ...SOURCE, ingressTimestamp: 5n, level2Interfaces: { ingressInterfaceId: 6, egressInterfaceId: 7 } };
    const layer = intV10({ dialect: 'geant', bitmap: 0x8a00, hops: [hop], remainingHops: 3, reserved: 8 }, 0, 1n);
    expectOctets(layer.octets, '0000000000000001 01000700 10000403 8a000008 00000001 0000000000000005 00060007');
  });
});

describe('INT v2.1', () => {
  const int = {
    bitmap: 0x8881,
    hops: [
      { nodeId: 1, ingressTimestamp: 2n, buffer: { bufferId: 3, bufferOccupancy: 4 }, domainSpecific: Buffer.alloc(4, 5) },
      {},
    ],
    remainingHops: 6,
    domainSpecificId: 0xabcd,
    dsInstruction: 0x8000,
    domainSpecificWords: 1,
    sourceOnly: Buffer.alloc(4, 7),
    maxHopCountExceeded: true,
  };
  const body =
    '24000606 8881abcd 80000000 ' +
    'ffffffff ffffffffffffffff ffffffff ffffffff ffffffff ' +
    '00000001 0000000000000002 03000004 05050505 07070707 ffffffff';

  it('puts domain-specific, then source-only metadata in front of the complement', () => {
    expectOctets(intMdV21(int, { kind: 'npt0', originalDscp: 10 }).octets, '10100028' + body);
  });

  it('names the displaced port, protocol or next header', () => {
    const first = (shim: Parameters<typeof intMdV21>[1]) => intMxV21({ bitmap: 0x8000 }, shim).octets.slice(0, 4);
    expectOctets(first({ kind: 'npt1', originalDestinationPort: 4789 }), '340312b5');
    expectOctets(first({ kind: 'npt2', originalProtocol: 6 }), '38030006');
    expectOctets(first({ kind: 'gre', greAdded: true, nextProtocol: 0x0800, etherType: 0x4569 }), '38030800');
    expectOctets(first({ kind: 'vxlanGpe', vxlanAdded: true, nextProtocol: 3 }), '30038003');
  });

  it('fits into a Geneve option without shim', () => {
    const option = intMdV21GeneveOption(int);
    expect([option.optionClass, option.type]).toEqual([0x0103, 1]);
    expectOctets(option.data, body);
    const mx = intMxV21GeneveOption({ bitmap: 0x8000, discard: true, sourceInserted: Buffer.alloc(4, 1) });
    expect(mx.type).toBe(3);
    expectOctets(mx.data, '28000000 80000000 00000000 01010101');
  });
});

describe('reports', () => {
  it('v1.0 with all metadata', () => {
    const report = reportV10({
      nProt: 1,
      dropped: true,
      congestedQueue: true,
      trackedFlow: true,
      hardwareId: 63,
      switchId: 1,
      sequence: 2,
      ingressTimestamp: 3,
      metadata: {
        level1Interfaces: { ingressInterfaceId: 1, egressInterfaceId: 2 },
        hopLatency: null,
        queue: { queueId: 1, queueOccupancy: 0x20003 },
        egressTimestamp: 4,
        drop: { queueId: 5, dropReason: 6 },
        egressTxUtilization: 7,
      },
      packet: Buffer.from('45', 'hex'),
    });
    const metadata = '00010002 ffffffff 01020003 00000004 05060000 00000007';
    expectOctets(report, `1a3f81ff 00000001 00000002 00000003 ${metadata} 45`);
  });

  it('v2.0 with every bit, TLVs and domain-specific metadata', () => {
    const report = individualReportV20({
      repType: 1,
      intermediate: true,
      domainSpecificId: 0x5453,
      dsMdBits: 0x8000,
      dsMdStatus: 1,
      domainSpecificMetadata: Buffer.alloc(4, 9),
      metadata: {
        nodeId: 1,
        level1Interfaces: null,
        hopLatency: 2,
        queue: null,
        ingressTimestamp: 3n,
        egressTimestamp: null,
        level2Interfaces: { ingressInterfaceId: 4, egressInterfaceId: null },
        egressTxUtilization: 5,
        buffer: null,
        reserved: { 9: 6, 10: 6, 11: 6, 12: 6, 13: 6, 14: 6 },
        drop: { queueId: 7, dropReason: 8 },
      },
      inner: { inType: 1, tlvs: [{ type: 2, data: Buffer.from('4500', 'hex') }] },
    });
    expectOctets(
      report,
      '111814 10 ffff5453 80000001 00000001 ffffffff 00000002 ffffffff 0000000000000003 ffffffffffffffff 00000004ffffffff ' +
        '00000005 ffffffff' +
        ' 00000006'.repeat(6) +
        ' 07080000 09090909 20010000 45000000',
    );
  });

  it('v2.0 of 255 words and more says 0xff, in the last place only', () => {
    const long = { repType: 0, inner: { inType: 3, packet: Buffer.alloc(1021) } } as const;
    const group = { hardwareId: 0, sequence: -1, nodeId: 1 };
    const datagram = reportGroupV20({ ...group, reports: [long] });
    expectOctets(datagram.subarray(0, 12), '203fffff 00000001 03ff0000');
    expect(datagram.length).toBe(8 + 4 + 1024);
    expect(() => reportGroupV20({ ...group, reports: [long, long] })).toThrow('only the last report');
  });
});

describe('host-int', () => {
  const times = { ingressTimestamp: 0x11n, egressTimestamp: 0x22n };

  it('latency report, with and without the sink id', () => {
    const latency = {
      sequence: 1,
      reportTime: 0x65000000,
      ip: { kind: 'ipv4', source: '10.0.0.1', destination: '10.0.0.2', dscp: 23 } as const,
      l4: { kind: 'udp', sourcePort: 1000, destinationPort: 2000, checksum: 0 } as const,
      source: { ...SOURCE, ...times },
      sink: { ...SINK, ...times },
      flowSequence: 99,
    };
    const packet =
      '455c004c 00000000 40116643 0a000001 0a000002 03e807d0 00380000 03000c00 00040202 cc000000 ' +
      'ffffff01 0004ffff 00000011 00000022 00000001 00020003 00000011 00000022 00000063';
    expectOctets(hostIntLatencyReport(latency), '04200000 00000001 65000000' + packet);
    expectOctets(hostIntLatencyReport({ ...latency, sinkNodeId: 7 }), '04200000 00000001 65000000 00000007' + packet);
  });

  it('drop summary', () => {
    const report = hostIntDropReport({
      sequence: 2,
      reportTime: 3,
      sourceNodeId: 4,
      sinkNodeId: 5,
      sourcePort: 6,
      sinkPort: 7,
      gapTimestamp: 8,
      gapSequence: 9,
      gapCount: 10,
      flow: { protocol: 17, source: '10.0.0.1', destination: '10.0.0.2', sourcePort: 11, destinationPort: 12 },
    });
    expectOctets(
      report,
      '03a00000 00000002 00000003 00000004 00000005 00060007 00000008 00000009 0000000a ' +
        '45000000 00000000 00110000 0a000001 0a000002 000b000c 00080000',
    );
  });
});

describe('IFA', () => {
  it('stands between IP and L4, its records behind L4, the newest first', () => {
    const hop = {
      lns: 1,
      ttl: 64,
      speed: 4,
      ecn: 2,
      queueId: 3,
      rxSeconds: 0xabcde,
      egressPort: 5,
      ingressPort: 6,
      rxNanoseconds: 7,
      residenceNanoseconds: 8,
      txQueueBytes: 9,
      queueCells: 10,
    };
    const hops = [
      { ...hop, deviceId: 1 },
      { ...hop, deviceId: 2 },
    ];
    const layers: Layer[] = [
      { kind: 'ipv4', source: '10.0.0.1', destination: '10.0.0.2' },
      ifaHeader({ version: 3, gns: 15, nextHeader: 17, maxLength: 255 }),
      { kind: 'udp', sourcePort: 1, destinationPort: 2 },
      ifaMetadata({ requestVector: 1, hopLimit: 3, hops }),
    ];
    const record = (id: string) => `1${id}40 483abcde 00050006 00000007 00000008 00000009 0000000a 00000000`;
    const packet = packetOf(layers);
    expect(packet[9]).toBe(131);
    expectOctets(packet.subarray(20, 24), '3f1100ff');
    expectOctets(packet.subarray(32), '01000310' + record('00002') + record('00001'));
  });
});

it('writes the edge-to-edge option of IOAM', () => {
  const option = ioamEdgeToEdge({ namespaceId: 1, sequence64: 2n, timestampFraction: 3 });
  expectOctets(option.data, '00019000 0000000000000002 00000003');
});

it('tells the length of the original packet of a cut one', () => {
  const layers: Layer[] = [
    { kind: 'ethernet', destination: '02:00:00:00:00:0b', source: '02:00:00:00:00:0a' },
    { kind: 'ipv4', source: '10.0.0.1', destination: '10.0.0.2' },
    { kind: 'udp', sourcePort: 1, destinationPort: 4789 },
    { kind: 'vxlan', vni: 1 },
    { kind: 'ethernet', destination: '02:00:00:00:00:0b', source: '02:00:00:00:00:0a' },
    { kind: 'ipv4', source: '10.0.0.1', destination: '10.0.0.2', totalLength: 1500, protocol: 6 },
  ];
  expect(originalBytesOf(layers)).toBe(1500 + 14 + 50);
  expect(packetOf(layers).readUInt16BE(16)).toBe(1500 + 50);
});
